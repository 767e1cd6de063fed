"""What failed for which model: collected while a run goes on, left in the folders of the models.

A model that fails must not hide the others, so the page of all models is also made after a failure
and names it, from the file `failure.json` that this module writes.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blockresearch.checkpoint.manifest import content_key
from blockresearch.files import read_json
from blockresearch.results import NAME

KILLED = (
    "the job ended without a word, most likely killed because memory ran out; run fewer jobs at "
    "once (--cores, or --resources mem_mb=...)"
)

ROOM = 2**16  # bytes; with less a disk counts as full

FULL = "the disk is full; make room there, then start the same command again"


@dataclass(frozen=True)
class Job:
    """A job as Snakemake's log names it."""

    rule: str
    wildcards: dict[str, str]
    log: str | None


class Failures(logging.Handler):
    """Reads the events that Snakemake logs and keeps the jobs whose last attempt failed."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}

    def emit(self, record: logging.LogRecord) -> None:
        facts = vars(record)
        event = str(facts.get("event", ""))
        if event == "job_info":
            logs = list(facts["log"] or [])
            self.jobs[facts["jobid"]] = Job(
                facts["rule_name"], dict(facts["wildcards"] or {}), logs[0] if logs else None
            )
        elif event == "job_error" and facts["jobid"] in self.jobs:
            self.failed[facts["jobid"]] = self.jobs[facts["jobid"]]
        elif event == "job_finished":
            self.failed.pop(facts["job_id"], None)

    def write(self, results: str, models: Iterable[str]) -> list[str]:
        """Write what failed into the models' folders; returns a line for each failed model.

        A disk that takes no more is said in a line, too.
        """
        from blockresearch.files import write_json  # pandas, which a run that goes well never needs

        lines = []
        for model in models:
            concerned = [job for job in self.failed.values() if _concerns(job, model, results)]
            for first in concerned[:1]:
                entry = {"rule": first.rule, "reason": reason(first.log), "log": first.log}
                lines.append(f"{model} failed in {first.rule}: {entry['reason']}")
                try:
                    write_json(entry, Path(results, model, NAME))
                except OSError as error:
                    lines.append(f"cannot note that in {results}: {error.strerror}.")
        return lines


def collect(logger: str = "snakemake.logging") -> Failures:
    """The collector of this process, which from now on reads Snakemake's log."""
    log = logging.getLogger(logger)
    known = next((handler for handler in log.handlers if isinstance(handler, Failures)), None)
    if known is None:
        known = Failures()
        log.addHandler(known)
    return known


def forget(results: str, models: Iterable[str]) -> None:
    """Remove what an earlier run said of these models; ValueError where nothing can be written.

    A run that cannot write its results ends here and not after hours.
    """
    try:
        Path(results).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results) as file:
            file.write(bytes(ROOM))
            file.flush()
        for model in models:
            Path(results, model, NAME).unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"results: cannot write into {results} ({error.strerror}); choose another folder with "
            "`results`, or make it writable."
        ) from error


def reason(log: str | None) -> str:
    """The sentence at the end of a job's log."""
    try:
        lines = Path(log or "").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1]
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    folder = Path(log or ".").parent
    full = folder.is_dir() and shutil.disk_usage(folder).free < ROOM
    return FULL if full else KILLED


def _concerns(job: Job, model: str, results: str) -> bool:
    """Whether a job is one of a model, or fetches one of its files."""
    if "key" not in job.wildcards:
        return job.wildcards.get("model") == model
    try:
        manifest = read_json(Path(results, model, "manifest.json"))
    except (OSError, ValueError):
        return False
    return any(content_key(file) == job.wildcards["key"] for file in manifest["files"])
