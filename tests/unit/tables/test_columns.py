"""The records of the columns are complete."""

import pytest

from blockresearch.tables.columns import (
    SCHEMAS,
    find_column,
)
from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)

TYPES = ("string", "integer", "number", "boolean", "integers", "numbers")


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_record_is_complete(table):
    schema = SCHEMAS[table]
    assert schema.files and schema.row
    assert len({column.name for column in schema.columns}) == len(schema.columns)
    for column in schema.columns:
        assert column.type in TYPES and column.meaning, column.name
        if column.type not in ("string", "boolean"):
            assert column.unit, f"{column.name} states no unit, not even none"
        if column.type in ("number", "numbers"):
            assert column.formula, f"{column.name} has no formula"


def test_a_column_has_the_same_type_in_all_tables():
    # Sums over a layer are means there, and the share of a cluster is no property of a token.
    different = {"spikes", "leading_space"}
    types: dict[str, set[str]] = {}
    for schema in SCHEMAS.values():
        for column in schema.columns:
            types.setdefault(column.name, set()).add(column.type)
    assert {name for name, found in types.items() if len(found) > 1} == different


def test_every_low_bit_format_has_two_columns():
    for each in LOW_BIT_FORMATS:
        for table in ("params", "matrices"):
            assert find_column(table, f"{each.name}_sqnr_db").source == each.source
            assert find_column(table, f"{each.name}_max_error").type == "number"


def test_an_unknown_column_is_an_error():
    with pytest.raises(KeyError, match=r"params\.nothing"):
        find_column("params", "nothing")
