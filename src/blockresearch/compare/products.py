"""What is computed of a pair by products of its matrices: singular values and leading directions.

There are two forms with the same methods: LAPACK on the CPU (here), and torch on a device
(`on_device`), which decodes the stored bytes there once more. Small matrices always take the CPU.
Sums over elements are made by the loops of the CPU for every device, so they are equal.

The leading vectors are found by subspace iteration (Halko, Martinsson and Tropp, arXiv:0909.4061,
algorithm 4.4) with the same start for both sides, so equal matrices give equal subspaces.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from blockresearch.compare.sides import Panels, Sides
from blockresearch.measurement.elements import SMALL_ELEMENTS
from blockresearch.spectra.overlap import factored
from blockresearch.spectra.singular_values import singular_values

# More directions than are kept, and passes: enough for 1e-3 of the overlap at a gap of 10 %.
EXTRA, PASSES = 16, 3

SEED = 0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Leading:
    """The leading singular directions of both sides, float64; k of them were requested.

    base, other   singular values, descending, of k and up to `EXTRA` more [count]
    left, right   cosines of the left (right) vectors of the base and the other side [count, count]
    inside        UᵀΔV for the k leading vectors of the base [k, k]
    energy        ‖Δ‖²
    """

    base: np.ndarray
    other: np.ndarray
    left: np.ndarray
    right: np.ndarray
    inside: np.ndarray
    energy: float


class Products(Protocol):
    """A pair of finite matrices, ready to be multiplied."""

    def delta_values(self) -> np.ndarray:
        """All singular values of Δ, float64 [n], descending."""

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """All singular values of the base and of the other side, float64 [n], descending."""

    def leading(self, count: int) -> Leading:
        """The leading `count` directions of both sides, none of which is zero."""


def computed(work: Callable[[Products], Result], sides: Sides) -> Result:
    """The result of `work` on the device of the sides, or on the CPU if that fails."""

    def here() -> Result:
        return work(OnCpu(sides))

    if sides.device == "cpu" or sides.rows * sides.cols <= SMALL_ELEMENTS:
        return here()
    from blockresearch.compare.on_device import OnDevice
    from blockresearch.lane import attempt

    return attempt(sides.device, sides.name, lambda held: work(OnDevice(held, sides)), here)


@dataclass(frozen=True)
class OnCpu:
    """The products of a pair on the CPU."""

    sides: Sides

    def delta_values(self) -> np.ndarray:
        """See `Products`: float64 [n]."""
        return singular_values(self.sides.deltas, self.sides.rows, self.sides.cols).values

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Products`: float64 [n], [n]."""
        sides = self.sides
        base, other = (
            singular_values(side.panels, sides.rows, sides.cols).values for side in sides.both
        )
        return base, other

    def leading(self, count: int) -> Leading:
        """See `Products`."""
        sides = self.sides
        more = min(count + EXTRA, sides.rows, sides.cols)
        a, b = (leading(side.panels, sides.rows, sides.cols, more) for side in sides.both)
        inside, energy = _inside(sides, a[0][:, :count], a[2][:, :count])
        return Leading(a[1], b[1], a[0].T @ b[0], a[2].T @ b[2], inside, energy)


def leading(
    panels: Panels, rows: int, cols: int, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular vectors and values: U [rows, count], σ [count], V [cols, count]."""
    basis, image = start(cols, count), np.empty((rows, count), np.float32)
    for number in range(PASSES):
        first = 0
        for panel in panels():
            image[first : first + len(panel)] = panel @ basis
            first += len(panel)
        # Between the products: after both, rounding would be that of σ₁² and not of σ₁.
        image = factored(image / np.abs(image).max()).basis.astype(np.float32)
        turned, first = np.zeros((cols, count)), 0
        for panel in panels():
            turned += panel.T @ image[first : first + len(panel)]
            first += len(panel)
        right = factored(turned)
        if number + 1 < PASSES:
            basis = right.basis.astype(np.float32)
    inner, values, left = np.linalg.svd(right.triangle)
    return image @ left.T, values, right.span(inner)


def start(cols: int, count: int) -> np.ndarray:
    """Random directions that the iteration begins with, float32 [cols, count]."""
    return np.random.default_rng(SEED).standard_normal((cols, count), dtype=np.float32)


def _inside(sides: Sides, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """UᵀΔV [k, k] of vectors U [rows, k], V [cols, k], and ‖Δ‖²."""
    inner, energy, first = np.zeros((left.shape[1], right.shape[1])), 0.0, 0
    for delta in sides.deltas():
        energy += float(np.square(delta, dtype=np.float64).sum())
        inner += left[first : first + len(delta)].T @ (delta @ right)
        first += len(delta)
    return inner, energy
