"""Write tables that explain themselves: the model in every row, units, and where numbers come from.

The metadata of a Parquet file (`pyarrow.parquet.read_schema(path).metadata`) has the facts of
`checkpoint.provenance`, and the unit of each column as metadata of the column. CSV and JSON have
the columns `model` and `base_model` only.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from blockresearch.tables import io
from blockresearch.tables.units import UNITS

Facts = Mapping[str, str]


def write_labeled(
    data: pd.DataFrame,
    table: str,
    path: str | os.PathLike[str],
    facts: Facts,
    format: str | None = None,
) -> None:
    """Write `data` as `io.write_table` does, with labels.

    The columns `model` and `base_model`, if the table has them, get the facts of that name.
    """
    names = [name for name in io.NAMES if name in io.columns(table)]
    named = data.assign(**{name: facts[name] for name in names})
    io.write_table(named, table, path, format, _labels(table, facts))


def write_both(data: pd.DataFrame, table: str, stem: str | os.PathLike[str], facts: Facts) -> None:
    """Write `stem`.csv, for spreadsheets, and `stem`.parquet, for programs."""
    for format in ("csv", "parquet"):
        write_labeled(data, table, f"{stem}.{format}", facts)


def stack_labeled(
    paths: Iterable[str | os.PathLike[str]],
    table: str,
    order: Iterable[str],
    out: Path,
    facts: Facts,
    roles: Mapping[str, str | None],
) -> None:
    """The tables of all parts as one labeled file; see `io.stack_file`."""
    io.stack_file(paths, table, order, out, facts["model"], roles, _labels(table, facts))


def read_facts(path: str | os.PathLike[str]) -> dict[str, str]:
    """The facts in the metadata of a Parquet file."""
    import pyarrow.parquet as pq

    found = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in found.items()}


def _labels(table: str, facts: Facts) -> io.Labels:
    return io.Labels({**facts, "table": table}, UNITS[table])
