"""Eigenvalues of a symmetric matrix, and on demand the eigenvectors of a few of them.

Both ways reduce the matrix to tridiagonal form and find the eigenvalues there (dsterf). Small
matrices take one stage (dsytrd), which also yields eigenvectors. It spends half of its work on
products of a matrix and a vector, which wait for memory; large matrices therefore go through a band
matrix (dsytrd_2stage; Haidar, Ltaief & Dongarra, SC'11), nearly twice as fast, and their smallest
eigenvectors come from inverse iteration with a Cholesky factor.
"""

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal, lapack
from scipy.linalg.lapack import dormqr, dpotrf, dpotrs, dsterf, dsytrd, dsytrd_lwork

TWO_STAGES_FROM = 1800
INVERSE_ITERATIONS = 10


def solve(matrix: np.ndarray) -> "OneStage | TwoStages":
    """Solver of the symmetric `matrix` (float64, Fortran order, lower triangle; overwritten)."""
    if len(matrix) >= TWO_STAGES_FROM and _two_stage_reduction() is not None:
        return TwoStages(matrix)
    return OneStage(matrix)


class OneStage:
    """`eigenvalues` in ascending order."""

    def __init__(self, matrix: np.ndarray):
        n = len(matrix)
        if n == 1:
            self.eigenvalues = matrix[0].copy()
            return
        lwork = int(dsytrd_lwork(n, lower=1)[0])
        self._reflectors, self._diagonal, self._off, self._tau, _ = dsytrd(
            matrix, lower=1, lwork=lwork, overwrite_a=1
        )
        self.eigenvalues = _of_tridiagonal(self._diagonal, self._off)

    def smallest_vectors(self, count: int) -> np.ndarray:
        """Orthonormal columns whose span holds the eigenvectors of the `count` smallest."""
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
        vectors[1:], _, info = dormqr(
            "L", "N", self._reflectors[1:, :-1], self._tau, vectors[1:], lwork=64 * (end - begin)
        )
        if info:
            raise np.linalg.LinAlgError("the eigenvectors could not be transformed back")
        return vectors


class TwoStages:
    """`eigenvalues` in ascending order; the matrix is kept in the triangle not overwritten."""

    def __init__(self, matrix: np.ndarray):
        self._matrix, self._diagonal = matrix, np.diagonal(matrix).copy()
        _copy_triangle(matrix, matrix.T)
        self.eigenvalues = _of_tridiagonal(*_reduce_in_two_stages(matrix))

    def smallest_vectors(self, count: int) -> np.ndarray:
        """Orthonormal columns whose span holds the eigenvectors of the `count` smallest.

        Inverse iteration also carries the neighbours up to nine times as large, so that every
        iteration wins a factor of nine over what lies beyond; where these are many, one stage.
        """
        top = self.eigenvalues[-1]
        reach = 9 * max(self.eigenvalues[count - 1], 1e-10 * top)
        width = int(np.count_nonzero(self.eigenvalues < reach))
        self._restore()
        if width <= len(self._matrix) // 8:
            # rounding must not make the matrix indefinite
            shift = len(self._matrix) * np.finfo(np.float64).eps * top
            np.fill_diagonal(self._matrix, self._diagonal + shift)
            factor, info = dpotrf(self._matrix, lower=1, clean=0, overwrite_a=1)
            if info == 0:
                return _inverse_iteration(factor, width)
            self._restore()
        return OneStage(self._matrix).smallest_vectors(count)

    def largest_vectors(self, count: int) -> np.ndarray:
        """The eigenvectors [n, count] of the largest eigenvalues."""
        self._restore()
        return OneStage(self._matrix).largest_vectors(count)

    def _restore(self) -> None:
        _copy_triangle(self._matrix.T, self._matrix)
        np.fill_diagonal(self._matrix, self._diagonal)


def _of_tridiagonal(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    eigenvalues, info = dsterf(diagonal, off)
    if info:
        raise np.linalg.LinAlgError("the eigenvalue iteration did not converge")
    return eigenvalues


def _inverse_iteration(factor: np.ndarray, width: int) -> np.ndarray:
    basis = np.random.default_rng(0).standard_normal((len(factor), width))
    for _ in range(INVERSE_ITERATIONS):
        basis = np.linalg.qr(dpotrs(factor, basis, lower=1)[0])[0]
    return basis


def _copy_triangle(source: np.ndarray, target: np.ndarray, tile: int = 256) -> None:
    """Copy the strict lower triangle of `source` to that of `target`, tile by tile."""
    for i in range(0, len(source), tile):
        for j in range(0, i, tile):
            target[i : i + tile, j : j + tile] = source[i : i + tile, j : j + tile]
        corner = slice(i, i + tile)
        below = np.tri(len(source[corner]), k=-1, dtype=bool)
        np.copyto(target[corner, corner], source[corner, corner], where=below)


@lru_cache(maxsize=1)
def _two_stage_reduction() -> Any:
    """LAPACK's dsytrd_2stage (LAPACK 3.7), or None where the one behind SciPy lacks it.

    SciPy wraps no function for it; its own LAPACK module is linked with the library that has it.
    """
    library = ctypes.CDLL(lapack._flapack.__file__)
    for name in ("scipy_dsytrd_2stage_", "dsytrd_2stage_"):
        if hasattr(library, name):
            return getattr(library, name)
    return None


def _reduce_in_two_stages(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of the tridiagonal form; overwrites the lower triangle."""
    n = len(matrix)
    diagonal, off, tau = np.empty(n), np.empty(n - 1), np.empty(n - 1)
    info = ctypes.c_int(0)

    def call(band: np.ndarray, band_size: int, work: np.ndarray, work_size: int) -> None:
        order, lda = ctypes.c_int(n), ctypes.c_int(matrix.strides[1] // matrix.itemsize)
        sizes = ctypes.c_int(band_size), ctypes.c_int(work_size)
        arrays = [ctypes.c_void_p(a.ctypes.data) for a in (matrix, diagonal, off, tau, band, work)]
        _two_stage_reduction()(
            b"N",
            b"L",
            ctypes.byref(order),
            arrays[0],
            ctypes.byref(lda),
            *arrays[1:5],
            ctypes.byref(sizes[0]),
            arrays[5],
            ctypes.byref(sizes[1]),
            ctypes.byref(info),
            ctypes.c_size_t(1),
            ctypes.c_size_t(1),
        )

    wanted_band, wanted_work = np.empty(1), np.empty(1)
    call(wanted_band, -1, wanted_work, -1)
    band, work = np.empty(int(wanted_band[0])), np.empty(int(wanted_work[0]))
    call(band, len(band), work, len(work))
    if info.value:
        raise np.linalg.LinAlgError("the reduction to tridiagonal form failed")
    return diagonal, off
