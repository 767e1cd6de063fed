"""Shells complete subcommands and options."""

import subprocess

import pytest

from blockresearch.command import completion, main

FLAGS = completion.flags_of(main.parser())


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["ver"], ["verify"]),
        (["audit", "--fail"], ["--fail-on"]),
        (["open", "--res"], ["--results"]),
    ],
)
def test_bash_completes(typed, wanted):
    words = " ".join(["blockresearch", *typed])
    code = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _blockresearch; echo ${{COMPREPLY[@]}}"
    shell = ["bash", "-c", completion.bash(FLAGS) + code]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == wanted


def test_fish_has_a_line_for_each_option():
    lines = completion.fish(FLAGS).splitlines()
    assert len(lines) == len(FLAGS) + sum(map(len, FLAGS.values()))
