"""Singular values of a matrix that is read in row panels: bounded memory, float64 accuracy.

Route (`mode="full"`): the Gram matrix of the shorter side is accumulated in float64 over the
panels, reduced to a tridiagonal matrix and solved (dsyrk, dsytrd, dsterf). Squaring costs half of
the digits, so the relative error of the root grows like eps·(σ₁/σ)²: below `REFINE_BELOW`·σ₁ the
values are computed again without squaring. The eigenvectors V of those small eigenvalues project
the matrix, W V has only the small singular values, and a streamed QR of it gives them to
eps·σ₁. What V holds of the large directions, and what it misses of the small ones, enters in second
order only: rounding turns an eigenvector of σ towards one of σ' by about eps·σ₁²/|σ² - σ'²|.
Where most values are small the whole matrix goes through the streamed QR instead.

Guaranteed against LAPACK's float64 SVD: relative error ≤ 1e-7 for σ ≥ 1e-4·σ₁ and ≤ 1e-6 for
σ ≥ 1e-7·σ₁. Memory: n² + one block of float64 with n = min(rows, cols) (a second n² while large
parts are refined); never the whole matrix, unless it is small.

References: Golub & Van Loan, Matrix Computations, 4th ed., 8.6 (Gram route), 5.2 (QR updates);
Demmel, Grigori, Hoemmen & Langou, arXiv:0808.2664 (streamed QR); Halko, Martinsson & Tropp,
arXiv:0909.4061 (sketch).
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal, svdvals
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dormqr, dsterf, dsytrd, dsytrd_lwork

logger = logging.getLogger(__name__)

Panels = Callable[[], Iterable[np.ndarray]]

REFINE_BELOW = 3e-4
BLOCK_BYTES = 64 * 2**20
DIRECT_ELEMENTS = 2**14
SKETCH_RANK = 256
EPS32 = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Spectrum:
    """Singular values in descending order and how they were found.

    `method` is ``direct``, ``gram``, ``gram+projection``, ``gram+qr`` or ``sketch`` (an estimate of
    the largest values only), with ``@device`` behind it where not on the CPU. `refined_from` is the
    index of the first value that was computed again without squaring, len(values) where none was.
    """

    values: np.ndarray
    method: str
    seconds: float
    refined_from: int


def singular_values(
    panels: Panels, rows: int, cols: int, device: str = "cpu", mode: str = "full"
) -> Spectrum:
    """Singular values of the matrix [rows, cols] that `panels()` yields from top to bottom.

    `panels` is called once for each pass that is needed (one, and one more to refine; a wide matrix
    takes as many as its column blocks of `BLOCK_BYTES`). Panels are finite float32 or float64
    C arrays [r, cols]. `device` is ``cpu`` (SciPy), ``cuda`` or ``cuda:N`` (float64 on the GPU), or
    ``torch-cpu`` (the GPU's code on the CPU).

    `mode`: ``full``; ``rank`` (values below the rank's threshold are not refined); ``sketch``
    (randomised estimate of the `SKETCH_RANK` largest values); ``none`` (no values).
    ValueError where the panels do not make up the shape.
    """
    if mode not in ("full", "rank", "sketch", "none"):
        raise ValueError(f"unknown spectra mode {mode!r}: expected full, rank, sketch or none")
    start = time.perf_counter()
    matrix = _Matrix(panels, rows, cols)
    if mode == "none" or matrix.n == 0:
        values, method, refined_from = np.empty(0), "none", 0
    elif rows * cols <= DIRECT_ELEMENTS:
        values, method = svdvals(matrix.whole(), check_finite=False), "direct"
        refined_from = len(values)
    elif mode == "sketch" and matrix.n > 2 * SKETCH_RANK:
        values, method = _sketch(matrix), "sketch"
        refined_from = len(values)
    else:
        values, method, refined_from = _gram_route(matrix, device, mode)
    values = np.ascontiguousarray(values * matrix.scale)
    return Spectrum(values, method, time.perf_counter() - start, refined_from)


class _Matrix:
    """The matrix as float64 blocks [b, n] whose stack is W (or Wᵀ where W is wide).

    Entries are divided by `scale`, a power of two, where their squares could leave float64's range.
    """

    def __init__(self, panels: Panels, rows: int, cols: int):
        self.panels, self.rows, self.cols = panels, rows, cols
        self.n, self.m = sorted((rows, cols))
        self.scale = 1.0
        if self.n and next(iter(panels())).dtype == np.float64:
            peak = max((float(np.abs(p).max()) for p in panels() if p.size), default=0.0)
            exponent = np.frexp(peak)[1]
            if abs(exponent) > 300:
                self.scale = float(np.ldexp(1.0, max(int(exponent), -1021)))

    def blocks(self) -> Iterator[np.ndarray]:
        size = min(self.m, max(self.n // 4, BLOCK_BYTES // (8 * self.n), 1))
        return self._row_blocks(size) if self.rows >= self.cols else self._column_blocks(size)

    def whole(self) -> np.ndarray:
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
            raise ValueError(f"panels hold {seen} rows where the shape says {self.rows}")
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
                raise ValueError(f"panels do not hold the {self.rows} rows that the shape says")
            yield block.T

    def _checked(self) -> Iterator[np.ndarray]:
        for panel in self.panels():
            if panel.ndim != 2 or panel.shape[1] != self.cols:
                raise ValueError(
                    f"a panel of shape {panel.shape} in a matrix of {self.cols} columns"
                )
            yield panel


def _gram_route(matrix: _Matrix, device: str, mode: str) -> tuple[np.ndarray, str, int]:
    solver = _torch_solver(matrix, device) if device != "cpu" else None
    suffix = f"@{device}" if solver else ""
    solver = solver or _CpuSolver(matrix)
    values = np.sqrt(np.maximum(solver.eigenvalues, 0.0))[::-1]
    first = _first_to_refine(values, matrix.rows, matrix.cols, mode)
    small = matrix.n - first
    if small == 0:
        return values, "gram" + suffix, matrix.n
    if values[0] == 0.0:
        return np.zeros(matrix.n), "gram" + suffix, matrix.n
    if small > matrix.n // 2:
        del solver
        return svdvals(_triangle(matrix.blocks())), "gram+qr" + suffix, 0
    vectors = solver.smallest_vectors(small)
    factor = _triangle(block @ vectors for block in matrix.blocks())
    refined = svdvals(factor)[:small]
    return (
        np.sort(np.concatenate((values[:first], refined)))[::-1],
        "gram+projection" + suffix,
        first,
    )


def _first_to_refine(values: np.ndarray, rows: int, cols: int, mode: str) -> int:
    """Index of the first value that squaring may have spoiled, or that decides the rank narrowly."""
    threshold = values[0] * max(rows, cols) * EPS32
    narrow = np.abs(values - threshold) <= 1e-6 * threshold
    if narrow.any():
        return int(np.argmax(narrow))
    if mode == "rank" and threshold >= REFINE_BELOW * values[0]:
        return len(values)
    return int(np.count_nonzero(values >= REFINE_BELOW * values[0]))


class _CpuSolver:
    """Eigenvalues of the Gram matrix, and on demand the vectors of its smallest ones."""

    def __init__(self, matrix: _Matrix):
        n = matrix.n
        gram = np.zeros((n, n), order="F")
        for block in matrix.blocks():
            tall = block.flags.c_contiguous
            gram = dsyrk(
                1.0,
                block.T if tall else block,
                beta=1.0,
                c=gram,
                trans=0 if tall else 1,
                lower=1,
                overwrite_c=1,
            )
        if n == 1:
            self.eigenvalues = gram[0].copy()
            return
        lwork = int(dsytrd_lwork(n, lower=1)[0])
        self._reflectors, self._diagonal, self._off, self._tau, _ = dsytrd(
            gram, lower=1, lwork=lwork, overwrite_a=1
        )
        self.eigenvalues, info = dsterf(self._diagonal, self._off)
        if info:
            raise np.linalg.LinAlgError("the eigenvalue iteration did not converge")

    def smallest_vectors(self, count: int) -> np.ndarray:
        _, vectors = eigh_tridiagonal(
            self._diagonal,
            self._off,
            select="i",
            select_range=(0, count - 1),
            lapack_driver="stemr",
            check_finite=False,
        )
        vectors = np.asfortranarray(vectors)
        vectors[1:], _, info = dormqr(
            "L", "N", self._reflectors[1:, :-1], self._tau, vectors[1:], lwork=64 * count
        )
        if info:
            raise np.linalg.LinAlgError("the eigenvectors could not be transformed back")
        return vectors


def _torch_solver(matrix: _Matrix, device: str) -> "_TorchSolver | None":
    """The solver on `device`, or None (and one line in the log) where its memory does not suffice."""
    import torch

    target = torch.device("cpu" if device == "torch-cpu" else device)
    if target.type == "cuda":
        needed = 8 * (4 * matrix.n**2) + 2 * BLOCK_BYTES
        free = torch.cuda.mem_get_info(target)[0]
        if free < needed:
            logger.warning(
                "%s has %.1f GB free where a %d x %d matrix needs %.1f: using the CPU",
                device,
                free / 1e9,
                matrix.rows,
                matrix.cols,
                needed / 1e9,
            )
            return None
    try:
        return _TorchSolver(matrix, target)
    except torch.OutOfMemoryError:
        logger.warning(
            "%s ran out of memory at a %d x %d matrix: using the CPU",
            device,
            matrix.rows,
            matrix.cols,
        )
        return None


class _TorchSolver:
    """The same in PyTorch, on a GPU or, for tests, on the CPU."""

    def __init__(self, matrix: _Matrix, device):
        import torch

        self._gram = torch.zeros((matrix.n, matrix.n), dtype=torch.float64, device=device)
        for block in matrix.blocks():
            part = torch.from_numpy(block).to(device)
            self._gram.addmm_(part.T, part)
        self.eigenvalues = torch.linalg.eigvalsh(self._gram).cpu().numpy()

    def smallest_vectors(self, count: int) -> np.ndarray:
        import torch

        return torch.linalg.eigh(self._gram)[1][:, :count].cpu().numpy()


def _triangle(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """R of the QR decomposition of the stacked blocks, one block at a time."""
    factor: np.ndarray | None = None
    for block in blocks:
        stacked = block if factor is None else np.concatenate((factor, block))
        factor = np.linalg.qr(stacked, mode="r")
    assert factor is not None
    return factor


def _sketch(matrix: _Matrix, power_iterations: int = 2) -> np.ndarray:
    """Estimates from below of the `SKETCH_RANK` largest values (randomised subspace iteration)."""
    width = min(matrix.n, SKETCH_RANK + 32)
    basis = np.random.default_rng(0).standard_normal((matrix.n, width))
    for _ in range(power_iterations + 1):
        basis = np.linalg.qr(basis)[0]
        product = np.zeros_like(basis)
        for block in matrix.blocks():
            product += block.T @ (block @ basis)
        basis = product
    basis = np.linalg.qr(basis)[0]
    return svdvals(_triangle(block @ basis for block in matrix.blocks()))[:SKETCH_RANK]


def numerical_rank(values: np.ndarray, rows: int, cols: int) -> int:
    """#{σ > σ₁ · max(rows, cols) · eps(float32)}: matrix_rank of the float32 matrix, if it computed
    exactly (numpy.linalg.matrix_rank's default tolerance). `values` are in descending order."""
    if len(values) == 0:
        return 0
    return int(np.count_nonzero(values > values[0] * max(rows, cols) * EPS32))


def storage_rank(values: np.ndarray, bound: float) -> int:
    """#{σ > bound}: directions that rounding to the stored type alone cannot have made.

    `bound` is `Distribution.storage_bound`; a lower bound on the rank before rounding.
    """
    return int(np.count_nonzero(values > bound))


def predicted_seconds(rows: int, cols: int) -> float:
    """Seconds of one core for `singular_values` of a [rows, cols] matrix without refinement."""
    n, m = sorted((rows, cols))
    return 3e-4 + 2.0e-9 * m * n + 2.1e-11 * m * n**2 + 3e-9 * n**2 + 5.5e-11 * n**3


def predicted_bytes(rows: int, cols: int) -> int:
    """Bytes that `singular_values` holds at its peak, the caller's panels not counted."""
    n, m = sorted((rows, cols))
    block = 8 * n * min(m, max(n // 4, BLOCK_BYTES // (8 * max(n, 1)), 1))
    return 8 * 2 * n**2 + 2 * block
