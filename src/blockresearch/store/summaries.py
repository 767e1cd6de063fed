"""What the page of all models shows of the models of a store, in one file of it.

`summaries.parquet` has one row per model with its `comparison.json` and the counts of its audit as
JSON, so that a page of a thousand models reads one file and needs none of their folders.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from blockresearch.files import atomic
from blockresearch.store.partitions import StoreError
from blockresearch.summary import Summary

SUMMARIES = "summaries.parquet"

FIELDS = pa.schema(
    [
        ("model", pa.string()),
        ("folder", pa.string()),
        ("written_ns", pa.int64()),
        ("comparison", pa.large_string()),
        ("counts", pa.string()),
    ]
)


def replace(store: Path, summaries: Iterable[Summary], gone: Iterable[str] = ()) -> None:
    """Write summaries to a store in place of those of the same models; delete those of `gone`.

    The caller keeps other writers out.
    """
    new = pa.Table.from_pylist([_row(summary) for summary in summaries], FIELDS)
    out = pa.array([*new["model"].to_pylist(), *gone], pa.string())
    former = _table(store)
    kept = former.filter(pc.invert(pc.is_in(former["model"], value_set=out)))
    table = pa.concat_tables([kept, new]).sort_by("model")
    with atomic(store / SUMMARIES) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def summaries(store: Path) -> list[Summary]:
    """The summaries of the models of a store, by their keys; none if there is no store yet.

    Raises StoreError if the file is damaged.
    """
    try:
        return [
            Summary(
                row["model"],
                row["folder"],
                row["written_ns"],
                json.loads(row["comparison"]),
                json.loads(row["counts"]),
            )
            for row in _table(store).to_pylist()
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{store / SUMMARIES} is damaged ({error}): delete it and add the models again."
        ) from error


def _table(store: Path) -> pa.Table:
    path = store / SUMMARIES
    return pq.read_table(path) if path.is_file() else FIELDS.empty_table()


def _row(summary: Summary) -> dict[str, Any]:
    return {
        "model": summary.model,
        "folder": summary.folder,
        "written_ns": summary.written_ns,
        "comparison": json.dumps(summary.comparison, separators=(",", ":")),
        "counts": json.dumps(summary.counts),
    }
