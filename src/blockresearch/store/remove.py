"""Take models out of a store."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from blockresearch.files import atomic
from blockresearch.store import summaries
from blockresearch.store.partitions import MODELS, StoreError, alone, table_of


def remove(keys: Iterable[str], store: Path) -> list[Path]:
    """Remove models from a store by their keys, and return the partitions that were deleted.

    They leave the lists first, so that no reader looks for a file that is gone. Raises StoreError
    if one is not there, before anything is removed.
    """
    names, target = set(keys), store / MODELS
    if not target.is_file():
        raise StoreError(f"{store} has no {MODELS}: there is no store.")
    with alone(store):
        table = pq.read_table(target)
        is_gone = [model in names for model in table["model"].to_pylist()]
        gone = table.filter(is_gone)
        if missing := names - set(gone["model"].to_pylist()):
            raise StoreError(
                f"{store} has no model {', '.join(sorted(missing))}: `blockresearch store list` "
                "names those that it has."
            )
        files = [path for paths in gone["files"].to_pylist() for path in paths if table_of(path)]
        with atomic(target) as temporary:
            kept = table.filter([not each for each in is_gone])
            pq.write_table(kept, temporary, compression="zstd")
        summaries.replace(store, [], gone=names)
        for path in files:
            (store / path).unlink(missing_ok=True)
            with suppress(OSError):
                (store / path).parent.rmdir()
    return [store / path for path in files]
