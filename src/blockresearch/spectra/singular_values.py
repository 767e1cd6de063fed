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

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from blockresearch.spectra import eigen, lapack
from blockresearch.spectra.cost import BLOCK_BYTES, block_length

logger = logging.getLogger(__name__)

Panels = Callable[[], Iterable[np.ndarray]]

# Share of σ₁ below which values of the Gram route are computed again.
REFINE_BELOW = 3e-4

# Elements up to which the whole matrix goes to LAPACK's SVD.
DIRECT_ELEMENTS = 2**14

# Number of values that a sketch estimates.
SKETCH_RANK = 256

EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Spectrum:
    """Singular values in descending order and how they were found.

    `method` is ``direct``, ``gram``, ``gram+projection``, ``gram+deflation`` or ``sketch`` (an
    estimate of the largest values only), followed by ``@device`` if that is not the CPU. `values`
    are float64 [n]. `refined_from` is the index of the first value that was computed again, or
    len(values) if none was.
    """

    values: np.ndarray
    method: str
    seconds: float
    refined_from: int


def singular_values(
    panels: Panels, rows: int, cols: int, device: str = "cpu", mode: str = "full"
) -> Spectrum:
    """Singular values of the matrix [rows, cols] that `panels()` yields from top to bottom.

    `panels` is called once for each pass (one, and one more to refine; a wide matrix needs one for
    each column block of `WIDE_BYTES`). Panels are finite float32 or float64
    C arrays [r, cols]. `device` is ``cpu`` (SciPy), ``cuda`` or ``cuda:N`` (float64 on the GPU), or
    ``torch-cpu`` (the GPU's code on the CPU).

    `mode`: ``full``; ``rank`` (values are refined only if the rank depends on them); ``sketch``
    (randomized estimate of the `SKETCH_RANK` largest values); ``none`` (no values). Raises
    ValueError if the mode is unknown or the panels do not make up the shape.
    """
    if mode not in ("full", "rank", "sketch", "none"):
        raise ValueError(f"unknown spectra mode {mode!r}: expected full, rank, sketch or none")
    start = time.perf_counter()
    matrix = _Matrix(panels, rows, cols)
    if mode == "none" or matrix.n == 0:
        values, method, refined_from = np.empty(0), "none", 0
    elif rows * cols <= DIRECT_ELEMENTS:
        values, method = _svdvals(matrix.whole()), "direct"
        refined_from = len(values)
    elif mode == "sketch" and matrix.n > 2 * SKETCH_RANK:
        values, method = _sketch(matrix), "sketch"
        refined_from = len(values)
    else:
        values, method, refined_from = _gram_route(matrix, device, mode)
    values = np.ascontiguousarray(values * matrix.scale)
    return Spectrum(values, method, time.perf_counter() - start, refined_from)


class _Matrix:
    """The matrix as float64 blocks [b, n] whose stack is W (or Wᵀ if W is wide).

    A block is valid until the next one is requested and may be overwritten until then. Entries are
    divided by `scale`, a power of two, if their squares could leave float64's range. The Gram
    matrix omits the directions `deflated` [n, ·], orthonormal columns.
    """

    def __init__(self, panels: Panels, rows: int, cols: int):
        self.panels, self.rows, self.cols = panels, rows, cols
        self.n, self.m = sorted((rows, cols))
        self.scale = 1.0
        self.deflated: np.ndarray | None = None
        if self.n and next(iter(panels())).dtype == np.float64:
            peak = max((float(np.abs(p).max()) for p in panels() if p.size), default=0.0)
            exponent = np.frexp(peak)[1]
            if abs(exponent) > 100:
                self.scale = float(np.ldexp(1.0, max(int(exponent), -1021)))

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


def _gram_route(matrix: _Matrix, device: str, mode: str) -> tuple[np.ndarray, str, int]:
    solver = _solver(matrix, device)
    values = _roots(solver.eigenvalues)
    first = _first_to_refine(values, matrix.rows, matrix.cols, mode) if values[0] else matrix.n
    small = matrix.n - first
    if small == 0:
        return values, "gram" + solver.suffix, matrix.n
    if small <= matrix.n // 2:
        vectors = solver.smallest_vectors(small)
        factor = _triangle(solver.project(block, vectors) for block in matrix.blocks())
        refined, method = _svdvals(factor)[-small:], "gram+projection"
    else:
        matrix.deflated = solver.largest_vectors(first)
        # Its n² numbers would stay in memory beside those of the second Gram matrix.
        del solver
        solver = _solver(matrix, device)
        refined, method = _roots(solver.eigenvalues)[:small], "gram+deflation"
    values = np.sort(np.concatenate((values[:first], refined)))[::-1]
    return values, method + solver.suffix, first


