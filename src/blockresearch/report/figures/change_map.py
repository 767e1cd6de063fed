"""The map of a comparison: what changed in each matrix, by layer and kind of matrix.

Colors show the values themselves, because the kinds of matrices change by comparable amounts. A
matrix that did not change has no color.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.differences.changed import changed_texts
from blockresearch.report.figures.charts import label
from blockresearch.report.figures.layer_map import Metric, in_map_order, map_of
from blockresearch.report.figures.live import Drawing
from blockresearch.report.figures.static_map import live_map
from blockresearch.text import visible

METRICS = (
    Metric("relative_change", say("relative change"), "‖Δ‖ / ‖A‖", "ratio", 1.5, span=2.0),
    Metric("delta_storage_rank", say("rank of the change"), "", "ratio", 1.5, span=2.0),
    Metric(
        "left_overlap_8",
        say("overlap of the leading directions"),
        say("share of the 8 left singular vectors"),
        "difference",
        span=0.01,
    ),
    Metric("changed", say("codes changed"), say("share"), "difference", span=0.01),
)

# What subspaces and differences have in common.
KEYS = ["param_name", "slice", "other_name", "other_slice"]


# What a cell opens: the most changed of its matrices.
MOST_OPENED = 12

# Columns of the table that a cell opens, and what `changed_texts` calls them.
OPENED = {
    "change": say("relative change"),
    "codes": say("codes changed"),
    "units": say("median change [ulp]"),
    "rank": say("rank of Δ"),
    "largest": say("largest |δ| [row, column]"),
    "what": say("what changed"),
}


def change_map(
    differences: pd.DataFrame, subspaces: pd.DataFrame, base_page: str | None = None
) -> Drawing | None:
    """An interactive map of the tables of a comparison; None if no matrix in a numbered layer
    changed.

    With the address of the base's page a cell opens the rows of its matrices.
    """
    drawn = changes_by_layer(differences, subspaces)
    if drawn is None:
        return None
    if base_page is not None:
        rows = in_map_order(_matrices(differences))
        drawn |= {"opened": _opened(rows, drawn["cells"], base_page)}
    return live_map(drawn, [each.key for each in METRICS])


def changes_by_layer(differences: pd.DataFrame, subspaces: pd.DataFrame) -> dict[str, Any] | None:
    """What `live_map` draws, as `map_of`; the overlap of an unchanged matrix is missing."""
    matrices = _matrices(differences)
    if not (matrices.loc[matrices["layer_index"].notna(), "relative_change"] > 0).any():
        return None
    own = subspaces[[*KEYS, "left_overlap_8"]]
    drawn = map_of(in_map_order(matrices.merge(own, on=KEYS, how="left")), METRICS)
    none = say("unchanged, or no such matrix")
    return {**drawn, "color": "value", "none": none} if drawn else None


def _matrices(differences: pd.DataFrame) -> pd.DataFrame:
    return differences[differences["delta_spectral_norm"].notna()]


def _opened(
    rows: pd.DataFrame, cells: Mapping[str, Sequence[int]], base_page: str
) -> dict[str, Any]:
    """The table that each cell opens: heads, and for each cell lines of (name, address, texts)."""
    tables = []
    for first, count in zip(cells["first"], cells["count"], strict=True):
        own = rows.iloc[first : first + count]
        own = own.sort_values("relative_change", ascending=False, kind="stable").head(MOST_OPENED)
        lines = map(changed_texts, own.to_dict("records"))
        tables.append(
            [
                [
                    visible(line["name"]),
                    f"{base_page}#tensor={line['link']}",
                    *(label(line[key]) for key in OPENED),
                ]
                for line in lines
            ]
        )
    return {"heads": [label(head) for head in OPENED.values()], "cells": tables}
