"""Statistics over the depth of a model, for comparing models on one scale.

A column is a block type (and role) of a component. Models of different depth are compared by
relative depth, 0 for the first layer and 1 for the last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.blocks import ordered
from blockresearch.report.wording import by_component

# Layers of a column; of a deeper model as many are chosen, evenly.
MOST_LAYERS = 64

DIGITS = 4


@dataclass(frozen=True)
class Metric:
    """A column of the table layers that is compared over depth; `is_log` is the usual axis."""

    key: str
    label: Sentence
    is_log: bool


METRICS = (
    Metric("std", say("standard deviation"), True),
    Metric("stable_rank", say("stable rank"), False),
    Metric("spectral_norm", say("spectral norm"), True),
    Metric("kurtosis_excess", say("excess kurtosis"), False),
)


def profile(layers: pd.DataFrame) -> list[dict[str, Any]]:
    """The columns of a model from its table layers, for JSON.

    Each has component, label, layers (numbers), count (layers of the component) and a list for each
    key of METRICS, null if missing. Only block types with matrices in numbered layers are present.
    """
    known = layers[layers["layer_index"].notna() & (layers["matrices"] > 0)]
    columns = []
    for component in by_component(known["component"].dropna()):
        own = known[known["component"] == component]
        count = int(own["layer_index"].max()) + 1
        for block in ordered(own["block_type"]):
            same = own[own["block_type"] == block]
            for role in sorted(same["role"].fillna("").unique()):
                rows = same[same["role"].fillna("") == role].sort_values("layer_index")
                rows = rows.iloc[_chosen(len(rows))]
                usual = role in ("", "self", "routed")
                columns.append(
                    {
                        "component": component,
                        "label": block if usual else f"{role} {block}",
                        "layers": [int(layer) for layer in rows["layer_index"]],
                        "count": count,
                        **{metric.key: _numbers(rows[metric.key]) for metric in METRICS},
                    }
                )
    return columns


def _chosen(length: int) -> list[int]:
    if length <= MOST_LAYERS:
        return list(range(length))
    return [round(place) for place in np.linspace(0, length - 1, MOST_LAYERS)]


def _numbers(values: Iterable[Any]) -> list[float | None]:
    return [
        None if pd.isna(value) or not np.isfinite(value) else float(f"{value:.{DIGITS}g}")
        for value in values
    ]
