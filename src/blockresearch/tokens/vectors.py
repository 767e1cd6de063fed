"""Tables of row vectors: usable rows, principal components, whitening.

Tables are processed block by block, so no second copy is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

# The sum of squares of larger values may overflow float32.
LIMIT = 1e12

BLOCK_ELEMENTS = 2**21

# Share of the largest variance that float32's rounding can produce.
NEGLIGIBLE = 1e-8


@dataclass(frozen=True)
class Components:
    """Leading principal components of n rows: mean [d], axes [d, p], variances [p], their total."""

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total_variance: float

    def leading(self, count: int) -> "Components":
        """The first `count` of them."""
        return replace(self, axes=self.axes[:, :count], variances=self.variances[:count])

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates [n, p] of `rows` [n, d] along the axes, float32."""
        axes, mean = self.axes.astype(np.float32), self.mean.astype(np.float32)
        parts = [(rows[part] - mean) @ axes for part in blocks(rows)]
        return np.concatenate(parts) if parts else np.empty((0, axes.shape[1]), np.float32)


def blocks(rows: np.ndarray) -> Iterator[slice]:
    """Slices of the rows of [n, d] with about `BLOCK_ELEMENTS` elements each."""
    size = max(1, BLOCK_ELEMENTS // max(1, rows.shape[1]))
    return (slice(start, start + size) for start in range(0, len(rows), size))


def usable(rows: np.ndarray) -> np.ndarray:
    """Mask [n] of the rows [n, d] whose values are finite and at most `LIMIT` in magnitude."""
    mask = np.zeros(len(rows), bool)
    for part in blocks(rows):
        mask[part] = (np.abs(rows[part]) <= LIMIT).all(axis=1)
    return mask


def usable_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The usable rows [m, d] as float32 (not copied if all are), and the mask [n] of them."""
    mask = usable(rows)
    return np.ascontiguousarray(rows if mask.all() else rows[mask], dtype=np.float32), mask


def to_unit_length(rows: np.ndarray) -> None:
    """Scale each row of [n, d] to length 1 in place; rows of zeros stay."""
    for part in blocks(rows):
        lengths = np.linalg.norm(rows[part].astype(np.float64), axis=1, keepdims=True)
        rows[part] /= np.where(lengths > 0, lengths, 1.0).astype(rows.dtype)


def whitened(rows: np.ndarray, components: Components) -> np.ndarray:
    """Unit vectors [n, p]: `rows` [n, d] along `components`, each scaled to variance 1.

    No direction weighs more than another: not the few leading ones, which in token embeddings
    follow the frequency of tokens more than their meaning (Mu and Viswanath 2018; whitening: Su et
    al. 2021, arXiv:2103.15316). Directions without variance stay 0.
    """
    variances = components.variances
    scales = np.zeros(len(variances), np.float32)
    kept = variances > NEGLIGIBLE * variances.max(initial=0.0)
    scales[kept] = 1.0 / np.sqrt(variances[kept])
    units = components.project(rows)
    units *= scales
    to_unit_length(units)
    return units


def principal_components(rows: np.ndarray, count: int) -> Components:
    """The `count` leading principal components of usable `rows` [n, d], or all where d is less.

    Eigenvectors of the covariance (ddof 0), accumulated in float64, `oriented`.
    """
    from scipy.linalg import eigh

    n, d = rows.shape
    count = min(count, d)
    with threadpool_limits(1):
        mean = sum((rows[part].sum(axis=0, dtype=np.float64) for part in blocks(rows)), np.zeros(d))
        mean /= max(n, 1)
        covariance = np.zeros((d, d))
        for part in blocks(rows):
            centered = rows[part] - mean
            covariance += centered.T @ centered
        covariance /= max(n, 1)
        variances, axes = eigh(covariance, subset_by_index=[d - count, d - 1])
    variances, axes = np.maximum(variances[::-1], 0.0), oriented(axes[:, ::-1])
    return Components(mean, axes, variances, float(np.trace(covariance)))


def oriented(axes: np.ndarray) -> np.ndarray:
    """Axes [d, p] with signs that make the element of largest magnitude of each positive."""
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
