"""Every numeric column has its accuracy, its meaning for trained weights and a caution."""

from blockresearch.tables.columns import (
    SCHEMAS,
)
from blockresearch.tables.guidance import BY_COLUMN, GUIDANCE, IDENTITY


def test_every_numeric_column_has_guidance_once():
    numeric = {
        column.name
        for schema in SCHEMAS.values()
        for column in schema.columns
        if column.type not in ("string", "boolean")
    }
    assert numeric - IDENTITY == set(BY_COLUMN) - {"leading_space"} | ({"leading_space"} & numeric)
    assert sum(len(record.columns) for record in GUIDANCE) == len(BY_COLUMN)
    assert all(record.accuracy and record.trained and record.caution for record in GUIDANCE)
