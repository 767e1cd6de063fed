"""The command line: subcommands, what goes to Snakemake, exit codes, and what is loaded."""

import argparse
import re
import subprocess
import sys

import pytest

from blockresearch.command import calls, main
from tests.conftest import ROOT
from tests.tools.house import loaded_by


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Calls that would have been made, in an empty folder."""
    made: list[list[str]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", "/large")
    monkeypatch.setattr(calls, "call", lambda words, output=None: made.append(words) or 0)
    return made


SNAKEFILE = ["-s", str(ROOT / "Snakefile")]


def test_run_is_a_call_of_snakemake(called):
    assert main.main(["run", "org/a", "--set", "spectra=none"]) == 0
    settings = ["model=org/a", "spectra=none", "weights=/large/blockresearch"]
    assert called == [["snakemake", "--config", *settings, "--cores", "all", *SNAKEFILE]]


def test_what_follows_dashes_goes_to_snakemake(called):
    main.main(["audit", "org/a", "--", "--profile", "slurm", "-n"])
    [words] = called
    profile = str(ROOT / "profiles/slurm")
    assert words[-5:] == [*SNAKEFILE, "--profile", profile, "-n"]
    assert words[:2] == ["snakemake", "audit"] and "--cores" not in words


def test_compare_names_base_and_others(called):
    main.main(["compare", "org/base", "org/a", "org/b", "-n", "--cores", "3"])
    [words] = called
    assert words[:3] == ["snakemake", "compare", "--dry-run"]
    assert 'models=["org/a", "org/b"]' in words and "base=org/base" in words
    assert words[words.index("--cores") + 1] == "3"


@pytest.mark.parametrize("name", ["run", "plan", "audit"])
def test_models_may_be_listed_in_a_file(called, tmp_path, name):
    (tmp_path / "list.txt").write_text("org/a\norg/b\n")
    main.main([name, "--models", "list.txt", "-n"])
    [words] = called
    assert {"model=resources/demo", "models=list.txt"} <= set(words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run"], "name models, or a list"),
        (["run", "a b"], "'a b' is neither an existing folder nor a hub id"),
        (["run", "org/a", "--set", "spectra"], "write KEY=VALUE"),
        (["plan", "org/a", "--set", "spectre=none"], "did you mean spectra"),
        (["run", "org/a", "--", "--config", "spectra=none"], "write --set KEY=VALUE"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(called, capsys, words, sentence):
    assert main.main(words) == main.WRONG
    error = capsys.readouterr().err
    assert re.match(rf"error: .*{re.escape(sentence)}.*\n\Z", error)
    assert called == []


def test_a_failed_call_sets_the_exit_code(monkeypatch, called):
    monkeypatch.setattr(calls, "call", lambda words, output=None: 7)
    assert main.main(["demo"]) == 7


def test_the_manual_has_every_subcommand_and_option():
    manual = (ROOT / "docs/command.md").read_text(encoding="utf-8")
    parser = main.parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, own in commands.choices.items():
        assert f"`{name}" in manual, name
        flags = {flag for action in own._actions for flag in action.option_strings}
        assert [f for f in flags - {"-h", "--help"} if f"`{f}" not in manual] == [], name


def test_the_command_starts_without_libraries():
    heavy = ("huggingface_hub", "jsonschema", "numpy", "pandas", "snakemake", "yaml")
    _, loaded = loaded_by("blockresearch.command.main", heavy)
    assert not loaded


def test_a_call_is_printed_and_returns_its_code(capfd):
    code = calls.call(["python", "-c", "print('out'); raise SystemExit(5)"], sys.stderr.fileno())
    out, error = capfd.readouterr()
    assert code == 5 and out == ""
    assert error.splitlines() == [
        "$ python -c 'print('\"'\"'out'\"'\"'); raise SystemExit(5)'",
        "out",
    ]


def test_an_interrupted_call_exits_with_130():
    """In another process, which the signal would end if it were not caught."""
    interrupted = "import os, signal; os.kill(os.getppid(), signal.SIGINT); raise SystemExit(1)"
    call = f"calls.call(['python', '-c', {interrupted!r}])"
    code = f"import sys; from blockresearch.command import calls; sys.exit({call})"
    assert subprocess.run([sys.executable, "-c", code]).returncode == calls.INTERRUPTED


def test_without_a_word_there_is_the_help(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 0 and "COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main.main(["open", "--help"])
    assert "\n    blockresearch open" in capsys.readouterr().out
