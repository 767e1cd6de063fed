"""Flags in both spellings, errors as one sentence."""

import argparse
import logging
from concurrent.futures.process import BrokenProcessPool

import pytest

from blockresearch.run import cli, lifeline


def test_hyphens_in_flag_names_only():
    assert cli.underscored(["--model-path", "a-b", "--x-y=c-d", "-v", "--"]) == [
        "--model_path",
        "a-b",
        "--x_y=c-d",
        "-v",
        "--",
    ]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (cli.share, ["1", "0.25"], ["0", "1.5", "-0.5", "nan"]),
        (cli.positive, ["4.5"], ["0", "-1", "inf", "nan"]),
        (cli.threshold, ["0", "2"], ["-1", "inf", "nan"]),
    ],
)
def test_numbers_of_flags_are_checked(kind, good, bad):
    assert [kind(text) for text in good] == [float(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is not"):
            kind(text)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("what, where, what to do."), "error: what, where, what to do."),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "error: x.csv: No such file"),
        (FileNotFoundError("x.parquet"), "error: x.parquet: No such file"),
        (ValueError("red \x1b[31m text"), r"error: red \x1b[31m text"),
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device", "x.csv"), "x.csv: No space left on device: make"),
        (BrokenProcessPool(), "a worker was killed, most likely by the system because memory"),
    ],
)
def test_only_verbose_errors_have_a_traceback(error, words, caplog, monkeypatch):
    monkeypatch.setattr(lifeline, "follow_run", lambda: None)

    def fail(options):
        raise error

    with pytest.raises(SystemExit) as quiet:
        cli.run(cli.parser("x"), fail, [])
    assert words in quiet.value.code and "\n" not in quiet.value.code
    with pytest.raises(SystemExit), caplog.at_level(logging.DEBUG):
        cli.run(cli.parser("x"), fail, ["--verbose"])


def test_help_states_each_default_once():
    made = cli.parser("text")
    made.add_argument("--size", default=3, help="how large")
    made.add_argument("--limit", default=9, help="default: none")
    made.add_argument("--name", help="what it is called")
    text = made.format_help()
    assert "how large (default: 3)" in text
    assert text.count("default") == 2
