"""Singular values of a matrix that is read in row panels: bounded memory, float64 accuracy.

Route (`mode="full"`): the Gram matrix of the shorter side is accumulated in float64 over the
panels (dsyrk) and solved for its eigenvalues (`eigen`). Squaring costs half of the digits: the
relative error of a root is about eps·(σ₁/σ)². Values below `REFINE_BELOW`·σ₁ are therefore found
again from the matrix without its large directions, whose largest value is small:

- few of them (projection): W V, with V the eigenvectors of the small eigenvalues, and a streamed QR
  of it, accurate to eps·σ₁;
- most of them (deflation): the Gram matrix of W - W V Vᵀ, with V those of the large eigenvalues,
  accurate to about eps·(3e-4·σ₁)²/σ.

What V mixes up between large and small directions enters in second order only: rounding turns an
eigenvector of σ toward one of σ' by about eps·σ₁²/|σ² - σ'²|.

Guaranteed against LAPACK's float64 SVD: relative error ≤ 1e-7 for σ ≥ 1e-4·σ₁ and ≤ 1e-6 for
σ ≥ 1e-7·σ₁. Memory: n² + one block of float64 with n = min(rows, cols), and as much again while
values are refined; never the whole matrix, unless it is small.

References: Golub & Van Loan, Matrix Computations, 4th ed., 8.3 (tridiagonal form), 8.6 (Gram
route); Demmel, Grigori, Hoemmen & Langou, arXiv:0808.2664 (streamed QR); Halko, Martinsson & Tropp,
arXiv:0909.4061 (sketch).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from blockresearch.spectra import eigen, lapack
from blockresearch.spectra.cost import block_length

Panels = Callable[[], Iterable[np.ndarray]]

# Share of σ₁ below which values of the Gram route are computed again.
REFINE_BELOW = 3e-4

# Elements up to which the whole matrix goes to LAPACK's SVD.
DIRECT_ELEMENTS = 2**14

# Number of values that a sketch estimates, and passes that turn its directions to the largest.
SKETCH_RANK, POWER_ITERATIONS = 256, 2

EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Spectrum:
    """Singular values in descending order and how they were found.

    `method` is ``direct``, ``gram``, ``gram+projection``, ``gram+deflation`` or ``sketch`` (an
    estimate of the largest values only), followed by ``@device`` if that is not the CPU. `values`
    are float64 [n]. `refined_from` is the index of the first value that was computed again, or
    len(values) if none was. `mode` is the one requested.
    """

    values: np.ndarray
    method: str
    seconds: float
    refined_from: int
    mode: str


def singular_values(panels: Panels, rows: int, cols: int, mode: str = "full") -> Spectrum:
    """Singular values of the matrix [rows, cols] that `panels()` yields from top to bottom.

    `panels` is called once for each pass (one, and one more to refine; a wide matrix needs one for
    each column block of `WIDE_BYTES`). Panels are finite float32 or float64 C arrays [r, cols];
    `on_device.singular_values` takes tensors of torch.

    `mode`: ``full``; ``rank`` (values are refined only if the rank depends on them); ``sketch``
    (randomized estimate of the `SKETCH_RANK` largest values); ``none`` (no values). Raises
    ValueError if the mode is unknown or the panels do not make up the shape.
    """
    return spectrum_of(_Matrix(panels, rows, cols), mode)


def spectrum_of(matrix: "MatrixForm", mode: str) -> Spectrum:
    """The route that `singular_values` describes, for a matrix on the CPU or on a device.

    Raises ValueError if the mode is unknown.
    """
    if mode not in ("full", "rank", "sketch", "none"):
        raise ValueError(f"unknown spectra mode {mode!r}: expected full, rank, sketch or none")
    start = time.perf_counter()
    rows, cols = matrix.rows, matrix.cols
    n = min(rows, cols)
    if mode == "none" or n == 0:
        values, method, refined_from = np.empty(0), "none", 0
    elif rows * cols <= DIRECT_ELEMENTS:
        values, method = svdvals(matrix.whole()), "direct"
        refined_from = len(values)
    elif mode == "sketch" and n > 2 * SKETCH_RANK:
        values, method = svdvals(matrix.sketch())[:SKETCH_RANK], "sketch" + matrix.suffix
        refined_from = len(values)
    else:
        values, method, refined_from = _gram_route(matrix, mode)
    values = np.ascontiguousarray(values * matrix.scale)
    return Spectrum(values, method, time.perf_counter() - start, refined_from, mode)


class MatrixForm(Protocol):
    """What the route needs of a matrix [rows, cols]; arrays are float64 on the CPU.

    `scale` divides its entries, `suffix` ends the names of methods.
    """

    rows: int
    cols: int
    scale: float
    suffix: str

    def whole(self) -> np.ndarray:
        """The matrix [rows, cols], divided by `scale`."""

    def sketch(self) -> np.ndarray:
        """A triangle [k, k] whose largest singular values are lower estimates of the matrix's."""

    def solved(self) -> "Solved":
        """The Gram matrix of the shorter side, solved."""


