"""Single weights far beyond a normal law, and the channels of the residual stream where they recur.

The table matrices lists the 16 largest |w| of each matrix. Listed here are those beyond `TIMES` the
largest |w| of a normal matrix of the same size and rms, a distance that normal matrices never
reach. A channel is the element of the residual stream that a weight reads (its
column in q, k, v, gate and up) or writes (its row in o and down). In some models the same few
channels have outliers in all layers; chance is the null: a binomial law with the average share of
channels that have outliers in a layer, times the number of channels.

Super weights are known by what happens if one of them is set to zero, so the table has candidates
only. Source: Yu and others 2024, arXiv:2411.07191. What the neuron of a candidate amplifies through
gate and up is in the table amplifiers.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import bdtrc, ndtri

from blockresearch.tables.selections import SUPER_WEIGHT, is_early_down_projection

# Times the largest |w| of a normal matrix. Trained matrices have a median of 1.4 to 2.4.
TIMES = 3.0

# Below it floats have no digits left.
LEAST_P = 1e-300

READING = frozenset("q_proj k_proj v_proj qkv_proj gate_proj up_proj gate_up_proj".split())

WRITING = frozenset("o_proj down_proj".split())

# What a row of outliers repeats of the row of its matrix.
KEYS = ("param_name", "slice", "layer_index", "block_type", "component", "expert_index")


def outlier_rows(matrices: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the table outliers, the farthest from a normal law first."""
    known = matrices[matrices["max_over_rms"].notna() & (matrices["component"] != "adapter")]
    early = is_early_down_projection(known)
    rows = [
        found
        for row, is_early in zip(known.to_dict("records"), early, strict=True)
        for found in _of_matrix(row, bool(is_early))
    ]
    recurring = {key: row for key, row in _recurring(known, rows)}
    for row in rows:
        row |= recurring.get((row["component"], row["channel"]), {})
    return sorted(rows, key=lambda row: -row["over_normal"])


def normal_maximum(count: float) -> float:
    """About the largest |w|, in rms, of `count` independent normal weights: the value that one of
    them exceeds on average."""
    return float(-ndtri(0.5 / count)) if count > 1 else 1.0


def _of_matrix(row: dict[str, Any], is_early: bool) -> Iterator[dict[str, Any]]:
    """The outliers of one matrix."""
    values = np.abs(np.asarray(row["top_values"], dtype=np.float64))
    rows, cols = (np.asarray(row[name], dtype=np.int64) for name in ("top_rows", "top_cols"))
    usual = normal_maximum(float(row["rows"]) * float(row["cols"]))
    channels = _channels(row, rows, cols)
    for i in np.flatnonzero(values > TIMES * usual * row["rms"]):
        over_rms = float(values[i] / row["rms"])
        elsewhere = values[(cols != cols[i])]
        yield {
            **{key: row.get(key) for key in KEYS},
            "row": int(rows[i]),
            "col": int(cols[i]),
            "value": float(row["top_values"][i]),
            "over_rms": over_rms,
            "over_normal": over_rms / usual,
            "over_other_cols": float(values[i] / elsewhere[0]) if elsewhere.size else None,
            "in_row": int((rows == rows[i]).sum()),
            "in_col": int((cols == cols[i]).sum()),
            "channel": None if channels is None else int(channels[i]),
            "is_super_weight": is_early and over_rms >= SUPER_WEIGHT,
        }


def _channels(row: dict[str, Any], rows: np.ndarray, cols: np.ndarray) -> np.ndarray | None:
    """The channels of the residual stream of weights in these rows and columns."""
    if pd.isna(row["layer_index"]):
        return None
    name = str(row["projection"] or "").rpartition(" ")[2].removeprefix("shared_")
    return cols if name in READING else rows if name in WRITING else None


def _recurring(
    matrices: pd.DataFrame, rows: list[dict[str, Any]]
) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    """In how many layers each channel of a component has outliers, and log₁₀ p of chance."""
    with_channel = [row for row in rows if row["channel"] is not None]
    for component in sorted({row["component"] for row in with_channel}):
        own = matrices[(matrices["component"] == component) & matrices["layer_index"].notna()]
        layers = own["layer_index"].nunique()
        writing = own["projection"].fillna("").isin(WRITING)
        sides = own["rows"].where(writing, own["cols"])
        width = int(sides.mode().iloc[0])
        where: dict[int, set[int]] = {}
        for row in with_channel:
            if row["component"] == component:
                where.setdefault(row["channel"], set()).add(int(row["layer_index"]))
        share = sum(map(len, where.values())) / (layers * width)
        for channel, found in where.items():
            p = width * max(bdtrc(len(found) - 1, layers, min(share, 1.0)), LEAST_P)
            yield (
                (component, channel),
                {
                    "channel_layers": len(found),
                    "channel_log10_p": min(0.0, math.log10(p)),
                },
            )
