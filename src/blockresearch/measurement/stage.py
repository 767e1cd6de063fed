"""Tables of parts that were measured ahead, while their shard was on the disk.

They lie in a separate folder until the jobs of analyze take them. Their names contain a hash of
all that determines their content, so tables of other settings or other code are never taken.
A job that only takes them imports no library of tables.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from blockresearch.checkpoint.plan import Part
from blockresearch.files import atomic
from blockresearch.measurement.settings import TABLES, Settings

if TYPE_CHECKING:
    from blockresearch.measurement.part import Rows

# A path without the ending .TABLE.parquet.
Prefix = str | os.PathLike[str]


def staged_prefix(folder: Prefix, part: Part, settings: Settings, code: str) -> Path:
    """Where the tables of a part are staged; `code` is the fingerprint of the measuring program."""
    chosen = [settings.sparsity_threshold, settings.spectra]
    chosen += [settings.sketch_above] if settings.spectra == "sketch" else []
    text = json.dumps([part.digest, chosen, code])
    return Path(folder, f"{part.part}-{hashlib.sha256(text.encode()).hexdigest()[:16]}")


def tables(prefix: Prefix) -> list[Path]:
    """Paths of the tables of a part."""
    return [Path(f"{os.fspath(prefix)}.{table}.parquet") for table in TABLES]


def write_tables(rows: "Rows", prefix: Prefix) -> None:
    """Write the tables of a part."""
    from blockresearch.tables.io import frame, write_table

    for table, path in zip(TABLES, tables(prefix), strict=True):
        write_table(frame(getattr(rows, table), table), table, path)


def is_staged(prefix: Prefix) -> bool:
    """Whether all tables of a part are there."""
    return all(path.is_file() for path in tables(prefix))


def take(staged: Prefix, target: Prefix) -> None:
    """Put staged tables of a part in their place.

    They are copied before they are deleted, so that an interrupted job finds them again.
    """
    for source, place in zip(tables(staged), tables(target), strict=True):
        with atomic(place) as temporary:
            shutil.copyfile(source, temporary)
    for source in tables(staged):
        source.unlink()


def remove_outdated(folder: Prefix, shard: str, current: Iterable[Prefix]) -> None:
    """Delete staged tables of the shard numbered `shard` that none of `current` names."""
    kept = {path for prefix in current for path in tables(prefix)}
    for path in Path(folder).glob(f"{shard}-*"):
        if path not in kept:
            path.unlink(missing_ok=True)
