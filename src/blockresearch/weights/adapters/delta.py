"""The change that an adapter makes to one matrix, never kept as a whole if its factors are small.

`Product` is left · right: LoRA's B · A. Its singular values are those of the r x r matrix
R_left · R_rightᵀ of the two QR factors, and zeros. LoHa's Hadamard product of two products is one
too, of rank r₁ · r₂ (`hadamard`). `Kronecker` is LoKr's: its singular values are all products of a
singular value of each factor. Kernels with a core between their factors are made `Whole`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Product:
    """left [rows, r] · right [r, cols], float64."""

    left: np.ndarray
    right: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.shape[0], self.right.shape[1]

    def blocks(self, block_bytes: int) -> Iterator[np.ndarray]:
        """The product in blocks of whole rows, [n, cols] float32 each."""
        rows, cols = self.shape
        step = max(1, block_bytes // (8 * max(1, cols)))
        for first in range(0, rows, step):
            yield (self.left[first : first + step] @ self.right).astype(np.float32)

    def singular_values(self) -> np.ndarray:
        """All singular values of the matrix [rows, cols], largest first, float64."""
        _, left = np.linalg.qr(self.left)
        _, right = np.linalg.qr(self.right.T)
        return _padded(np.linalg.svd(left @ right.T, compute_uv=False), self.shape)


@dataclass(frozen=True)
class Kronecker:
    """first [a, b] ⊗ second [c, d], a matrix [a · c, b · d], float64."""

    first: np.ndarray
    second: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        (a, b), (c, d) = self.first.shape, self.second.shape
        return a * c, b * d

    def blocks(self, block_bytes: int) -> Iterator[np.ndarray]:
        """The product in blocks of whole rows, [n, cols] float32 each."""
        step = max(1, block_bytes // (8 * max(1, self.shape[1])))
        for row in self.first:
            for first in range(0, len(self.second), step):
                yield np.kron(row[None], self.second[first : first + step]).astype(np.float32)

    def singular_values(self) -> np.ndarray:
        """All singular values of the matrix [rows, cols], largest first, float64."""
        one = np.linalg.svd(self.first, compute_uv=False)
        other = np.linalg.svd(self.second, compute_uv=False)
        return _padded(np.sort(np.outer(one, other).reshape(-1))[::-1], self.shape)


@dataclass(frozen=True)
class Whole:
    """A matrix [rows, cols] itself, float64."""

    matrix: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    def blocks(self, block_bytes: int) -> Iterator[np.ndarray]:
        """The matrix in blocks of whole rows, [n, cols] float32 each."""
        step = max(1, block_bytes // (8 * max(1, self.shape[1])))
        for first in range(0, len(self.matrix), step):
            yield self.matrix[first : first + step].astype(np.float32)

    def singular_values(self) -> np.ndarray:
        """All singular values of the matrix [rows, cols], largest first, float64."""
        return np.linalg.svd(self.matrix, compute_uv=False)


Delta = Product | Kronecker | Whole


def hadamard(first: Product, second: Product) -> Delta:
    """The elementwise product of two products of the same shape.

    As a product its factors have r₁ · r₂ columns and rows: (A B) ∘ (C D) = (A ⊙ C)(Bᵀ ⊙ Dᵀ)ᵀ with
    the row-wise Kronecker product ⊙. A matrix no larger than these factors is made whole.
    """
    rows, cols = first.shape
    rank = first.left.shape[1] * second.left.shape[1]
    if rank >= min(rows, cols):
        return Whole((first.left @ first.right) * (second.left @ second.right))
    left = (first.left[:, :, None] * second.left[:, None, :]).reshape(rows, rank)
    right = (first.right[:, None, :] * second.right[None, :, :]).reshape(rank, cols)
    return Product(left, right)


def _padded(found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    values = np.zeros(min(shape))
    count = min(len(found), len(values))
    values[:count] = found[:count]
    return values
