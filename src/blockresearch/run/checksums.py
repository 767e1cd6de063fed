"""Whether what a run made is still what it made: a record of checksums beside the results.

Snakemake looks at times, so a table that was cut or altered after the run would stay. The record is
written at the end of a run and compared at the start of the next one. Reading everything would be
slow, so a file is read only where its size or its times differ from the record; the change time
cannot be set back.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from blockresearch.results import ALL

NAME = "checksums.json"

Times = tuple[int, int, int]


def altered_results(results: str, models: Iterable[str]) -> dict[Path, Times]:
    """Artifacts of these models, and of the page of all, that are not what the record says."""
    found: dict[Path, Times] = {}
    for folder, names in _covered(results, models):
        found |= {folder / name: times for name, times in altered(folder, names).items()}
    return found


def record_results(results: str, models: Iterable[str], distrusted: Mapping[Path, Times]) -> None:
    """Write the records anew; `distrusted` is what `altered_results` found at the start."""
    for folder, names in _covered(results, models):
        ours = {name: distrusted[folder / name] for name in names if folder / name in distrusted}
        record(folder, names, ours)


def _covered(results: str, models: Iterable[str]) -> Iterator[tuple[Path, list[str]]]:
    yield Path(results), ["index.html", "index.json", "glossary.html"]
    for model in models:
        yield Path(results, model), _artifacts_of(Path(results, model))


def _artifacts_of(folder: Path) -> list[str]:
    """Names of the artifacts in a model's folder, with the parts of its present plan."""
    names = [*ALL, "index.html", "comparison.json", "plan.json"]
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        parts = {part["part"] for part in plan["parts"]}
    except (OSError, ValueError, TypeError, KeyError):
        parts = set()
    measured = (path.name for path in folder.glob("parts/*.parquet"))
    return names + [f"parts/{name}" for name in measured if name.partition(".")[0] in parts]


def altered(folder: Path, names: Iterable[str]) -> dict[str, Times]:
    """Files whose bytes are not those of the record, with their size and times; none without one.

    A file that is missing or has no record is not among them.
    """
    known, found = _read(folder), {}
    for name in names:
        path, entry = folder / name, known.get(name)
        if entry is None or not path.is_file():
            continue
        times = times_of(path)
        if list(times) != entry["times"] and _sha256(path) != entry["sha256"]:
            found[name] = times
    return found


def record(folder: Path, names: Iterable[str], distrusted: Mapping[str, Times]) -> None:
    """Write the record of these files. One that was found altered and has not been made again since
    (its times are those of `distrusted`) keeps its old entry."""
    from blockresearch.files import write_json  # pandas, which a start does not need

    known, entries = _read(folder), {}
    for name in sorted(set(names)):
        path, entry = folder / name, known.get(name)
        if not path.is_file():
            continue
        times = times_of(path)
        if entry is None or (list(times) != entry["times"] and times != distrusted.get(name)):
            entry = {"sha256": _sha256(path), "times": list(times)}
        entries[name] = entry
    if entries and entries != known:
        write_json(entries, folder / NAME)


def _read(folder: Path) -> dict[str, dict]:
    """The record; empty where there is none or it is damaged itself."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return {name: {"sha256": e["sha256"], "times": e["times"]} for name, e in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def times_of(path: Path) -> Times:
    """Size, modification and change time: what tells whether a file has been written since."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
