"""Names and types of columns: all that measuring and writing use of the records of columns.

A job's fingerprint counts this module by its constants instead of its code and imports, so a better
description of a column measures nothing again. Pages, which show descriptions, import the records.
"""

from collections.abc import Iterable
from typing import NamedTuple

from blockresearch.tables import columns, rounding_columns, spectral_columns, value_columns
from blockresearch.tables.column import Column


class Field(NamedTuple):
    """One column; `type` is string, integer, number, boolean, integers or numbers (lists)."""

    name: str
    type: str


def names(records: Iterable[Column]) -> tuple[str, ...]:
    """The names of columns, in their order."""
    return tuple(column.name for column in records)


FIELDS = {
    table: tuple(Field(column.name, column.type) for column in schema.columns)
    for table, schema in columns.SCHEMAS.items()
}

MOMENTS, VALUES = names(value_columns.MOMENTS), names(value_columns.VALUES)

METRICS = names((spectral_columns.RANK, *spectral_columns.RANKS, *spectral_columns.SPECTRAL))

NOISE_LAW = spectral_columns.NOISE_LAW

ROUNDING = names(rounding_columns.ROUNDING)

LOW_BIT_FORMATS = tuple(each.name for each in rounding_columns.LOW_BIT_FORMATS)

QUANTILES = value_columns.QUANTILES
