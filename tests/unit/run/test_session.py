"""A job that failed and was dropped is found by its log and its benchmark."""

import os
import threading

import pytest

from blockresearch.results import ALL
from blockresearch.run.session import cancel_timers, finished, lost_jobs, started_at


@pytest.fixture
def job(tmp_path):
    """Writes log and benchmark of a job at two times (seconds)."""

    def write(name, log, benchmark=None, folder="results/local--m"):
        for part, suffix, time in (("logs", "log", log), ("benchmarks", "tsv", benchmark)):
            if time is not None:
                path = tmp_path / folder / part / f"{name}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                os.utime(path, (time, time))
        return tmp_path / folder / "logs" / f"{name}.log"

    return write


def lost(tmp_path):
    return lost_jobs(str(tmp_path / "results"), ["local--m"], since=100 * 10**9)


def test_jobs_without_success_are_lost(tmp_path, job):
    job("merge", 101, 102)
    job("analyze/00001-001", 103, 103)
    assert lost(tmp_path) == []
    never = job("analyze/00001-002", 104)
    again = job("figures", 105, 50)
    download = job("model.safetensors", 106, None, "results/downloads/0123456789ab")
    assert lost(tmp_path) == [again, never, download]


def test_jobs_of_a_comparison_are_lost_as_well(tmp_path, job):
    log = job("compare_part/00001", 101, None, "results/compare/a-vs-b")
    assert lost_jobs(str(tmp_path / "results"), ["compare/a-vs-b"], 100 * 10**9) == [log]


def test_earlier_runs_and_other_models_do_not_count(tmp_path, job):
    job("merge", 99)
    job("merge", 101, None, "results/local--other")
    assert lost(tmp_path) == []


def test_results_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="results: cannot write into"):
        started_at(str(tmp_path / "file"), None)
    with pytest.raises(ValueError, match="store: cannot write into"):
        started_at(str(tmp_path / "new"), str(tmp_path / "file"))
    assert started_at(str(tmp_path / "new"), None) > 0 and not list((tmp_path / "new").iterdir())


def results_of(folder, seconds, numbers):
    """All results of a model, written at a time, and comparison.json at its own."""
    for name, time in [*((name, seconds) for name in ALL), ("comparison.json", numbers)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time, time))


def test_models_without_new_failures_are_finished(tmp_path, job):
    results = tmp_path / "results"
    results_of(results / "old", 40, 50)
    # Someone has touched the tables between the runs.
    results_of(results / "touched", 60, 50)
    results_of(results / "new", 110, 120)
    results_of(results / "halfway", 110, 50)
    results_of(results / "failed", 40, 50)
    job("findings", 130, None, "results/failed")
    (results / "begun").mkdir()
    names = [path.name for path in sorted(results.iterdir())]
    assert finished(str(results), names, since=100 * 10**9) == ["new", "old", "touched"]


def test_no_timer_outlives_a_run():
    timer = threading.Timer(600, print)
    timer.start()
    cancel_timers()
    timer.join(10)
    assert not timer.is_alive()
