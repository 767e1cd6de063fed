"""The leading singular directions of a matrix, or of a product of two factors.

Of a matrix they are eigenvectors of the Gram matrix of its shorter products, in float32, found by
Lanczos iterations in float64 (ARPACK): energies are off by about 1e-6 of the largest, and
directions by that over their distance to the next energy. Of a product of low rank they follow
from the triangles of both factors, exact to about 1e-7.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blockresearch.arrays.arrays import ON_CPU, Array, Arrays
from blockresearch.spectra.overlap import Factored

# Smaller Gram matrices are solved as a whole.
SOLVED_WHOLE = 128


@dataclass(frozen=True)
class Leading:
    """The `count` leading singular directions, fewer if the rank is lower.

    vectors   of the rows, float64 [count, d]
    others    of the other side of a product, float64 [count, other d]; None of a matrix
    shares    σ² over the sum of all, float64 [count]
    gaps      distance of σ to the nearest other one, relative to it, float64 [count]: near 0 the
              direction is any in a plane
    """

    vectors: np.ndarray
    others: np.ndarray | None
    shares: np.ndarray
    gaps: np.ndarray


def leading_of_rows(matrix: Array, count: int, arrays: Arrays = ON_CPU) -> Leading:
    """Of a finite `matrix` [n, d], float32: the directions that its rows are longest along."""
    gram = matrix.T @ matrix
    total = float(arrays.get(gram.diagonal()).sum(dtype=np.float64))
    wide = arrays.double(gram)
    energies, vectors = _largest(
        lambda some: arrays.get(wide @ arrays.put(some)), len(gram), count + 1
    )
    return _leading(np.sqrt(np.maximum(energies, 0)), total, vectors.T, None, count)


def leading_of_product(core: np.ndarray, left: Factored, right: Factored, count: int) -> Leading:
    """Of Q core Q'ᵀ for a finite `core` [k, k], with the bases Q [d, k] and Q' [other d, k] of two
    factors."""
    u, values, v = np.linalg.svd(core)
    total = float(np.square(values).sum())
    return _leading(values, total, left.span(u[:, :count]).T, right.span(v[:count].T).T, count)


def _largest(
    multiply: Callable[[np.ndarray], np.ndarray], size: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues [count] of a Gram matrix and its eigenvectors [size, count],
    descending; all, if there are no more. `multiply` takes float64 vectors [size, n] to its
    products."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    # Random, because rows without their mean are orthogonal to all ones.
    start = np.random.default_rng(0).standard_normal(size)
    if size > max(SOLVED_WHOLE, 2 * count):
        gram = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
        try:
            values, vectors = eigsh(gram, k=count, v0=start, tol=1e-8)
        except ArpackNoConvergence:
            values, vectors = np.linalg.eigh(multiply(np.eye(size)))
    else:
        values, vectors = np.linalg.eigh(multiply(np.eye(size)))
    order = np.argsort(-values, kind="stable")
    # Otherwise rounding would choose the signs.
    return values[order], (vectors * np.where(start @ vectors < 0, -1.0, 1.0))[:, order]


def _leading(
    values: np.ndarray,
    total: float,
    vectors: np.ndarray,
    others: np.ndarray | None,
    count: int,
) -> Leading:
    """The first `count` of directions with descending singular `values`, without those near 0."""
    count = min(count, int((values > 1e-6 * values.max(initial=0.0)).sum()))
    gaps = np.full(len(values) + 1, np.inf)
    gaps[1:-1] = values[:-1] - values[1:]
    nearest = np.minimum(gaps[:-1], gaps[1:])[:count]
    # With a single value there is nothing near.
    gap = np.where(np.isfinite(nearest), nearest / values[:count], 1.0)
    return Leading(
        vectors[:count],
        None if others is None else others[:count],
        np.square(values[:count]) / total if count else np.empty(0),
        np.minimum(gap, 1.0),
    )
