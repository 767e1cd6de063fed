"""How far the leading directions of two matrices agree, and where Δ lies relative to them.

The k leading left (right) singular vectors of each side span a subspace; the overlap of two is the
mean squared cosine of their principal angles, ‖UᵀU'‖_F² / k. Independent subspaces of dimension k
in n dimensions overlap by k/n on average; `z` counts the standard deviations above it. Directions
with nearly equal singular values turn into each other easily: a subspace means something if the
gap σ_k - σ_{k+1} is large beside ‖Δ‖₂ (Davis and Kahan 1970).
"""

import math
from typing import Any

import numpy as np

from blockresearch.compare.products import computed
from blockresearch.compare.sides import Sides
from blockresearch.spectra.overlap import overlap_deviation

# Dimensions of the subspaces.
LEADING = (8, 32, 128)

# Share of σ₁ below which a singular value is rounding: its direction is any.
NEGLIGIBLE = 1e-5

# A leading direction of the other side is an intruder if its cosine with each of the base's leading
# directions is below this. Source: Shuttleworth and others 2024, arXiv:2410.21228.
INTRUDER_COSINE = 0.6


def subspaces(sides: Sides) -> dict[str, Any]:
    """The numbers of the table subspaces for a pair of finite matrices [rows, cols].

    Dimensions that are more than a half of the shorter side, or than the rank of a side, are left
    out.
    """
    shorter = min(sides.rows, sides.cols)
    sizes = [k for k in LEADING if 2 * k <= shorter]
    if not sizes:
        return {}
    kept = sizes[-1]
    both = computed(lambda products: products.leading(kept), sides)
    if not both.base[0] or not both.other[0]:
        return {}
    found: dict[str, Any] = {"spectral_shift": _shift(both.base[:kept], both.other[:kept])}
    rank = min(_rank(both.base), _rank(both.other))
    for k in (size for size in sizes if size <= rank):
        for name, cosines, dimension in (
            ("left", both.left, sides.rows),
            ("right", both.right, sides.cols),
        ):
            values = np.linalg.svd(cosines[:k, :k], compute_uv=False).clip(0, 1)
            overlap = float(np.mean(values**2))
            found[f"{name}_overlap_{k}"] = overlap
            found[f"{name}_z_{k}"] = (overlap - k / dimension) / overlap_deviation(k, dimension)
            found[f"{name}_angle_{k}"] = math.degrees(math.acos(values[-1]))
        found[f"gap_{k}"] = float(both.base[k - 1] - both.base[k])
        inside = float(np.square(both.inside[:k, :k]).sum())
        found[f"delta_inside_{k}"] = inside / both.energy if both.energy else None
        strongest = np.abs(both.left[: min(kept, rank), :k]).max(axis=0)
        found[f"intruders_{k}"] = int(np.count_nonzero(strongest < INTRUDER_COSINE))
    return found


def _rank(values: np.ndarray) -> int:
    return int(np.count_nonzero(values > NEGLIGIBLE * values[0]))


def _shift(base: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(other - base) / np.linalg.norm(base))
