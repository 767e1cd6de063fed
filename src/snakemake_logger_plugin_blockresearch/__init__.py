"""Progress and failures of a run, for people: `snakemake --logger blockresearch`.

On a terminal a few lines at the bottom show what is done, how long the rest takes and what each job
does; elsewhere a line is written for each finished job, and when nothing was written for a while.
A failure is one sentence, written once. Dry runs, --quiet and --verbose print Snakemake's own text,
which is always in .snakemake/log, too.
"""

import re
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from logging import ERROR, WARNING, LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from blockresearch.run import closing
from snakemake_logger_plugin_blockresearch.progress import Progress, duration, job_of
from snakemake_logger_plugin_blockresearch.screen import Screen

# Texts of Snakemake, by how they begin. They have no event that would tell them from others.
NOTHING_TO_DO = "Nothing to be done"
INTERRUPTED = ("Terminating processes", "Will exit after")
TOLD = (NOTHING_TO_DO, *INTERRUPTED, "Error: ", "Waiting at most")
# What a sentence of this plugin says better; a command that failed is followed by a JOB_ERROR.
UNTOLD = (
    "Assuming unrestricted",
    "Config file ",
    "Restored previous version",
    "Cannot restore ",
    "Exiting because a job execution failed",
    "RuleException:\nCalledProcessError",
    "WorkflowError:\nAt least one job did not complete",
)

# What our handlers refuse before the first job: a sentence between lines of a traceback.
REFUSED = re.compile(
    r'WorkflowError in file "[^"]*/workflow/rules/handlers\.smk", line \d+:\n(.+?)(\n +File .*)*',
    re.DOTALL,
)

# Jobs of which a terminal, or a line elsewhere, shows what they do.
MOST_JOBS = 6
MOST_JOBS_IN_LINE = 2

