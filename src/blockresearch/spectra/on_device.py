"""Singular values on a device: the route of `singular_values` for panels that are tensors.

Products and eigenvalues are in float64 there; small triangles are solved by LAPACK on the CPU.
TF32 plays no part in float64, and nothing here changes torch's settings.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from blockresearch.spectra.singular_values import (
    POWER_ITERATIONS,
    Spectrum,
    safe_scale,
    sketch_basis,
    spectrum_of,
)

# Bytes of a block of columns of a wide matrix: a larger one is read again for each block.
WIDE_BYTES = 512 * 2**20

Panels = Callable[[], Iterable[torch.Tensor]]


def singular_values(
    panels: Panels, rows: int, cols: int, kind: str, mode: str = "full"
) -> Spectrum:
    """Singular values of the matrix [rows, cols] that `panels()` yields from top to bottom.

    Panels are finite float32 or float64 tensors [r, cols] on one device, whose `kind` (cuda) ends
    the names of methods. Modes and accuracy are those of `singular_values.singular_values`. Memory
    on the device: a panel in float64 or `WIDE_BYTES`, and 40 n² bytes, n = min(rows, cols).
    """
    return spectrum_of(_Matrix(panels, rows, cols, kind), mode)


class _Matrix:
    """The matrix as float64 blocks [b, n] whose stack is W (or Wᵀ if W is wide)."""

    def __init__(self, panels: Panels, rows: int, cols: int, kind: str):
        self.panels, self.rows, self.cols = panels, rows, cols
        self.suffix = "@" + kind
        self.scale = 1.0
        self._is_double = False
        for panel in panels() if min(rows, cols) else ():
            self._is_double = panel.dtype == torch.float64
            break
        if self._is_double:
            self.scale = safe_scale(float(p.abs().max()) for p in panels() if p.numel())

    def blocks(self) -> Iterator[torch.Tensor]:
        """Rows of the longer side in order, float64 [k, n]; not to be overwritten."""
        if self.rows >= self.cols:
            yield from map(self._scaled, self.panels())
            return
        size = max(1, WIDE_BYTES // (8 * self.rows))
        for left in range(0, self.cols, size):
            parts = [self._scaled(panel[:, left : left + size]) for panel in self.panels()]
            yield torch.cat(parts).T

    def _scaled(self, panel: torch.Tensor) -> torch.Tensor:
        wide = panel.to(torch.float64)
        return wide if self.scale == 1.0 else wide * (1.0 / self.scale)

    def whole(self) -> np.ndarray:
        """The whole matrix, float64 [rows, cols]."""
        return torch.cat([self._scaled(panel) for panel in self.panels()]).cpu().numpy()

    def sketch(self) -> np.ndarray:
        """Randomized subspace iteration; the triangle [k, k] of the matrix in the subspace."""
        basis = torch.from_numpy(sketch_basis(min(self.rows, self.cols)))
        for _ in range(POWER_ITERATIONS + 1):
            basis = torch.linalg.qr(basis)[0]
            product = torch.zeros_like(basis)
            for block in self.blocks():
                basis, product = basis.to(block.device), product.to(block.device)
                product += block.T @ (block @ basis)
            basis = product
        basis = torch.linalg.qr(basis)[0]
        return _triangle(block @ basis for block in self.blocks())

    def solved(self) -> "_Solved":
        """The Gram matrix of the shorter side, solved."""
        return _Solved(self)


class _Solved:
    """The eigenvalues and eigenvectors of the Gram matrix of a matrix.

    cuSOLVER takes hardly longer for both than for the eigenvalues.
    """

    def __init__(self, matrix: _Matrix):
        self._matrix = matrix
        values, self._vectors = torch.linalg.eigh(_gram(matrix))
        self.eigenvalues = values.cpu().numpy()

    def among_smallest(self, count: int) -> np.ndarray:
        """The triangle [k, k] of W V, V the eigenvectors of the `count` smallest eigenvalues."""
        vectors = self._vectors[:, :count]
        return _triangle(block @ vectors for block in self._matrix.blocks())

    def without_largest(self, count: int) -> np.ndarray:
        """Eigenvalues [n] of the Gram matrix of W - W V Vᵀ, V the `count` largest directions."""
        # A copy, so that the memory of all vectors is free for the second matrix.
        first = self._vectors.shape[1] - count
        vectors = self._vectors = self._vectors[:, first:].clone()
        return torch.linalg.eigvalsh(_gram(self._matrix, vectors)).cpu().numpy()


def _gram(matrix: _Matrix, deflated: torch.Tensor | None = None) -> torch.Tensor:
    """The Gram matrix without the directions `deflated` [n, k], orthonormal columns."""
    gram: torch.Tensor | None = None
    for block in matrix.blocks():
        if deflated is not None:
            block = block - (block @ deflated) @ deflated.T
        gram = block.T @ block if gram is None else gram.addmm_(block.T, block)
    assert gram is not None
    return gram


def _triangle(blocks: Iterable[torch.Tensor]) -> np.ndarray:
    """R of the QR decomposition of the stacked blocks, one block at a time; on the CPU."""
    factor: torch.Tensor | None = None
    for block in blocks:
        stacked = block if factor is None else torch.cat((factor, block))
        factor = torch.linalg.qr(stacked, mode="r")[1]
    assert factor is not None
    return factor.cpu().numpy()
