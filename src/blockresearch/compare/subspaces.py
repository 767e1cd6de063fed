"""How far the leading directions of two matrices agree, and where Δ lies relative to them.

The k leading left (right) singular vectors of each side span a subspace; the overlap of two is the
mean squared cosine of their principal angles, ‖UᵀU'‖_F² / k. Independent subspaces of dimension k
in n dimensions overlap by k/n on average; `z` counts the standard deviations above it. Directions
with nearly equal singular values turn into each other easily: a subspace means something if the
gap σ_k - σ_{k+1} is large beside ‖Δ‖₂ (Davis and Kahan 1970).

The vectors are found by subspace iteration (Halko, Martinsson and Tropp, arXiv:0909.4061, algorithm
4.4) with the same start for both sides, so equal matrices give equal subspaces.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from blockresearch.compare.sides import Panels, Sides
from blockresearch.spectra.overlap import factored, overlap_deviation

# Dimensions of the subspaces.
LEADING = (8, 32, 128)

# More directions than are kept, and passes: enough for 1e-3 of the overlap at a gap of 10 %.
EXTRA, PASSES = 16, 3

# A leading direction of the other side is an intruder if its cosine with each of the base's leading
# directions is below this. Source: Shuttleworth and others 2024, arXiv:2410.21228.
INTRUDER_COSINE = 0.6

SEED = 0


def subspaces(sides: Sides) -> dict[str, Any]:
    """The numbers of the table subspaces for a pair of finite matrices [rows, cols].

    Dimensions that are more than a half of the shorter side are left out.
    """
    shorter = min(sides.rows, sides.cols)
    sizes = [k for k in LEADING if 2 * k <= shorter]
    if not sizes:
        return {}
    count = min(sizes[-1] + EXTRA, shorter)
    a, b = (leading(side.panels, sides.rows, sides.cols, count) for side in sides.both)
    if not a[1][0] or not b[1][0]:
        return {}
    kept = sizes[-1]
    found: dict[str, Any] = {"spectral_shift": _shift(a[1][:kept], b[1][:kept])}
    left, right = a[0].T @ b[0], a[2].T @ b[2]
    inside = _inside(sides, a[0][:, :kept], a[2][:, :kept], sizes)
    for k, share in zip(sizes, inside, strict=True):
        for name, cosines, dimension in (("left", left, sides.rows), ("right", right, sides.cols)):
            values = np.linalg.svd(cosines[:k, :k], compute_uv=False).clip(0, 1)
            overlap = float(np.mean(values**2))
            found[f"{name}_overlap_{k}"] = overlap
            found[f"{name}_z_{k}"] = (overlap - k / dimension) / overlap_deviation(k, dimension)
            found[f"{name}_angle_{k}"] = math.degrees(math.acos(values[-1]))
        found[f"gap_{k}"] = float(a[1][k - 1] - a[1][k])
        found[f"delta_inside_{k}"] = share
        strongest = np.abs(left[:kept, :k]).max(axis=0)
        found[f"intruders_{k}"] = int(np.count_nonzero(strongest < INTRUDER_COSINE))
    return found


def leading(
    panels: Panels, rows: int, cols: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular vectors and values: U [rows, count], σ [count], V [cols, count]."""
    basis = np.random.default_rng(SEED).standard_normal((cols, count), dtype=np.float32)
    for _ in range(PASSES - 1):
        turned = _back(panels(), basis, cols)
        basis = factored(turned / np.abs(turned).max()).basis.astype(np.float32)
    image = np.empty((rows, count), np.float32)
    first = 0
    for panel in panels():
        image[first : first + len(panel)] = panel @ basis
        first += len(panel)
    image = factored(image).basis.astype(np.float32)
    turned, first = np.zeros((cols, count)), 0
    for panel in panels():
        turned += panel.T @ image[first : first + len(panel)]
        first += len(panel)
    right = factored(turned)
    inner, values, left = np.linalg.svd(right.triangle)
    return image @ left.T, values, right.span(inner)


def _back(panels: Iterable[np.ndarray], basis: np.ndarray, cols: int) -> np.ndarray:
    """WᵀW basis [cols, k]."""
    out = np.zeros((cols, basis.shape[1]))
    for panel in panels:
        out += panel.T @ (panel @ basis)
    return out


def _shift(base: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(other - base) / np.linalg.norm(base))


def _inside(
    sides: Sides, left: np.ndarray, right: np.ndarray, sizes: list[int]
) -> list[float | None]:
    """Share of ‖Δ‖² in the leading subspaces of the base, ‖U_kᵀ Δ V_k‖² / ‖Δ‖², for each size."""
    inner, energy, first = np.zeros((left.shape[1], right.shape[1])), 0.0, 0
    for delta in sides.deltas():
        energy += float(np.square(delta, dtype=np.float64).sum())
        inner += left[first : first + len(delta)].T @ (delta @ right)
        first += len(delta)
    if not energy:
        return [None] * len(sizes)
    return [float(np.square(inner[:k, :k]).sum()) / energy for k in sizes]
