"""Why jobs failed, read from their logs and benchmarks.

A rule writes `logs/NAME.log` while it runs and `benchmarks/NAME.tsv` only when it succeeds, so a
log without a benchmark at least as new belongs to a job that failed, was killed, or still runs.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from blockresearch.files import MIN_FREE_BYTES

KILLED = (
    "killed without an error message, most likely because memory ran out; run fewer jobs at once "
    "(--cores, or --resources mem_mb=...)"
)

FULL = "the disk is full; make room there, then start the same command again"

# Scripts end with "error: …", argparse with "NAME.py: error: …".
ERROR = re.compile(r"(?:\S+: )?error: (.+)")


# How the last line of an interrupted job begins: of a script, and of one that still started.
INTERRUPTED = ("ended by SIG", "KeyboardInterrupt")


@dataclass(frozen=True)
class Failure:
    """The job of a model that did not succeed; no reason if its log has no error message."""

    rule: str
    reason: str | None

    @property
    def is_error(self) -> bool:
        """Whether the same command would fail again: the job was not killed or interrupted."""
        return self.reason is not None and not self.reason.startswith(INTERRUPTED)


def error_message(log: Path) -> str | None:
    """The last error in a job's log, or the last line of a traceback; None if there is neither."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    errors = [found[1] for line in lines if (found := ERROR.match(line))]
    if errors:
        return errors[-1]
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else None


def explain(log: Path) -> str:
    """Why the failed job of `log` failed, also if it left no error message."""
    folder = log.parent
    full = folder.is_dir() and shutil.disk_usage(folder).free < MIN_FREE_BYTES
    return error_message(log) or (FULL if full else KILLED)


def unfinished_logs(folder: Path) -> list[Path]:
    """Logs in `folder/logs` of jobs that have not succeeded since, newest first."""
    logs = []
    for log in folder.glob("logs/**/*.log"):
        name = log.relative_to(folder / "logs").with_suffix(".tsv")
        if _time(log) > _time(folder / "benchmarks" / name):
            logs.append(log)
    return sorted(logs, key=_time, reverse=True)


def failure(folder: Path, downloads: list[Path]) -> Failure | None:
    """The newest failure of the model in `folder`; None if no job of it has failed since its page.

    `downloads` are the folders that its files are downloaded to, with their logs.
    """
    page = _time(folder / "index.html")
    found = [(log, log.relative_to(folder / "logs").parts[0]) for log in unfinished_logs(folder)]
    found += [(log, "download") for place in downloads for log in unfinished_logs(place)]
    newest = sorted(
        ((log, rule) for log, rule in found if _time(log) > page),
        key=lambda pair: _time(pair[0]),
        reverse=True,
    )
    failures = [Failure(rule.removesuffix(".log"), error_message(log)) for log, rule in newest]
    explained = [failure for failure in failures if failure.reason]
    # Next to a page, a log without a message proves nothing: copied files have new times.
    return next(iter(explained or ([] if page else failures)), None)


def _time(path: Path) -> float:
    """When a file was last written, seconds; 0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