def _roots(eigenvalues: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(eigenvalues, 0.0))[::-1]


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


class _CpuSolver:
    """Eigenvalues of the Gram matrix, ascending, and on demand some of its eigenvectors."""

    suffix = ""

    def __init__(self, matrix: _Matrix):
        gram = np.zeros((matrix.n, matrix.n), order="F")
        for block in matrix.blocks():
            if matrix.deflated is not None:
                block -= (block @ matrix.deflated) @ matrix.deflated.T
            lapack.add_gram(gram, block)
        solved = eigen.solve(gram)
        self.eigenvalues = solved.eigenvalues
        self.smallest_vectors, self.largest_vectors = (
            solved.smallest_vectors,
            solved.largest_vectors,
        )

    def project(self, block: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Products of rows [k, n] with columns [n, c], float64 [k, c]."""
        return block @ vectors


class _TorchSolver:
    """The same in PyTorch, on a GPU or, for tests, on the CPU."""

    def __init__(self, matrix: _Matrix, device: str):
        import torch

        # The numbers do not depend on which of several GPUs computed them.
        self.suffix = "@" + device.partition(":")[0]
        self._device = _torch_device(device)
        self._gram = torch.zeros((matrix.n,) * 2, dtype=torch.float64, device=self._device)
        deflated = None if matrix.deflated is None else self._moved(matrix.deflated)
        for block in matrix.blocks():
            part = self._moved(block)
            if deflated is not None:
                part -= (part @ deflated) @ deflated.T
            self._gram.addmm_(part.T, part)
        self.eigenvalues = torch.linalg.eigvalsh(self._gram).cpu().numpy()

    def smallest_vectors(self, count: int) -> np.ndarray:
        """The eigenvectors of the `count` smallest eigenvalues, columns [n, count]."""
        import torch

        return torch.linalg.eigh(self._gram)[1][:, :count].cpu().numpy()

    def largest_vectors(self, count: int) -> np.ndarray:
        """The eigenvectors of the `count` largest eigenvalues, columns [n, count]."""
        import torch

        return torch.linalg.eigh(self._gram)[1][:, -count:].cpu().numpy()

    def project(self, block: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Products of rows [k, n] with columns [n, c], float64 [k, c]."""
        return (self._moved(block) @ self._moved(vectors)).cpu().numpy()

    def _moved(self, array: np.ndarray):
        import torch

        return torch.from_numpy(array).to(self._device)


def _torch_device(device: str):
    import torch

    return torch.device("cpu" if device == "torch-cpu" else device)


def _solver(matrix: _Matrix, device: str) -> _CpuSolver | _TorchSolver:
    """The solver of `device`, or that of the CPU, with a warning, if GPU memory is too small."""
    if device == "cpu":
        return _CpuSolver(matrix)
    import torch

    target = _torch_device(device)
    if target.type == "cuda":
        needed, free = _device_bytes(matrix), torch.cuda.mem_get_info(target)[0]
        if free < needed:
            reason = f"has {free / 1e9:.1f} GB free of the {needed / 1e9:.1f} GB needed"
            return _fallen_back(matrix, device, reason)
    try:
        return _TorchSolver(matrix, device)
    except torch.OutOfMemoryError:
        return _fallen_back(matrix, device, "ran out of memory")


def _device_bytes(matrix: _Matrix) -> int:
    return 8 * 4 * matrix.n**2 + 2 * BLOCK_BYTES


def _fallen_back(matrix: _Matrix, device: str, reason: str) -> _CpuSolver:
    logger.warning("%s %s (%d x %d): using the CPU", device, reason, matrix.rows, matrix.cols)
    return _CpuSolver(matrix)


def _svdvals(array: np.ndarray) -> np.ndarray:
    return np.linalg.svd(array, compute_uv=False)


def _triangle(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """R of the QR decomposition of the stacked blocks, one block at a time."""
    factor: np.ndarray | None = None
    for block in blocks:
        stacked = block if factor is None else np.concatenate((factor, block))
        factor = np.asarray(np.linalg.qr(stacked, mode="r"))
    assert factor is not None
    return factor


def _sketch(matrix: _Matrix, power_iterations: int = 2) -> np.ndarray:
    """Lower estimates of the `SKETCH_RANK` largest values (randomized subspace iteration)."""
    width = min(matrix.n, SKETCH_RANK + 32)
    basis = np.random.default_rng(0).standard_normal((matrix.n, width))
    for _ in range(power_iterations + 1):
        basis = np.linalg.qr(basis)[0]
        product = np.zeros_like(basis)
        for block in matrix.blocks():
            product += block.T @ (block @ basis)
        basis = product
    basis = np.linalg.qr(basis)[0]
    return _svdvals(_triangle(block @ basis for block in matrix.blocks()))[:SKETCH_RANK]


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
