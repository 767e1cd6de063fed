"""The time that a run still takes, from predictions and what jobs took."""

import json

import pytest

from snakemake_logger_plugin_blockresearch.progress import Job, Progress, duration, last_line


def job(rule, predicted=None, seconds=0.0, outputs=(), is_checkpoint=False):
    """A job that started some seconds ago."""
    made = Job(rule, ("M",), (), tuple(outputs), predicted, is_checkpoint)
    object.__setattr__(made, "started", made.started - seconds)
    return made


def test_the_plan_is_read_once_the_model_is_resolved(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"parts": [{"seconds": 10.0}] * 6}))
    progress = Progress()
    progress.plan({"resolve_model": 1, "merge": 1, "total": 2})
    progress.start(1, job("resolve_model", outputs=[plan], is_checkpoint=True))
    assert progress.seconds_left() is None, "what follows is not known yet"
    progress.finish(1)
    progress.done, progress.total = 1, 8
    # Six parts of 10 s, and 3 s for the merge, of which nothing is known.
    assert progress.seconds_left() == pytest.approx(63)


def test_jobs_that_run_count_with_what_is_left_of_them():
    progress = Progress()
    progress.plan({"analyze": 4, "total": 4})
    for number in (1, 2):
        progress.start(number, job("analyze", predicted=20, seconds=5))
    # Two at a time: 2 × 15 s run, 2 × 20 s wait.
    assert progress.seconds_left() == pytest.approx(35, abs=0.1)
    progress.start(3, job("analyze", predicted=100))
    assert progress.seconds_left() == pytest.approx(100, abs=0.1), "the longest job"


def test_a_slow_machine_is_noticed():
    progress = Progress()
    progress.plan({"analyze": 3, "merge": 1, "total": 4})
    progress.start(1, job("analyze", predicted=10, seconds=30))
    progress.finish(1)
    progress.done = 1
    # Parts take three times as long as predicted, so the merge (3 s) will, too.
    assert progress.seconds_left() == pytest.approx(2 * 30 + 9, abs=0.5)


def test_parts_that_are_measured_already_do_not_count():
    progress = Progress()
    progress.plan({"analyze": 10, "total": 10})
    progress.total = 5
    progress.start(1, job("analyze", predicted=10))
    assert progress.seconds_left() == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("10:00:00 INFO 3/56 q_proj\n\n", "3/56 q_proj"),
        ("10%\r20%\r", "20%"),
        ("", ""),
        ("x" * 9000 + "\n10:00:00 WARNING y", "y"),
    ],
)
def test_the_last_line_says_what_a_job_does(tmp_path, text, line):
    (tmp_path / "a.log").write_text(text, newline="")
    assert last_line(tmp_path / "a.log") == line
    assert last_line(tmp_path / "missing.log") == ""


def test_durations():
    assert [*map(duration, (0.4, 38, 89, 700, 12_000))] == [
        "0 s",
        "38 s",
        "89 s",
        "12 min",
        "3 h 20 min",
    ]


def test_a_long_job_shows_its_expected_time():
    progress = Progress()
    progress.start(1, job("embedding_analysis", predicted=80, seconds=30))
    progress.start(2, job("merge", predicted=2, seconds=1))
    assert progress.activities(2) == ["embedding_analysis M, 30 s of about 80 s", "merge M, 1 s"]
