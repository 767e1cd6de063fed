"""Where the curves of a training run bend: the knee of each curve, or none.

A knee is the step that is farthest from the chord between the first and the last step, in a plot
that is scaled to [0, 1] (Kneedle, Satopaa et al. 2011). It counts as one only if the curve is at
least LEAST_HEIGHT away from the chord there, and if two lines that meet at the knee fit so much
better than one line that noise around one line would do so with a probability of at most
MOST_PROBABLE (F test of nested linear models). Neither says why a curve bends, and one curve in
twenty of pure noise has a knee.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from blockresearch.tables.training_steps import FEWEST_STEPS, counted_by

LEAST_HEIGHT = 0.1
MOST_PROBABLE = 0.05

# Columns of dynamics that are curves.
OF_MATRICES = ("frobenius_norm", "stable_rank", "alpha", "change_from_first")
# What identifies a curve beside its metric; its layer is that of each.
MATRIX = ("param_name", "slice")
ABOUT_MATRIX = ("component", "layer_index", "block_type", "projection", "role", "expert_index")
HEAD = ("component", "layer_index", "role")


@dataclass(frozen=True)
class Knee:
    """The bend of a curve.

    place         of the step among the points of the curve
    height        distance from the chord, as a share of the range of the curve
    slope_ratio   slope after the knee over the slope before; None if it was 0
    """

    place: int
    height: float
    slope_ratio: float | None


def knee(x: np.ndarray, y: np.ndarray) -> Knee | None:
    """The knee of a curve through the points x (growing) and y, float64 [n]; None without one."""
    span = np.ptp(y) if len(y) >= FEWEST_STEPS else 0.0
    if not span > 0:
        return None
    across = (x - x[0]) / (x[-1] - x[0])
    heights = np.abs(y - y[0] - across * (y[-1] - y[0])) / span
    place = int(heights.argmax())
    if heights[place] < LEAST_HEIGHT:
        return None
    # Columns: a constant, a slope, and what the slope changes by after the knee.
    terms = np.column_stack([np.ones(len(x)), across, np.maximum(across - across[place], 0)])
    residuals = [_residual(terms[:, :count], y / span) for count in (2, 3)]
    # Two lines have two numbers more than one: the second slope and the place where they meet.
    freedom = len(x) - 4
    explained = (residuals[0] - residuals[1]) / 2
    if explained <= 0 or fdtrc(2, freedom, explained * freedom / residuals[1]) > MOST_PROBABLE:
        return None
    _, before, turn = np.linalg.lstsq(terms, y / span, rcond=None)[0]
    ratio = float((before + turn) / before) if abs(before) > np.finfo(np.float32).eps else None
    return Knee(place, float(heights[place]), ratio)


def knees(dynamics: pd.DataFrame, heads: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the table knees: each curve of matrices and heads of at least FEWEST_STEPS steps."""
    across = counted_by(dynamics)
    for _, own in dynamics.groupby(list(MATRIX), dropna=False, sort=False):
        about = own.iloc[0][[*MATRIX, *ABOUT_MATRIX]].to_dict()
        yield from _rows(own, across, OF_MATRICES, about)
    across = counted_by(heads)
    # Heads of a group share k and v.
    for number, letters in (("head", "qo"), ("kv_head", "kv")):
        names = [f"{letter}_change_from_first" for letter in letters]
        alone = heads.drop_duplicates([*HEAD, number, "position"])
        for _, own in alone.groupby([*HEAD, number], dropna=False, sort=False):
            yield from _rows(own, across, names, own.iloc[0][[*HEAD, number]].to_dict())


def _rows(
    points: pd.DataFrame, across: str, metrics: Iterable[str], about: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """A row for each curve through the points, which are in the order of the steps."""
    for metric in metrics:
        own = points[points[metric].notna()]
        if len(own) < FEWEST_STEPS:
            continue
        x, y = (own[name].to_numpy(float) for name in (across, metric))
        row = {**about, "metric": metric}
        if (found := knee(x, y)) is not None:
            step = own.iloc[found.place]
            row |= {name: step[name] for name in ("step", "position", "step_number")}
            row |= {"knee_height": found.height, "slope_ratio": found.slope_ratio}
        yield row


def _residual(terms: np.ndarray, y: np.ndarray) -> float:
    """Σ of squared residuals of the least squares fit; at least that of rounding."""
    fit = np.linalg.lstsq(terms, y, rcond=None)[0]
    return float(np.sum((y - terms @ fit) ** 2)) + np.finfo(np.float64).eps