class Solved(Protocol):
    """The solved Gram matrix. Only one of its methods is called, once."""

    eigenvalues: np.ndarray

    def among_smallest(self, count: int) -> np.ndarray:
        """A triangle [k, k] whose last `count` singular values are the smallest of the matrix."""

    def without_largest(self, count: int) -> np.ndarray:
        """Eigenvalues [n], ascending, of the Gram matrix without `count` largest directions."""


def _gram_route(matrix: MatrixForm, mode: str) -> tuple[np.ndarray, str, int]:
    solved = matrix.solved()
    values = _roots(solved.eigenvalues)
    n = len(values)
    first = _first_to_refine(values, matrix.rows, matrix.cols, mode) if values[0] else n
    small = n - first
    if small == 0:
        return values, "gram" + matrix.suffix, n
    if small <= n // 2:
        refined = svdvals(solved.among_smallest(small))[-small:]
        method = "gram+projection"
    else:
        refined = _roots(solved.without_largest(first))[:small]
        method = "gram+deflation"
    values = np.sort(np.concatenate((values[:first], refined)))[::-1]
    return values, method + matrix.suffix, first


def _roots(eigenvalues: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(eigenvalues, 0.0))[::-1]


class _Matrix:
    """The matrix as float64 blocks [b, n] whose stack is W (or Wᵀ if W is wide).

    A block is valid until the next one is requested and may be overwritten until then. Entries are
    divided by `scale`.
    """

    suffix = ""

    def __init__(self, panels: Panels, rows: int, cols: int):
        self.panels, self.rows, self.cols = panels, rows, cols
        self.scale = 1.0
        if min(rows, cols) and next(iter(panels())).dtype == np.float64:
            self.scale = safe_scale(float(np.abs(p).max()) for p in panels() if p.size)

    def solved(self) -> "_Solved":
        """The Gram matrix of the shorter side, solved."""
        return _Solved(self)

    def sketch(self) -> np.ndarray:
        """Randomized subspace iteration; the triangle [k, k] of the matrix in the subspace."""
        basis = sketch_basis(min(self.rows, self.cols))
        for _ in range(POWER_ITERATIONS + 1):
            basis = np.linalg.qr(basis)[0]
            product = np.zeros_like(basis)
            for block in self.blocks():
                product += block.T @ (block @ basis)
            basis = product
        basis = np.linalg.qr(basis)[0]
        return _triangle(block @ basis for block in self.blocks())

    def blocks(self) -> Iterator[np.ndarray]:
        """Rows of the longer side in order, float64 [k, n]; a block is overwritten by the next."""
        size = block_length(self.rows, self.cols)
        return self._row_blocks(size) if self.rows >= self.cols else self._column_blocks(size)

    def whole(self) -> np.ndarray:
        """The whole matrix, float64 [rows, cols]."""
        return np.concatenate([block.copy() for block in self._row_blocks(self.rows)])

    def _row_blocks(self, size: int) -> Iterator[np.ndarray]:
        block = np.empty((size, self.cols))
        filled = seen = 0
        for panel in self._checked():
            seen += len(panel)
            while len(panel):
                part = panel[: size - filled]
                np.multiply(part, 1.0 / self.scale, out=block[filled : filled + len(part)])
                filled, panel = filled + len(part), panel[len(part) :]
                if filled == size:
                    yield block
                    filled = 0
        if seen != self.rows:
            raise ValueError(f"the panels have {seen} of {self.rows} rows: read the whole matrix.")
        if filled:
            yield block[:filled]

    def _column_blocks(self, size: int) -> Iterator[np.ndarray]:
        store = np.empty((self.rows, size))
        for left in range(0, self.cols, size):
            width = min(size, self.cols - left)
            block, row = store[:, :width], 0
            for panel in self._checked():
                if row + len(panel) > self.rows:
                    break
                part = panel[:, left : left + width]
                np.multiply(part, 1.0 / self.scale, out=block[row : row + len(panel)])
                row += len(panel)
            if row != self.rows:
                raise ValueError(f"the panels do not have {self.rows} rows: read the whole matrix.")
            yield block.T

    def _checked(self) -> Iterator[np.ndarray]:
        for panel in self.panels():
            if panel.ndim != 2 or panel.shape[1] != self.cols:
                raise ValueError(
                    f"a panel of shape {panel.shape} in a matrix of {self.cols} columns"
                )
            yield panel


