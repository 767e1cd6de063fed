"""Rows of the tables pairs and differences of a comparison, as plans read them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

# Statuses of pairs whose place exists in the base once, and in the same shape.
IN_PLACE = ("matched", "renamed")

# What identifies a pair in both tables.
KEYS = ["param_name", "slice", "other_name", "other_slice"]


def pair_keys(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """What identifies a pair, for each row: name and part in the base, and on the other side."""
    columns = [table[name].astype(object).fillna("") for name in KEYS]
    return list(zip(*columns, strict=True))


def with_status(pairs: pd.DataFrame, differences: pd.DataFrame) -> pd.DataFrame:
    """The table differences with the status of each pair."""
    status = dict(zip(pair_keys(pairs), pairs["status"], strict=True))
    return differences.assign(status=[status[key] for key in pair_keys(differences)])


def text_of(value: Any) -> str:
    """A value of a column of texts, empty if it is missing."""
    return "" if pd.isna(value) else str(value)


def shown_name(row: Mapping[str, Any]) -> str:
    """The tensor of the base, and the part of it, of a row of differences."""
    return " ".join(filter(None, (text_of(row["param_name"]), text_of(row["slice"]))))


def places_of(row: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Tensor and part of it in the base and on the other side, of a row of differences."""
    base, other = (
        (text_of(row[name]), text_of(row[part]))
        for name, part in (("param_name", "slice"), ("other_name", "other_slice"))
    )
    return base, other
