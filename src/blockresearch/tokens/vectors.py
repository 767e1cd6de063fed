"""Tables of row vectors: codes widened block by block, moments, principal components, whitening.

A table stays in memory as stored. Its passes read blocks of rows as float32, so no second
copy is needed.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.compiled import compiled
from blockresearch.tokens import on_device
from blockresearch.tokens.workers import SERIAL, Workers

# The sum of squares of larger values may overflow float32.
LIMIT = 1e12

BLOCK_ELEMENTS = 2**21

# Rows of a float32 product that is added to a float64 sum.
GRAM_ROWS = 2_048

# Parts of a table whose sums are added in order.
PARTS = 16

# Rows whose mean is subtracted before squares are summed, because sums of small numbers are exact.
ORIGIN_ROWS = 2_000

# Share of the largest variance that rounding in float64 can produce.
NEGLIGIBLE = 1e-8

# Share of the largest variance below which a float32 product leaves too few digits of a variance.
RELIABLE = 1e-3


# Squared length of the mean, in total variances, from which lengths do not show the variance.
FAR = 1e4


class Rows:
    """Rows [n, d] of a stored matrix, read as float32; 16-bit floats stay as stored.

    `codes` [n, d] are float32 values or, for `dtype` BF16 and F16, their codes (uint16). If there
    are `scales` [n] (float32), each row is multiplied by its own.
    """

    def __init__(
        self, codes: np.ndarray, dtype: str = "F32", scales: np.ndarray | None = None
    ) -> None:
        self.codes = codes
        self.dtype = dtype
        self.scales = scales
        self.resident: dict[str, Any] = {}  # the codes on other devices

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and dimensions."""
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.codes.size

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        """Rows [m, d] as float32; it may be a view."""
        codes = self.codes[places]
        if self.dtype == "BF16":
            rows = np.left_shift(codes, 16, dtype=np.uint32).view(np.float32)
        elif self.dtype == "F16":
            rows = codes.view(np.float16).astype(np.float32)
        else:
            rows = codes
        return rows if self.scales is None else rows * self.scales[places, None]

    def chosen(self, mask: np.ndarray) -> "Rows":
        """The rows that `mask` [n] marks, without a copy if these are all."""
        if mask.all():
            return self
        return Rows(
            self.codes[mask], self.dtype, None if self.scales is None else self.scales[mask]
        )

    def of_length_one(self) -> "Rows":
        """The same rows, each scaled to length 1; rows of zeros stay."""
        norms = np.concatenate(
            [np.linalg.norm(self[part].astype(np.float64), axis=1) for part in blocks(self)]
        )
        found = copy.copy(self)
        found.scales = np.divide(1.0, norms, out=np.ones(len(norms)), where=norms > 0)
        found.scales = found.scales.astype(np.float32)
        return found


Table = Rows | np.ndarray


def as_rows(table: Table) -> Rows:
    """The rows [n, d] of a table that may be a plain float32 array."""
    return table if isinstance(table, Rows) else Rows(np.asarray(table, np.float32))


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

    def project(self, rows: Table, workers: Workers = SERIAL) -> np.ndarray:
        """Coordinates [n, p] of `rows` [n, d] along the axes, float32."""
        axes, mean = self.axes.astype(np.float32), self.mean.astype(np.float32)
        places = np.empty((len(rows), axes.shape[1]), np.float32)

        def project(part: slice) -> None:
            places[part] = (rows[part] - mean) @ axes

        if workers.on_cpu:
            for _ in workers.map(project, blocks(rows), "coordinates of rows"):
                pass
        else:
            on_device.project(rows, mean, axes, workers.device, places)
        return places


