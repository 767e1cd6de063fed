"""Eigenvalues of a symmetric matrix, and on demand the eigenvectors of a few of them.

Both solvers reduce the matrix to tridiagonal form and find the eigenvalues there (dsterf). For
small matrices that is one stage (dsytrd), which also yields eigenvectors. Half of its work is
products of a matrix and a vector, limited by the speed of memory. Large matrices therefore go
through a band matrix (dsytrd_2stage; Haidar, Ltaief & Dongarra, SC'11), nearly twice as fast, and
their smallest eigenvectors come from inverse iteration with a Cholesky factor.
"""

import numpy as np
from scipy.linalg import eigh_tridiagonal

from blockresearch.spectra import lapack

# Size from which two stages are faster.
TWO_STAGES_FROM = 1800

INVERSE_ITERATIONS = 10


def solve(matrix: np.ndarray) -> "OneStage | TwoStages":
    """The solver of a symmetric `matrix` [n, n] (float64, Fortran order, lower triangle), which it
    overwrites."""
    if len(matrix) >= TWO_STAGES_FROM and lapack.has_two_stages():
        return TwoStages(matrix)
    return OneStage(matrix)


class OneStage:
    """`eigenvalues` in ascending order."""

    def __init__(self, matrix: np.ndarray):
        n = len(matrix)
        if n == 1:
            self.eigenvalues = matrix[0].copy()
            return
        self._reflectors = matrix
        self._diagonal, self._off, self._tau = lapack.tridiagonal(matrix)
        self.eigenvalues = lapack.tridiagonal_eigenvalues(self._diagonal, self._off)

    def smallest_vectors(self, count: int) -> np.ndarray:
        """Orthonormal columns [n, k] whose span contains the eigenvectors of the `count` smallest
        eigenvalues, k ≥ count."""
        return self._vectors(0, count)

    def largest_vectors(self, count: int) -> np.ndarray:
        """The eigenvectors [n, count] of the largest eigenvalues."""
        return self._vectors(len(self.eigenvalues) - count, len(self.eigenvalues))

    def _vectors(self, begin: int, end: int) -> np.ndarray:
        _, vectors = eigh_tridiagonal(
            self._diagonal,
            self._off,
            select="i",
            select_range=(begin, end - 1),
            lapack_driver="stemr",
            check_finite=False,
        )
        vectors = np.asfortranarray(vectors)
        lapack.from_tridiagonal(self._reflectors, self._tau, vectors)
        return vectors


class TwoStages:
    """`eigenvalues` in ascending order; the matrix is kept in the triangle not overwritten."""

    def __init__(self, matrix: np.ndarray):
        self._matrix, self._diagonal = matrix, np.diagonal(matrix).copy()
        _copy_triangle(matrix, matrix.T)
        self.eigenvalues = lapack.tridiagonal_eigenvalues(*lapack.tridiagonal_in_two_stages(matrix))

    def smallest_vectors(self, count: int) -> np.ndarray:
        """Orthonormal columns [n, k] whose span contains the eigenvectors of the `count` smallest
        eigenvalues, k ≥ count.

        Inverse iteration includes the eigenvalues up to nine times as large, so that every
        iteration gains a factor of nine over the rest. If these are many, one stage is used.
        """
        top = self.eigenvalues[-1]
        reach = 9 * max(self.eigenvalues[count - 1], 1e-10 * top)
        width = int(np.count_nonzero(self.eigenvalues < reach))
        self._restore()
        if width <= len(self._matrix) // 8:
            # Rounding must not make the matrix indefinite.
            shift = len(self._matrix) * np.finfo(np.float64).eps * top
            np.fill_diagonal(self._matrix, self._diagonal + shift)
            if lapack.cholesky(self._matrix):
                return _inverse_iteration(self._matrix, width)
            self._restore()
        return OneStage(self._matrix).smallest_vectors(count)

    def largest_vectors(self, count: int) -> np.ndarray:
        """The eigenvectors [n, count] of the largest eigenvalues."""
        self._restore()
        return OneStage(self._matrix).largest_vectors(count)

    def _restore(self) -> None:
        _copy_triangle(self._matrix.T, self._matrix)
        np.fill_diagonal(self._matrix, self._diagonal)


def _inverse_iteration(factor: np.ndarray, width: int) -> np.ndarray:
    basis = np.random.default_rng(0).standard_normal((len(factor), width))
    for _ in range(INVERSE_ITERATIONS):
        basis = np.asfortranarray(basis)
        lapack.cholesky_solve(factor, basis)
        basis = np.linalg.qr(basis)[0]
    return basis


def _copy_triangle(source: np.ndarray, target: np.ndarray, tile: int = 256) -> None:
    """Copy the strict lower triangle of `source` to that of `target`, tile by tile."""
    for i in range(0, len(source), tile):
        for j in range(0, i, tile):
            target[i : i + tile, j : j + tile] = source[i : i + tile, j : j + tile]
        corner = slice(i, i + tile)
        below = np.tri(len(source[corner]), k=-1, dtype=bool)
        np.copyto(target[corner, corner], source[corner, corner], where=below)
