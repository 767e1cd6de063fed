"""A run as a whole: what is checked before its first job and after its last."""

import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from blockresearch.failures import unfinished_logs
from blockresearch.files import require_writable
from blockresearch.results import ALL


def started_at(results: str, store: str | None) -> int:
    """Time of the results' file system in ns. Raises ValueError if nothing can be written there, or
    into the store that the models are added to."""
    require_writable(results)
    if store is not None:
        require_writable(store, "store")
    with tempfile.NamedTemporaryFile(dir=results) as file:
        return Path(file.name).stat().st_mtime_ns


def lost_jobs(results: str, names: Iterable[str], since: int) -> list[Path]:
    """Logs of jobs that were started after the time `since` (ns) and have not succeeded, in folders
    of models, comparisons (`compare/…`) and training runs (`dynamics/…`).

    Snakemake 9.27 drops the second attempt of a job if the checkpoint of another model ends before
    that attempt begins, and calls the run a success.
    """
    folders = [*(Path(results, name) for name in names), *Path(results).glob("downloads/*/")]
    logs = [log for folder in folders for log in unfinished_logs(folder)]
    return [log for log in logs if log.stat().st_mtime_ns >= since]


def finished(results: str, models: Iterable[str], since: int) -> list[str]:
    """The models with complete results, also of an earlier run: no job of theirs that was started
    after the time `since` (ns) failed, and comparison.json, which is written last, is as new as
    every other file that was written since."""
    found = []
    for model in models:
        folder = Path(results, model)
        last = _written(folder / "comparison.json")
        newest = max(_written(folder / name) for name in ALL)
        if last and (newest < since or newest <= last) and not lost_jobs(results, [model], since):
            found.append(model)
    return found


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def cancel_timers() -> None:
    """After the last job: cancel the timers that would wake the scheduler, which has ended.

    Snakemake 9.27 starts one for each job (`max-jobs-per-timespan`), and the process would wait for
    them at its end.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
