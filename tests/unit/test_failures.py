"""Why a job failed is read from its log, and whether it failed from the benchmark beside it."""

import os

import pytest

from blockresearch.failures import KILLED, Failure, error_message, explain, failure


@pytest.fixture
def write(tmp_path):
    """Write files in the model's folder, each a second later than the one before."""
    times = iter(range(1000, 2000))

    def write(name, text="x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        second = next(times)
        os.utime(path, (second, second))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("12:00:00 INFO x\nerror: first\nerror: what, where.\n", "what, where."),
        ("usage: merge.py [-h]\nmerge.py: error: --plan is missing\n", "--plan is missing"),
        ("Traceback (most recent call last):\n  x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("12:00:00 INFO reading\n", None),
    ],
)
def test_the_message_is_the_last_error_of_the_log(write, text, message):
    log = write("logs/merge.log", text)
    assert error_message(log) == message
    assert explain(log) == (message or KILLED)


def test_a_job_without_a_newer_benchmark_has_failed(write, tmp_path):
    write("logs/merge.log", "error: old.\n")
    write("benchmarks/merge.tsv")
    assert failure(tmp_path, []) is None
    write("logs/analyze/00001-001.log", "error: no space is left.\n")
    write("logs/figures.log", "12:00:00 INFO one moment\n")
    assert failure(tmp_path, []) == Failure("analyze", "no space is left.")


def test_a_job_without_a_message_was_killed_or_runs(write, tmp_path):
    write("logs/merge.log", "12:00:00 INFO one moment\n")
    assert failure(tmp_path, []) == Failure("merge", None)


def test_failures_before_the_page_was_made_are_past(write, tmp_path):
    write("logs/analyze/of-another-plan.log", "error: old.\n")
    write("index.html")
    assert failure(tmp_path, []) is None
    write("logs/merge.log", "")
    assert failure(tmp_path, []) is None, "copied files have new times"
    write("logs/resolve_model.log", "error: gone.\n")
    assert failure(tmp_path, []) == Failure("resolve_model", "gone.")


def test_downloads_leave_their_logs_beside_the_files(write, tmp_path):
    write("weights/0123/logs/model.safetensors.log", "error: refused.\n")
    (tmp_path / "model").mkdir()
    found = failure(tmp_path / "model", [tmp_path / "weights/0123"])
    assert found == Failure("download", "refused.")