@dataclass(frozen=True)
class Survey:
    """What one pass over n rows of d dimensions finds.

    `usable` [n] marks the rows whose values are finite and at most `LIMIT` in magnitude; the rest
    is of these alone: `squares` [n] are the squares of their lengths (else NaN), `mean` [d],
    `covariance` [d, d] (ddof 0), `total_variance` its trace and `units` [d] the sum of the rows
    scaled to length 1. Rows that are equal have equal `hashes` [n].
    """

    usable: np.ndarray
    squares: np.ndarray
    hashes: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    total_variance: float
    units: np.ndarray

    @property
    def norms(self) -> np.ndarray:
        """Lengths [n] of the rows."""
        return np.sqrt(self.squares)


def blocks(rows: Table) -> Iterator[slice]:
    """Slices of the rows of [n, d] with about `BLOCK_ELEMENTS` elements each."""
    size = max(1, BLOCK_ELEMENTS // max(1, rows.shape[1]))
    return pieces(0, len(rows), size)


def pieces(start: int, stop: int, size: int) -> Iterator[slice]:
    """Slices of `size` from `start` to `stop`; the last may be shorter."""
    return (slice(at, min(at + size, stop)) for at in range(start, stop, size))


def usable(rows: Table) -> np.ndarray:
    """Mask [n] of the rows [n, d] whose values are finite and at most `LIMIT` in magnitude."""
    mask = np.zeros(len(rows), bool)
    for part in blocks(rows):
        mask[part] = (np.abs(rows[part]) <= LIMIT).all(axis=1)
    return mask


def survey(rows: Table, workers: Workers = SERIAL, precise: bool = False) -> Survey:
    """Lengths, hashes and moments of `rows` [n, d], in one pass.

    Products of blocks are in float32, seen from a point near the mean, and their sums in float64:
    the covariance is off by about 1e-6 of the largest variance. `precise` products are in float64.
    """
    n, d = rows.shape
    origin = _near_mean(rows)
    found, squares = np.zeros(n, bool), np.full(n, np.nan)
    hashes = np.zeros(n, np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**63, d, np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    on_cpu = workers.on_cpu

    def scan(part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        sums, units = np.zeros(d), np.zeros(d)
        gram = np.zeros((d, d)) if on_cpu else None
        for piece in pieces(part.start, part.stop, GRAM_ROWS):
            block = np.array(rows[piece], np.float32, order="C")
            _scan(
                block,
                block.view(np.uint32),
                origin,
                factors,
                found[piece],
                squares[piece],
                hashes[piece],
                sums,
                units,
            )
            if gram is not None:
                wide = block.astype(np.float64) if precise else block
                gram += wide.T @ wide
        return sums, units, gram

    sums, units, gram = np.zeros(d), np.zeros(d), np.zeros((d, d))
    size = max(-(-n // PARTS), GRAM_ROWS)
    with threadpool_limits(1):
        for part_sums, part_units, part_gram in workers.map(
            scan, pieces(0, n, size), "sums and products of rows"
        ):
            sums += part_sums
            units += part_units
            if part_gram is not None:
                gram += part_gram
        if not on_cpu:
            gram = on_device.gram(rows, origin, found, workers.device, precise)
    count = max(int(found.sum()), 1)
    offset = sums / count
    mean = origin + offset
    covariance = gram / count
    covariance -= np.outer(offset, offset)
    total = float(np.trace(covariance))
    # Lengths have more digits than float32 products, but not if nearly all of them is the mean's.
    if float(mean @ mean) < FAR * total:
        total = float(np.nansum(squares)) / count - float(mean @ mean)
    return Survey(found, squares, hashes, mean, covariance, max(total, 0.0), units)


def _near_mean(rows: Table) -> np.ndarray:
    """The mean [d] of some usable rows, float32."""
    step = max(1, len(rows) // ORIGIN_ROWS)
    some = rows[np.arange(0, len(rows), step)]
    some = some[(np.abs(some) <= LIMIT).all(axis=1)]
    if not len(some):
        return np.zeros(rows.shape[1], np.float32)
    return some.mean(axis=0, dtype=np.float64).astype(np.float32)


@compiled(fastmath={"reassoc", "contract"})
def _scan(block, bits, origin, factors, usable, squares, hashes, sums, units):
    """Enter what `survey` finds in a block, and subtract the origin; other rows become zeros.

    `bits` are those of `block` [m, d]. One plain loop per quantity, so that each is vectorized.
    """
    m, d = block.shape
    limit = np.float32(1e12)
    for row in range(m):
        good = 0
        for axis in range(d):
            good += abs(block[row, axis]) <= limit
        if good < d:
            for axis in range(d):
                block[row, axis] = 0
            continue
        usable[row] = True
        square = 0.0
        for axis in range(d):
            square += np.float64(block[row, axis]) * np.float64(block[row, axis])
        squares[row] = square
        total = np.uint64(0)
        for axis in range(d):
            code = bits[row, axis]
            # 0 and -0 are equal.
            total += factors[axis] * np.uint64(
                code if code & np.uint32(0x7FFFFFFF) else np.uint32(0)
            )
        hashes[row] = total
        if square > 0:
            scale = 1.0 / np.sqrt(square)
            for axis in range(d):
                units[axis] += block[row, axis] * scale
        for axis in range(d):
            block[row, axis] -= origin[axis]
        for axis in range(d):
            sums[axis] += block[row, axis]


def principal_components(
    rows: Table, count: int, workers: Workers = SERIAL, found: Survey | None = None
) -> Components:
    """The `count` leading principal components of usable `rows` [n, d], or all where d is less.

    Eigenvectors of the covariance (ddof 0), `oriented`, by the survey that was `found`. If their
    variances are too different for float32, products are made again in float64.
    """
    from scipy.linalg import eigh

    d = rows.shape[1]
    count = min(count, d)
    found = found or survey(rows, workers)
    with threadpool_limits(1):
        variances, axes = eigh(found.covariance, subset_by_index=[d - count, d - 1])
        if variances[0] < RELIABLE * variances[-1]:
            found = survey(rows, workers, precise=True)
            variances, axes = eigh(found.covariance, subset_by_index=[d - count, d - 1])
    variances, axes = np.maximum(variances[::-1], 0.0), oriented(axes[:, ::-1])
    return Components(found.mean, axes, variances, found.total_variance)


def leading_direction(found: Survey) -> np.ndarray:
    """The unit vector [d] along which Σ(x · v)² of the rows x is largest, seen from the origin."""
    from scipy.linalg import eigh

    last = [len(found.mean) - 1] * 2
    with threadpool_limits(1):
        second = found.covariance + np.outer(found.mean, found.mean)
        return oriented(eigh(second, subset_by_index=last)[1])[:, 0]


def oriented(axes: np.ndarray) -> np.ndarray:
    """Axes [d, p] with signs that make the element of largest magnitude of each positive."""
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)


def to_unit_length(rows: np.ndarray) -> None:
    """Scale each row of [n, d] to length 1 in place; rows of zeros stay."""
    for part in blocks(rows):
        lengths = np.linalg.norm(rows[part].astype(np.float64), axis=1, keepdims=True)
        rows[part] /= np.where(lengths > 0, lengths, 1.0).astype(rows.dtype)


def whitened(rows: Table, components: Components, places: np.ndarray | None = None) -> np.ndarray:
    """Unit vectors [n, p]: `rows` [n, d] along `components`, each scaled to variance 1.

    No direction weighs more than another: not the few leading ones, which in token embeddings
    follow the frequency of tokens more than their meaning (Mu and Viswanath 2018; whitening: Su et
    al. 2021, arXiv:2103.15316). Directions without variance stay 0. `places` [n, ≥ p] are the
    coordinates of the rows, if they are there already.
    """
    variances = components.variances
    scales = np.zeros(len(variances), np.float32)
    kept = variances > NEGLIGIBLE * variances.max(initial=0.0)
    scales[kept] = 1.0 / np.sqrt(variances[kept])
    places = components.project(rows) if places is None else places
    units = places[:, : len(scales)] * scales
    to_unit_length(units)
    return units
