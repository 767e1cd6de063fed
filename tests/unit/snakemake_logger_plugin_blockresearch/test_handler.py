"""What the logger plugin writes for the events of a run."""

import io
import logging
import sys

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from blockresearch.failures import KILLED
from snakemake_logger_plugin_blockresearch import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_blockresearch.progress import SILENT


class TestInterface(TestLogHandlerBase):
    """The tests that the interface brings along."""

    __test__ = True

    def get_log_handler_cls(self):
        """The class under test."""
        return LogHandler

    def get_log_handler_settings(self):
        """Its options."""
        return LogHandlerSettings()


class Run:
    """Sends the events of a run in which each job has the log NAME.log, and collects the text."""

    def __init__(self, folder, stream, **common):
        settings = MockOutputSettings()
        settings.printshellcmds = False
        for name, value in common.items():
            setattr(settings, name, value)
        self.handler = LogHandler(settings, LogHandlerSettings())
        self.handler.setFormatter(logging.Formatter("%(message)s"))
        self.folder, self.stream = folder, stream

    def send(self, event=None, level=logging.INFO, msg="", **facts):
        record = logging.makeLogRecord({"msg": msg, "levelno": level, "event": event, **facts})
        self.handler.emit(record)

    def begin(self, **stats):
        self.send(LogEvent.WORKFLOW_STARTED)
        self.send(LogEvent.RUN_INFO, stats=stats | {"total": sum(stats.values())})

    def start(self, number, rule, *, log="", **facts):
        path = self.folder / f"{number}.log"
        path.write_text(log)
        defaults = {"wildcards": {"model": "M"}, "output": [], "resources": {}, "log": [str(path)]}
        self.send(LogEvent.JOB_INFO, jobid=number, rule_name=rule, **(defaults | facts))

    def fail(self, number, indent=False):
        text = "RuleException:\nCalledProcessError: Command 'python -m x'"
        self.send(LogEvent.ERROR, logging.ERROR, text)
        self.send(LogEvent.JOB_ERROR, logging.ERROR, jobid=number, indent=indent)

    def finish(self, number, done, total):
        self.send(LogEvent.JOB_FINISHED, job_id=number)
        self.send(LogEvent.PROGRESS, done=done, total=total)

    def end(self):
        self.handler.close()
        self.handler.close()
        return self.stream.getvalue()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes a run that writes into a stream."""

    def make(**common):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        return Run(tmp_path, stream, **common)

    return make


def test_jobs_that_finish_are_counted(run):
    run = run()
    run.begin(merge=1, all=1)
    run.start(1, "merge")
    run.finish(1, 1, 2)
    run.start(2, "all", wildcards=None, log="")
    run.finish(2, 2, 2)
    lines = run.end().splitlines()
    assert lines[0] == "jobs to run: 2"
    assert lines[1].startswith("1 of 2 jobs done, about 3 s left: merge M, 0 s")
    assert lines[3] == "2 of 2 jobs done in 0 s."


def test_a_failure_is_one_sentence(run):
    run = run()
    run.begin(analyze=1, merge=1)
    for _attempt in range(2):
        run.start(1, "analyze", log="10:00:00 INFO x\nerror: shard 2 is truncated.\n")
        run.fail(1)
        run.send(msg="Trying to restart job 1.")
    run.send(level=logging.ERROR, msg="Exiting because a job execution failed. Look above")
    last = "WorkflowError:\nAt least one job did not complete successfully."
    run.send(LogEvent.ERROR, logging.ERROR, last)
    lines = run.end().splitlines()
    log = run.folder / "1.log"
    assert lines[1:] == [
        f"analyze M failed: shard 2 is truncated. ({log})",
        "0 of 2 jobs done, 1 failed.",
    ]


def test_a_job_that_succeeds_at_last_has_not_failed(run):
    run = run()
    run.begin(merge=1)
    run.start(1, "merge")
    run.fail(1)
    run.start(1, "merge")
    run.finish(1, 1, 1)
    text = run.end()
    assert text.count(KILLED) == 1
    assert "merge M: done at attempt 2" in text
    assert "1 of 1 jobs done in 0 s." in text


def test_errors_without_a_failed_job_are_written_once(run):
    run = run()
    run.begin(merge=1)
    for _attempt in range(2):
        run.start(1, "merge")
        run.send(LogEvent.ERROR, logging.ERROR, "MissingOutputException in rule merge")
    text = run.end()
    assert text.count("MissingOutputException in rule merge") == 1
    assert "0 of 1 jobs done, 1 failed." in text


def test_a_lost_job_is_named(run):
    run = run()
    run.begin(merge=2)
    run.start(1, "merge")
    run.finish(1, 1, 2)
    assert "1 of 2 jobs done, none failed, but the run has ended" in run.end()


def test_members_with_a_message_name_a_failed_group(run):
    run = run()
    run.begin(analyze=2)
    run.start(1, "analyze", log="10:00:00 INFO 3/3\n", indent=True)
    run.start(2, "analyze", log="error: no memory.\n", indent=True)
    info = [{"jobid": 1}, {"jobid": 2}]
    run.send(LogEvent.GROUP_ERROR, groupid="parts-M", aux_logs=[], job_error_info=info)
    run.fail(1, indent=True)
    run.fail(2, indent=True)
    text = run.end()
    assert text.count("failed:") == 1 and "analyze M failed: no memory." in text
    assert "0 of 2 jobs done, 1 failed." in text


def test_a_group_without_a_message_fails_as_one(run):
    run = run()
    run.begin(analyze=2)
    for number in (1, 2):
        run.start(number, "analyze", indent=True)
    info = [{"jobid": 1}, {"jobid": 2}]
    run.send(LogEvent.GROUP_ERROR, groupid="parts-M", aux_logs=["s.log"], job_error_info=info)
    text = run.end()
    assert f"group parts-M failed: 2 jobs, {SILENT} (s.log)" in text
    assert "0 of 2 jobs done, 1 failed." in text


def test_errors_of_the_snakefile_stay_unchanged(run):
    run = run()
    run.send(msg="Assuming unrestricted shared filesystem usage.")
    run.send(LogEvent.ERROR, logging.ERROR, "WorkflowError:\nunknown key modle")
    assert run.end() == "WorkflowError:\nunknown key modle\n"


def test_what_handlers_refuse_is_one_sentence(run):
    made = run()
    sentence = "results: cannot write into x (Read-only file system)."
    place = '"/p/workflow/rules/handlers.smk", line 24'
    frames = f'  File "/p/Snakefile", line 83, in __onstart\n  File {place}, in begin'
    text = f"WorkflowError in file {place}:\n{sentence}\n{frames}"
    made.send(LogEvent.ERROR, logging.ERROR, text)
    assert made.end().splitlines()[0] == f"error: {sentence}"


@pytest.mark.parametrize("setting", [{"dryrun": True}, {"quiet": {"rules"}}, {"verbose": True}])
def test_dry_and_quiet_runs_stay_unchanged(run, setting):
    run = run(**setting)
    run.begin(merge=1)
    run.send(LogEvent.JOB_INFO, msg="rule merge:")
    assert run.end() == "\nrule merge:\n"


def test_control_characters_have_no_effect(run):
    run = run()
    run.begin(merge=1)
    run.start(1, "merge", wildcards={"model": "a\x1b[2J"}, log="error: b\x1b[2Jc\n")
    run.fail(1)
    assert "\x1b" not in run.end()


def test_jobs_that_are_interrupted_have_not_failed(run):
    run = run()
    run.begin(merge=1)
    run.start(1, "merge", log="error: ended by SIGINT: the run was interrupted.\n")
    run.send(msg="Terminating processes on user request, this might take some time.")
    run.fail(1)
    assert run.end().splitlines()[1:] == [
        "Terminating processes on user request, this might take some time.",
        "0 of 1 jobs done, interrupted; the same command goes on from here.",
    ]


def test_an_odd_record_does_not_end_the_output(run):
    run = run()
    run.begin(merge=1)
    run.send(LogEvent.JOB_INFO)
    run.start(1, "merge")
    run.finish(1, 1, 1)
    assert "1 of 1 jobs done in" in run.end()
