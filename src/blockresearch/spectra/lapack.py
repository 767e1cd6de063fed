"""The routines of BLAS and LAPACK behind the spectra, called without the interpreter lock.

SciPy's own wrappers hold the lock while they compute, so that threads would wait for each other.
Here the same library is called through the addresses that SciPy exports for compiled code
(`scipy.linalg.cython_blas`, `cython_lapack`). Arrays are float64 in Fortran order; symmetric
matrices are their lower triangles. Every function raises LinAlgError if its routine fails.
"""

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import cython_blas, cython_lapack
from scipy.linalg import lapack as scipy_lapack

# Columns reduced at a time: the vectors of a panel stay in the cache.
PANEL = 16


def add_gram(gram: np.ndarray, block: np.ndarray) -> None:
    """Add blockᵀ block to `gram` [n, n] for a block [b, n] in C or Fortran order (dsyrk)."""
    if block.flags.c_contiguous:
        trans, lda = b"N", block.shape[1]
    else:
        trans, lda = b"T", _leading(block)
    n, depth = len(gram), len(block)
    _call("dsyrk", b"L", trans, n, depth, 1.0, block, lda, 1.0, gram, _leading(gram))


def tridiagonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diagonal [n], off-diagonal [n - 1] and scales [n - 1] of the reflectors, which overwrite
    `matrix` [n, n] (dsytrd)."""
    n = len(matrix)
    diagonal, off, tau, work = (np.empty(size) for size in (n, n - 1, n - 1, PANEL * n))
    _checked("dsytrd", b"L", n, matrix, _leading(matrix), diagonal, off, tau, work, len(work))
    return diagonal, off, tau


def tridiagonal_eigenvalues(diagonal: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Eigenvalues [n] of a symmetric tridiagonal matrix in ascending order (dsterf)."""
    values = diagonal.copy()
    _checked("dsterf", len(values), values, off.copy())
    return values


def from_tridiagonal(reflectors: np.ndarray, tau: np.ndarray, vectors: np.ndarray) -> None:
    """Turn eigenvectors [n, count] of the tridiagonal form into those of the matrix, in place
    (dormqr)."""
    rows, count = len(vectors) - 1, vectors.shape[1]
    work = np.empty(64 * count)
    sizes = _leading(reflectors), _leading(vectors)
    below = reflectors[1:], sizes[0], tau, vectors[1:], sizes[1]
    _checked("dormqr", b"L", b"N", rows, count, rows, *below, work, len(work))


def cholesky(matrix: np.ndarray) -> bool:
    """Overwrite `matrix` [n, n] with its Cholesky factor; False if it is not positive definite
    (dpotrf)."""
    return _call("dpotrf", b"L", len(matrix), matrix, _leading(matrix)) == 0


def cholesky_solve(factor: np.ndarray, right: np.ndarray) -> None:
    """Overwrite the columns of `right` [n, count] with the solutions (dpotrs)."""
    n, count = right.shape
    _checked("dpotrs", b"L", n, count, factor, _leading(factor), right, _leading(right))


def has_two_stages() -> bool:
    """Whether the library has dsytrd_2stage (LAPACK 3.7)."""
    return _two_stages() is not None


def tridiagonal_in_two_stages(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal [n] and off-diagonal [n - 1] of the tridiagonal form; overwrites `matrix` [n, n]
    (dsytrd_2stage)."""
    n = len(matrix)
    diagonal, off, tau = np.empty(n), np.empty(n - 1), np.empty(n - 1)
    wanted = np.empty(1), np.empty(1)
    arrays = matrix, _leading(matrix), diagonal, off, tau
    lengths = ctypes.c_size_t(1), ctypes.c_size_t(1)
    _checked("dsytrd_2stage", b"N", b"L", n, *arrays, wanted[0], -1, wanted[1], -1, hidden=lengths)
    band, work = (np.empty(int(size[0])) for size in wanted)
    sized = band, len(band), work, len(work)
    _checked("dsytrd_2stage", b"N", b"L", n, *arrays, *sized, hidden=lengths)
    return diagonal, off


def _leading(matrix: np.ndarray) -> int:
    # The stride of a single column is arbitrary.
    return max(1, len(matrix), matrix.strides[1] // matrix.itemsize)


def _checked(name: str, *arguments: Any, hidden: tuple = ()) -> None:
    info = _call(name, *arguments, hidden=hidden)
    if info:
        raise np.linalg.LinAlgError(f"{name} failed (info {info})")


def _call(name: str, *arguments: Any, hidden: tuple = ()) -> int:
    """Call a routine with everything by reference; its `info`, 0 if it has none."""
    info = ctypes.c_int(0)
    passed: list[Any] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            passed.append(ctypes.c_void_p(argument.ctypes.data))
        elif isinstance(argument, bytes):
            passed.append(ctypes.c_char_p(argument))
        else:
            kind = ctypes.c_double if isinstance(argument, float) else ctypes.c_int
            passed.append(ctypes.byref(kind(argument)))
    if name != "dsyrk":
        passed.append(ctypes.byref(info))
    _routine(name)(*passed, *hidden)
    return info.value


@lru_cache(maxsize=16)
def _routine(name: str) -> Any:
    if name == "dsytrd_2stage":
        return _two_stages()
    module = cython_blas if name == "dsyrk" else cython_lapack
    capsule = module.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = (
        ctypes.c_char_p,
        [ctypes.py_object],
    )
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None)(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))


@lru_cache(maxsize=1)
def _two_stages() -> Any:
    """The address of dsytrd_2stage, or None: SciPy exports none, but links its LAPACK module with a
    library that contains it."""
    library = ctypes.CDLL(scipy_lapack._flapack.__file__)
    for name in ("scipy_dsytrd_2stage_", "dsytrd_2stage_"):
        if hasattr(library, name):
            return getattr(library, name)
    return None