def _first_to_refine(values: np.ndarray, rows: int, cols: int, mode: str) -> int:
    """Index of the first value that squaring made inaccurate or that is close to the threshold of
    `numerical_rank` or `resolved_rank`."""
    first = len(values)
    for share in (max(rows, cols) * EPS32, np.linalg.norm(values / values[0]) * EPS32 / 2):
        threshold = values[0] * share
        doubt = max(1e-6, 100 * np.finfo(np.float64).eps / share**2)
        narrow = np.abs(values - threshold) <= doubt * threshold
        first = min(first, int(np.argmax(narrow)) if narrow.any() else len(values))
    if mode == "rank":
        return first
    return min(first, int(np.count_nonzero(values >= REFINE_BELOW * values[0])))


class _Solved:
    """The Gram matrix of a matrix, its eigenvalues, and on demand some of its eigenvectors."""

    def __init__(self, matrix: _Matrix):
        self._matrix = matrix
        self._solved: eigen.OneStage | eigen.TwoStages | None = eigen.solve(self._gram())
        self.eigenvalues = self._solved.eigenvalues

    def _gram(self, deflated: np.ndarray | None = None) -> np.ndarray:
        """The Gram matrix without the directions `deflated` [n, k], orthonormal columns."""
        n = min(self._matrix.rows, self._matrix.cols)
        gram = np.zeros((n, n), order="F")
        for block in self._matrix.blocks():
            if deflated is not None:
                block -= (block @ deflated) @ deflated.T
            lapack.add_gram(gram, block)
        return gram

    def among_smallest(self, count: int) -> np.ndarray:
        """The triangle [k, k] of W V, V the eigenvectors of the `count` smallest eigenvalues."""
        assert self._solved is not None
        vectors = self._solved.smallest_vectors(count)
        return _triangle(block @ vectors for block in self._matrix.blocks())

    def without_largest(self, count: int) -> np.ndarray:
        """Eigenvalues [n] of the Gram matrix of W - W V Vᵀ, V the `count` largest directions."""
        assert self._solved is not None
        vectors = self._solved.largest_vectors(count)
        # Its n² numbers would stay in memory beside those of the second Gram matrix.
        self._solved = None
        return eigen.solve(self._gram(vectors)).eigenvalues


def safe_scale(peaks: Iterable[float]) -> float:
    """What entries are divided by, a power of two, so that their squares stay in the range of
    float64: 1 unless the largest of `peaks`, the |w| of panels, is extreme."""
    exponent = int(np.frexp(max(peaks, default=0.0))[1])
    return float(np.ldexp(1.0, max(exponent, -1021))) if abs(exponent) > 100 else 1.0


def svdvals(array: np.ndarray) -> np.ndarray:
    """Singular values [n] of an array [rows, cols] in memory, by LAPACK."""
    return np.linalg.svd(array, compute_uv=False)


def sketch_basis(n: int) -> np.ndarray:
    """Random directions that a sketch of a matrix begins with, float64 [n, k]."""
    width = min(n, SKETCH_RANK + 32)
    return np.random.default_rng(0).standard_normal((n, width))


def _triangle(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """R of the QR decomposition of the stacked blocks, one block at a time."""
    factor: np.ndarray | None = None
    for block in blocks:
        stacked = block if factor is None else np.concatenate((factor, block))
        factor = np.asarray(np.linalg.qr(stacked, mode="r"))
    assert factor is not None
    return factor


def numerical_rank(values: np.ndarray, rows: int, cols: int) -> int:
    """#{σ > σ₁ · max(rows, cols) · eps(float32)} of `values` [n] in descending order.

    What numpy.linalg.matrix_rank would return for the float32 matrix in exact arithmetic. Source:
    the default tolerance of numpy.linalg.matrix_rank.
    """
    if len(values) == 0:
        return 0
    return int(np.count_nonzero(values > values[0] * max(rows, cols) * EPS32))


def resolved_rank(values: np.ndarray) -> int:
    """#{σ > 2⁻²⁴ ‖W‖_F} of all `values` [n] of a matrix W: directions that rounding its elements to
    float32 can neither make nor remove.

    Rounding changes an element by at most 2⁻²⁴ of it, and so no singular value by more than
    2⁻²⁴ ‖W‖_F, whatever the shape and however the errors are related. Source: Weyl's inequality
    (Golub & Van Loan, Matrix Computations, 4th ed., 8.6.1).
    """
    if len(values) == 0 or values[0] == 0:
        return 0
    # In units of σ₁, so that no square overflows.
    unit = values / values[0]
    return int(np.count_nonzero(unit > np.linalg.norm(unit) * EPS32 / 2))
