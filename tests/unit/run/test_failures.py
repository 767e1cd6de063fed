"""What failed is known by the events of Snakemake's log and the job's own log."""

import logging

import pytest

from blockresearch.results import failure
from blockresearch.run import failures


@pytest.fixture
def collector():
    return failures.Failures()


def tell(collector, event, **facts):
    record = logging.makeLogRecord({"event": event, **facts})
    collector.emit(record)


def test_a_job_that_succeeds_at_last_has_not_failed(collector, tmp_path):
    for job, model in ((1, "good"), (2, "bad")):
        facts = {"rule_name": "merge", "wildcards": {"model": model}, "log": []}
        tell(collector, "job_info", jobid=job, **facts)
        tell(collector, "job_error", jobid=job)
    tell(collector, "job_finished", job_id=1)
    (tmp_path / "bad").mkdir()
    assert collector.write(str(tmp_path), ["good", "bad"]) == [
        f"bad failed in merge: {failures.KILLED}"
    ]
    assert failure(tmp_path / "good") is None
    assert failure(tmp_path / "bad") == {
        "rule": "merge",
        "reason": failures.KILLED,
        "log": None,
    }
    failures.forget(str(tmp_path), ["good", "bad"])
    assert failure(tmp_path / "bad") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("12:00:00 INFO x\nerror: first\nerror: what, where.\n", "what, where."),
        ("Traceback (most recent call last):\n  x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("12:00:00 INFO reading\n", failures.KILLED),
    ],
)
def test_the_reason_is_the_last_error_of_the_log(tmp_path, text, sentence):
    log = tmp_path / "x.log"
    log.write_text(text)
    assert failures.reason(str(log)) == sentence
