"""The map of a comparison: what changed in each matrix, by layer and kind of matrix.

Colors show the values themselves, because the kinds of matrices change by comparable amounts. A
matrix that did not change has no color.
"""

from typing import Any

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.figures.layer_map import Metric, in_map_order, map_of
from blockresearch.report.figures.live import Drawing
from blockresearch.report.figures.static_map import live_map

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


def change_map(differences: pd.DataFrame, subspaces: pd.DataFrame) -> Drawing | None:
    """An interactive map of the tables of a comparison; None if no matrix in a numbered layer
    changed."""
    drawn = changes_by_layer(differences, subspaces)
    return live_map(drawn, [each.key for each in METRICS]) if drawn else None


def changes_by_layer(differences: pd.DataFrame, subspaces: pd.DataFrame) -> dict[str, Any] | None:
    """What `live_map` draws, as `map_of`; the overlap of an unchanged matrix is missing."""
    matrices = differences[differences["delta_spectral_norm"].notna()]
    if not (matrices.loc[matrices["layer_index"].notna(), "relative_change"] > 0).any():
        return None
    own = subspaces[[*KEYS, "left_overlap_8"]]
    drawn = map_of(in_map_order(matrices.merge(own, on=KEYS, how="left")), METRICS)
    none = say("unchanged, or no such matrix")
    return {**drawn, "color": "value", "none": none} if drawn else None
