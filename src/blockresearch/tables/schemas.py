"""Names and types of columns: all that measuring and writing use of the records in `columns`.

A job's fingerprint counts this module by its constants instead of its code and imports, so a better
description of a column measures nothing again. Pages, which show descriptions, import `columns`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from blockresearch.tables import columns


class Field(NamedTuple):
    """One column; `type` is string, integer, number, boolean, integers or numbers (lists)."""

    name: str
    type: str


def names(records: Iterable[columns.Column]) -> tuple[str, ...]:
    """The names of columns, in their order."""
    return tuple(column.name for column in records)


FIELDS = {
    table: tuple(Field(column.name, column.type) for column in schema.columns)
    for table, schema in columns.SCHEMAS.items()
}

MOMENTS, VALUES = names(columns.MOMENTS), names(columns.VALUES)

METRICS = names((columns.RANK, *columns.RANKS, *columns.SPECTRAL))

NOISE_LAW = columns.NOISE_LAW

ROUNDING = names(columns.ROUNDING)

LOW_BIT_FORMATS = tuple(each.name for each in columns.LOW_BIT_FORMATS)

QUANTILES = columns.QUANTILES
