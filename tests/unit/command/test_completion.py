"""Shells complete subcommands and options."""

import subprocess

import pytest

from blockresearch.command import completion, main

FOUND = completion.completions_of(main.parser())


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["ver"], ["verify"]),
        (["audit", "--fail"], ["--fail-on"]),
        (["open", "--res"], ["--results"]),
        (["store", "s"], ["sql", "shell"]),
        (["store", "sql", "--st"], ["--store"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes(typed, wanted):
    words = " ".join(["blockresearch", *typed])
    code = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _blockresearch; echo ${{COMPREPLY[@]}}"
    shell = ["bash", "-c", completion.bash(FOUND) + code]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == wanted


def test_fish_has_a_line_for_each_word():
    lines = completion.fish(FOUND).splitlines()
    words = sum(len(own.first) + len(own.flags) for own in FOUND.values())
    assert len(lines) == len(FOUND) + words
    (adds,) = [line for line in lines if "-a add " in line]
    assert "from store; and not" in adds and "-d 'Add the results of models" in adds
