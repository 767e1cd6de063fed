"""The state of a run as Snakemake's events describe it: what is done, runs, is left, failed."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from blockresearch.failures import error_message, explain
from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import declared, say
from blockresearch.text import visible

# Seconds assumed for a job of a rule of which none has started yet.
OTHER_SECONDS = 3.0

# Share of the time that a late job has run for so far by which it is expected to go on.
LATE_SHARE = 0.2

# Predicted seconds from which on a job's own time is worth a look.
LONG_JOB_SECONDS = 20

# The rule whose jobs appear in plan.json, and only later in events.
MEASURING = "analyze"

# How the project's scripts begin a line of their logs.
STAMP = re.compile(r"^\d\d:\d\d:\d\d [A-Z]+ ")

# Bytes at the end of a log that are searched for its last line.
TAIL_BYTES = 4096

SILENT = "none with an error message, most likely killed for their memory or time"

# Seconds by which the clocks of the machines of a cluster may differ.
CLOCK_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """A job as its JOB_INFO describes it; `started` is time.monotonic(), `date` time.time()."""

    rule: str
    wildcards: tuple[str, ...]
    logs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    predicted: float | None
    is_checkpoint: bool
    started: float = field(default_factory=time.monotonic)
    date: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        """The rule and what it is applied to."""
        return visible(" ".join((self.rule, *self.wildcards)))

    @property
    def seconds(self) -> float:
        """Since it started, or on a cluster since it was submitted."""
        return time.monotonic() - self.started

    @property
    def activity(self) -> str:
        """What the job does: the last line of its log; empty if there is none."""
        return last_line(self.logs[0]) if self.logs and self._has_fresh_log() else ""

    def failure(self, has_message: bool = False) -> str | None:
        """One sentence about its failure; None if there has to be a message and there is none."""
        if not self.logs:
            missing = say("{job} failed; it has no log.", job=self.name)
            return None if has_message else spoken(missing)
        log = self.logs[0]
        reason = error_message(log) if self._has_fresh_log() else None
        if reason is None and has_message:
            return None
        return spoken(
            say(
                "{job} failed: {reason} ({log})",
                job=self.name,
                reason=declared(visible(reason or explain(log))),
                log=log,
            )
        )

    def _has_fresh_log(self) -> bool:
        """Whether this job, not one of an earlier run, has written its log."""
        try:
            return self.logs[0].stat().st_mtime > self.date - CLOCK_SECONDS
        except OSError:
            return False


def job_of(record: Any) -> Job:
    """The job that a JOB_INFO announces."""
    return Job(
        rule=record.rule_name,
        wildcards=tuple(map(str, (record.wildcards or {}).values())),
        logs=tuple(map(Path, record.log or ())),
        outputs=tuple(map(Path, record.output or ())),
        predicted=_number((record.resources or {}).get("predicted_s")),
        is_checkpoint=bool(getattr(record, "is_checkpoint", False)),
    )


class Progress:
    """Counts jobs, times them, and estimates the time left."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.running: dict[int, Job] = {}
        self.failed: dict[int, str] = {}
        self.attempts: Counter[int] = Counter()
        self._jobs: dict[int, Job] = {}
        self._left: Counter[str] = Counter()
        self._checkpoints: set[str] = set()
        self._predicted: dict[str, list[float]] = {}
        # Measured over predicted seconds of finished jobs by rule, the latest ones most.
        self._finished: dict[str, float] = {}
        self._most_at_once = 1
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def plan(self, stats: Mapping[str, int]) -> None:
        """Take the numbers of jobs by rule that are known before the first one starts."""
        self._left = Counter({rule: count for rule, count in stats.items() if rule != "total"})
        self.total = stats.get("total", self._left.total())

    def start(self, number: int, job: Job) -> None:
        """A job starts, for the first time or again."""
        self.attempts[number] += 1
        if self.attempts[number] == 1:
            self._left[job.rule] = max(self._left[job.rule] - 1, 0)
            if job.predicted is not None:
                self._predicted.setdefault(job.rule, []).append(job.predicted)
        if job.is_checkpoint:
            self._checkpoints.add(job.rule)
        self.running[number] = self._jobs[number] = job
        self._most_at_once = max(self._most_at_once, len(self.running))

    def finish(self, number: int) -> Job | None:
        """A job has succeeded; None if it is unknown."""
        job = self.running.pop(number, None) or self._jobs.get(number)
        self.failed.pop(number, None)
        if job:
            if job.predicted:
                factor = job.seconds / job.predicted
                self._finished[job.rule] = (self._finished.get(job.rule, factor) + factor) / 2
            for path in job.outputs:
                if job.is_checkpoint and path.name == "plan.json":
                    self._add_parts(path)
        return job

    def fail(self, number: int) -> str | None:
        """A job has failed: what is new about that; None if its last attempt ended the same way."""
        self.running.pop(number, None)
        job = self._jobs.get(number)
        sentence = job.failure() if job else None
        return self._note(number, sentence) if sentence else None

    def fail_group(self, name: str, numbers: Sequence[int], logs: Sequence[str]) -> list[str]:
        """A group has failed: what is new about its members that left a message.

        If none did, one sentence about all. `logs` are those of the scheduler.
        """
        sentences = {}
        for number in numbers:
            self.running.pop(number, None)
            job = self._jobs.get(number)
            if job and (sentence := job.failure(has_message=True)):
                sentences[number] = sentence
        if not sentences:
            log = f" ({logs[0]})" if logs else ""
            sentence = f"{name} failed: {len(numbers)} jobs, {SILENT}{log}"
            sentences = dict.fromkeys(numbers, sentence)
        told = (self._note(number, sentence) for number, sentence in sentences.items())
        return list(dict.fromkeys(sentence for sentence in told if sentence))

    def _note(self, number: int, sentence: str) -> str | None:
        known = self.failed.get(number)
        self.failed[number] = sentence
        return sentence if sentence != known else None

    @property
    def _failures(self) -> int:
        # A group that left no message counts once.
        return len(set(self.failed.values()))

    def _add_parts(self, plan: Path) -> None:
        """Jobs that follow from a plan that has just been made."""
        try:
            parts = json.loads(plan.read_text(encoding="utf-8"))["parts"]
            seconds = [float(part["seconds"]) for part in parts]
        except (OSError, ValueError, KeyError, TypeError):
            return
        self._left[MEASURING] += len(parts)
        self._predicted.setdefault(MEASURING, []).extend(seconds)

    def seconds_left(self) -> float | None:
        """Seconds to the end of the run; None as long as models are still looked up."""
        looked_up = any(job.is_checkpoint for job in self.running.values())
        if not self.total or looked_up or any(self._left[rule] for rule in self._checkpoints):
            return None
        waiting = max(self.total - self.done - len(self.running), 0)
        known = self._left.total()
        work = sum(count * self._mean(rule) for rule, count in self._left.items())
        if known > waiting:
            # Parts of a plan that are measured already.
            work *= waiting / known
        else:
            work += (waiting - known) * OTHER_SECONDS
        rest = [self._rest(job) for job in self.running.values()]
        return max([(work + sum(rest)) / self._most_at_once, *rest])

    def _mean(self, rule: str) -> float:
        predicted = self._predicted.get(rule)
        mean = sum(predicted) / len(predicted) if predicted else OTHER_SECONDS
        return mean * self._factor(rule)

    def _rest(self, job: Job) -> float:
        expected = (job.predicted or OTHER_SECONDS) * self._factor(job.rule)
        # Of a job that takes longer than expected, a share of what it took so far.
        return max(expected - job.seconds, LATE_SHARE * job.seconds, 1.0)

    def _factor(self, rule: str) -> float:
        """How much longer jobs of a rule take here than predicted."""
        if rule in self._finished:
            return self._finished[rule]
        # A busy machine is slow in every rule; quick downloads make nothing else quick.
        return max(1.0, median(self._finished.values())) if self._finished else 1.0

    def summary(self) -> str:
        """What is done, and how long the rest will take."""
        if not self.total:
            return spoken(say("finding out which jobs to run"))
        counts = {"done": self.done, "total": self.total}
        if self.failed:
            # Jobs that wait for a failed one will never run, and no event says which these are.
            failed = say(
                "{done} of {total} jobs done, {failed} failed", failed=self._failures, **counts
            )
            return spoken(failed)
        left = self.seconds_left() if self.done < self.total else None
        if not left:
            return spoken(say("{done} of {total} jobs done", **counts))
        return spoken(
            say("{done} of {total} jobs done, about {time} left", time=duration(left), **counts)
        )

    def activities(self, most: int) -> list[str]:
        """A line for each job that runs, longest first, `most` of them."""
        jobs = sorted(self.running.values(), key=lambda job: job.started)
        lines = []
        for job in jobs[:most]:
            activity = job.activity
            expected = (job.predicted or 0) * self._factor(job.rule)
            is_early = job.seconds < expected and expected >= LONG_JOB_SECONDS
            spent = duration(job.seconds)
            if is_early:
                spent = spoken(say("{time} of about {all}", time=spent, all=duration(expected)))
            lines.append(f"{job.name}, {spent}" + (activity and f": {activity}"))
        more = len(jobs) - most
        return [*lines, spoken(say("and {count} more", count=more))] if more > 0 else lines

    def conclusion(self, has_error: bool, is_interrupted: bool) -> str:
        """The last sentence of a run; `has_error` if there was an error that no job explains."""
        counts = {"done": self.done, "total": self.total}
        if self.done >= self.total:
            time_spent = duration(self.seconds)
            return spoken(say("{done} of {total} jobs done in {time}.", time=time_spent, **counts))
        if is_interrupted:
            return spoken(
                say(
                    "{done} of {total} jobs done, interrupted; the same command goes on from here.",
                    **counts,
                )
            )
        # A job whose output is missing ends with a separate error, and no event.
        failures = self._failures + (len(self.running) if has_error else 0)
        if failures:
            failed = say("{done} of {total} jobs done, {failed} failed.", failed=failures, **counts)
            return spoken(failed)
        if has_error:
            return spoken(say("{done} of {total} jobs done.", **counts))
        return spoken(
            say(
                "{done} of {total} jobs done, none failed, but the run has ended: start the same "
                "command again.",
                **counts,
            )
        )


def last_line(log: Path) -> str:
    """The last line of a log without its time; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            tail = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line for line in re.split(r"[\r\n]+", tail) if line.strip()]
    return visible(STAMP.sub("", lines[-1])) if lines else ""


def duration(seconds: float) -> str:
    """A time span in the units that fit: 38 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _number(value: Any) -> float | None:
    """A resource as a number; None if it is not known yet."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
