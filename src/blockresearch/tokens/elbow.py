"""The number of clusters by the elbow of the inertia curve, and whether there is a clear one."""

import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from blockresearch.tables.io import frame
from blockresearch.tokens.clustering import Fit
from blockresearch.tokens.stability import Check

CLEAR_ELBOW = 3.0

# Share of the inertia that rounding in float32 may leave of none.
ROUNDING = 1e-6


def heights(fits: list[Fit]) -> np.ndarray:
    """Height [len(fits)] of each k over the chord of the scaled inertia curve.

    With x and y the k and the inertia scaled to [0, 1], the height is 1 - x - y: Kneedle for a
    falling convex curve (Satopaa et al. 2011). Zeros for fewer than three k or a flat curve.
    """
    k = np.array([fit.k for fit in fits], float)
    inertia = np.array([fit.inertia for fit in fits])
    if len(fits) < 3 or inertia[0] <= inertia[-1]:
        return np.zeros(len(fits))
    x = (k - k[0]) / (k[-1] - k[0])
    y = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return 1.0 - x - y


def elbow(fits: list[Fit]) -> int:
    """The k with the largest height, the smallest of equals.

    If the rows have few distinct values, it is the k that explains everything.
    """
    exact = explains_all(fits)
    return fits[int(np.argmax(heights(fits)))].k if exact is None else exact


def explains_all(fits: list[Fit]) -> int | None:
    """The smallest k that leaves no distances; None if there is none but a cluster for each row."""
    enough = (fit.k for fit in fits if fit.inertia <= ROUNDING * fit.total)
    k = next(enough, None)
    return None if k is None or k >= len(fits[0].labels) else k


def is_clear(fits: list[Fit], null: Mapping[int, float] | None = None) -> bool | None:
    """Whether the curve bends sharply at its elbow; None for fewer than three k.

    Clear: nothing is left to explain, or the last step to the elbow saves at least `CLEAR_ELBOW`
    times the inertia that the next step saves. Separated clusters give factors above 10, one cloud
    without clusters 1 to 2. A few leading directions can bend the curve of one cloud too: with
    `null`, its inertia by k, the factor must also be `CLEAR_ELBOW` times that of the null.
    """
    if explains_all(fits) is not None:
        return True
    if len(fits) < 3:
        return None
    at = int(np.argmax(heights(fits)))
    if at == 0:
        return False
    around = [fit.k for fit in fits[at - 1 : at + 2]]
    before, after = -np.diff([fit.inertia for fit in fits[at - 1 : at + 2]])
    factor = CLEAR_ELBOW
    if null and all(k in null for k in around):
        expected = -np.diff([null[k] for k in around])
        factor *= max(1.0, expected[0] / expected[1]) if expected[1] > 0 else 1.0
    return bool(before >= factor * after)


def elbow_table(
    fits: list[Fit], chosen: int | None, checks: Mapping[int, Check] | None = None
) -> pd.DataFrame:
    """Table `elbow` of `fits`, with the row of k = `chosen` marked, and their `checks` by k."""
    checks = checks or {}
    rows = [
        {
            "k": fit.k,
            "inertia": fit.inertia,
            "explained_share": 1.0 - fit.inertia / fit.total if fit.total > 0 else None,
            "elbow_height": float(height),
            "silhouette": None if math.isnan(fit.silhouette) else fit.silhouette,
            "silhouette_error": None if math.isnan(fit.silhouette) else fit.silhouette_error,
            "chosen": fit.k == chosen,
            **(asdict(checks[fit.k]) if fit.k in checks else {}),
        }
        for fit, height in zip(fits, heights(fits), strict=True)
    ]
    return frame(rows, "elbow")
