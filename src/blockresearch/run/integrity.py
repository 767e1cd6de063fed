"""Whether results are still what a run made: a record of hashes beside them, and `verify`.

Snakemake looks at times, so a table that was cut or altered after the run would stay. The record is
written at the end of a run and compared by `snakemake verify`, which reads every result again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from blockresearch.files import write_json
from blockresearch.results import ALL, CIRCUITS, COMPARISON, TRAINING_RUN

NAME = "checksums.json"

# Folder -> what lies in each of its folders.
OTHERS = {"compare": COMPARISON, "dynamics": TRAINING_RUN}


def record(results: str, folders: Iterable[str], since: int) -> None:
    """Write the hashes of the results in these folders, and of the page of all models.

    A folder is that of a model, `compare/<other>-vs-<base>` or `dynamics/<model>`.

    Files that were written after the time `since` (ns, see `started_at`) get a new hash. Of the
    others the hash that is recorded stays, so that an altered file never becomes the right one.
    """
    for folder, names in _results(results, folders):
        known = read_record(folder)
        entries = {}
        for name in names:
            path = folder / name
            if not path.is_file():
                continue
            is_new = name not in known or path.stat().st_mtime_ns >= since
            entries[name] = _sha256(path) if is_new else known[name]
        if entries and entries != known:
            write_json(entries, folder / NAME)


def verify(results: str, folders: Iterable[str]) -> tuple[list[Path], list[Path], list[Path]]:
    """Files that differ from the record, files that are missing, and folders without a record, of
    folders as in `record`."""
    altered, missing, unknown = [], [], []
    for folder, names in _results(results, folders):
        known = read_record(folder)
        if not known:
            unknown.append(folder)
        for name in names:
            path = folder / name
            if name not in known:
                continue
            if path.is_file() and _sha256(path) != known[name]:
                altered.append(path)
            # A deleted part is measured again when it is needed.
            if not path.is_file() and not name.startswith("parts/"):
                missing.append(path)
    return altered, missing, unknown


def read_record(folder: Path) -> dict[str, str]:
    """sha256 by name; empty if there is no record or it is damaged itself."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return {str(name): str(sha256) for name, sha256 in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def others(results: Path) -> list[str]:
    """The folders of comparisons and training runs that are there."""
    found = [path for name in OTHERS for path in sorted((results / name).glob("*/"))]
    return [path.relative_to(results).as_posix() for path in found]


def _results(results: str, folders: Iterable[str]) -> Iterator[tuple[Path, list[str]]]:
    yield Path(results), ["index.html", "index.json", "glossary.html"]
    for name in folders:
        folder = Path(results, name)
        if (kind := name.partition("/")[0]) in OTHERS:
            yield folder, list(OTHERS[kind])
            continue
        circuits = [name for name in CIRCUITS if (folder / name).is_file()]
        yield (
            folder,
            [*ALL, *circuits, "index.html", "comparison.json", "plan.json", *_parts(folder)],
        )


def _parts(folder: Path) -> list[str]:
    """Tables of the parts of the present plan, on the disk or not."""
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        parts = [part["part"] for part in plan["parts"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    tables = ("params", "matrices", "spectra", "histograms")
    return [f"parts/{part}.{table}.parquet" for part in parts for table in tables]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