SECONDS_BETWEEN_DRAWINGS = 1.0


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the plugin."""

    interval: int = field(
        default=10,
        metadata={
            "help": "Without a terminal: seconds after which a line says what runs",
            "env_var": False,
            "required": False,
            "type": int,
        },
    )


class LogHandler(LogHandlerBase):
    """Turns the events of a run into text; Snakemake calls it in a separate thread."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._screen = Screen(sys.stdout if self.common_settings.stdout else sys.stderr)
        self._is_plain = bool(
            self.common_settings.dryrun
            or self.common_settings.quiet
            or self.common_settings.verbose
            or self.common_settings.debug_dag
        )
        interval = getattr(self.settings, "interval", 10)
        self._interval = SECONDS_BETWEEN_DRAWINGS if self._screen.is_live else interval
        self._progress = Progress()
        self._has_started = self._has_nothing_to_do = self._has_error = False
        self._is_interrupted = False
        self._just_finished: list[str] = []
        self._told: set[str] = set()
        self._written = time.monotonic()
        self._ended = threading.Event()

    def emit(self, record: LogRecord) -> None:
        """Write the content of a record if people need it; never raises."""
        try:
            with self._lock:
                if self._is_plain:
                    self._write_as_is(record)
                else:
                    self._take(record)
                    self._draw()
        except Exception:
            # It would end the thread that Snakemake calls this in, and with it all output.
            self.handleError(record)

    def close(self) -> None:
        """Write how the run ended; a second call does nothing."""
        if not self._ended.is_set():
            self._ended.set()
            with self._lock, suppress(OSError, ValueError):
                # Otherwise the stream is closed, and nobody can read it.
                self._conclude()
        super().close()

    @property
    def _lock(self) -> Any:
        return self.lock or threading.RLock()

    def _write_as_is(self, record: LogRecord) -> None:
        text = self.format(record)
        if text and text != "None":
            # As Snakemake does, an empty line before a job.
            first = "\n" if getattr(record, "event", None) == LogEvent.JOB_INFO else ""
            self._screen.write(first + text)

    def _take(self, record: Any) -> None:
        match getattr(record, "event", None):
            case LogEvent.WORKFLOW_STARTED:
                self._has_started = True
                threading.Thread(target=self._tick, daemon=True).start()
            case LogEvent.RUN_INFO:
                self._progress.plan(record.stats)
                self._say(f"jobs to run: {self._progress.total}", on_terminal=False)
            case LogEvent.JOB_INFO:
                self._progress.start(record.jobid, job_of(record))
            case LogEvent.JOB_FINISHED:
                self._finish(record.job_id)
            case LogEvent.PROGRESS:
                self._progress.done, self._progress.total = record.done, record.total
                self._say_finished()
            case LogEvent.JOB_ERROR if not record.indent:
                # The members of a group are reported together, see GROUP_ERROR.
                self._say_failures([self._progress.fail(record.jobid)])
            case LogEvent.GROUP_ERROR:
                numbers = [info["jobid"] for info in record.job_error_info or ()]
                name = f"group {record.groupid}"
                self._say_failures(self._progress.fail_group(name, numbers, record.aux_logs))
            case LogEvent.SHELLCMD:
                if self.common_settings.printshellcmds:
                    self._say(self.format(record))
            case LogEvent.ERROR | None:
                self._take_text(record)

    def _take_text(self, record: LogRecord) -> None:
        text = self.format(record).strip()
        if refused := REFUSED.fullmatch(text):
            text = f"error: {refused[1]}"
        self._has_nothing_to_do |= text.startswith(NOTHING_TO_DO)
        self._is_interrupted |= text.startswith(INTERRUPTED)
        # The second attempt of a job brings the same text again.
        if text.startswith(UNTOLD) or text in self._told:
            return
        self._has_error |= record.levelno >= ERROR
        if record.levelno >= WARNING or not self._has_started or text.startswith(TOLD):
            self._told.add(text)
            self._say(text)

    def _say_failures(self, sentences: Sequence[str | None]) -> None:
        # Jobs that were interrupted with the run have not failed.
        if not self._is_interrupted:
            for sentence in filter(None, sentences):
                self._say(sentence)

    def _finish(self, number: int) -> None:
        attempts = self._progress.attempts[number]
        has_failed = number in self._progress.failed
        job = self._progress.finish(number)
        if job:
            self._just_finished.append(f"{job.name}, {duration(job.seconds)}")
        if job and has_failed:
            self._say(f"{job.name}: done at attempt {attempts}")

    def _say_finished(self) -> None:
        """A line about jobs that finished, if there is no terminal."""
        if self._just_finished:
            names = "; ".join(self._just_finished[:MOST_JOBS_IN_LINE])
            more = len(self._just_finished) - MOST_JOBS_IN_LINE
            names += f" and {more} more" if more > 0 else ""
            self._say(f"{self._progress.summary()}: {names}", on_terminal=False)
            self._just_finished.clear()

    def _say(self, text: str, on_terminal: bool = True) -> None:
        if on_terminal or not self._screen.is_live:
            self._screen.write(text)
            self._written = time.monotonic()

    def _tick(self) -> None:
        while not self._ended.wait(min(self._interval, SECONDS_BETWEEN_DRAWINGS)):
            with self._lock:
                if self._ended.is_set():
                    break
                try:
                    self._draw()
                    self._say_running()
                except (OSError, ValueError):
                    # The stream is closed.
                    break

    def _draw(self) -> None:
        if self._screen.is_live and self._has_started and not self._ended.is_set():
            jobs = [f"  {line}" for line in self._progress.activities(MOST_JOBS)]
            self._screen.draw([self._progress.summary(), *jobs])

    def _say_running(self) -> None:
        """A line about what runs, if none was written for a while and there is no terminal."""
        if not self._screen.is_live and time.monotonic() - self._written >= self._interval:
            jobs = self._progress.activities(MOST_JOBS_IN_LINE)
            running = f"; running: {'; '.join(jobs)}" if jobs else ""
            self._say(self._progress.summary() + running)

    def _conclude(self) -> None:
        self._screen.draw([])
        if self._is_plain or not self._has_started:
            return
        progress = self._progress
        if progress.total:
            words = progress.conclusion(self._has_error, self._is_interrupted)
            self._screen.write(words)
        has_succeeded = self._has_nothing_to_do or (
            progress.total and progress.done >= progress.total and not self._has_error
        )
        if words := closing.words(with_models=bool(has_succeeded)):
            self._screen.write(f"\n{words}")
