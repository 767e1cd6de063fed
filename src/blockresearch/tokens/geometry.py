"""Rows of a table seen from its mean and other points: distances, products, cosines, equal rows."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.compiled import compiled
from blockresearch.tokens.vectors import (
    Components,
    Survey,
    Table,
    blocks,
    leading_direction,
    principal_components,
    survey,
)
from blockresearch.tokens.workers import SERIAL, Workers

# Pairs of rows that are compared at once.
PAIRS = 4_096


@dataclass(frozen=True)
class Views:
    """Rows [m, d] seen from t points: products x · p [t, m] and distances |x - p| [t, m], float64.

    `units` [d] is the sum of (x - p) / |x - p| for the first point p; rows at it have no direction.
    """

    products: np.ndarray
    distances: np.ndarray
    units: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """Usable rows [m, d] by length (`norms` [m]) and along the main directions of the table.

    `mean` [d] is theirs, `leading` [d] the direction of the largest sum of squares seen from the
    origin, and `widest` [d] the first principal component; `to_mean` [m] are products with the
    mean, `along_leading` and `along_widest` [m] coordinates, `distances` [m] those to the mean. The
    mean cosines over all pairs of rows are None if there is no pair.
    """

    rows: Table
    norms: np.ndarray
    mean: np.ndarray
    leading: np.ndarray
    widest: np.ndarray
    to_mean: np.ndarray
    along_leading: np.ndarray
    along_widest: np.ndarray
    distances: np.ndarray
    mean_cosine: float | None
    mean_cosine_centered: float | None
    workers: Workers = SERIAL


def geometry(
    rows: Table,
    workers: Workers = SERIAL,
    found: Survey | None = None,
    components: Components | None = None,
) -> Geometry:
    """The geometry of usable `rows` [m, d], by their survey and components if these are `found`."""
    found = found or survey(rows, workers)
    components = components or principal_components(rows, 1, workers, found)
    leading, widest = leading_direction(found), components.axes[:, 0]
    views = seen_from(rows, np.stack([found.mean, leading, widest]), workers)
    norms = found.norms[found.usable]
    return Geometry(
        rows=rows,
        norms=norms,
        mean=found.mean,
        leading=leading,
        widest=widest,
        to_mean=views.products[0],
        along_leading=views.products[1],
        along_widest=views.products[2],
        distances=views.distances[0],
        mean_cosine=_mean_cosine(found.units, norms),
        mean_cosine_centered=_mean_cosine(views.units, views.distances[0]),
        workers=workers,
    )


def seen_from(rows: Table, points: np.ndarray, workers: Workers = SERIAL) -> Views:
    """The views of `rows` [m, d] from `points` [t, d], in one pass; sums are in float64."""
    points = np.ascontiguousarray(points, np.float64)
    count, (m, d) = len(points), rows.shape
    products, squares = np.zeros((count, m)), np.zeros((count, m))

    def look(part: slice) -> np.ndarray:
        units = np.zeros(d)
        block = np.ascontiguousarray(rows[part])
        _look(block, points, products[:, part], squares[:, part], units)
        return units

    units = np.zeros(d)
    for part_units in workers.map(look, blocks(rows), "distances of rows"):
        units += part_units
    return Views(products, np.sqrt(squares), units)


@compiled(fastmath={"reassoc", "contract"})
def _look(block, points, products, squares, units):
    m, d = block.shape
    for row in range(m):
        for number in range(len(points)):
            product, square = 0.0, 0.0
            for axis in range(d):
                product += block[row, axis] * points[number, axis]
                apart = block[row, axis] - points[number, axis]
                square += apart * apart
            products[number, row] = product
            squares[number, row] = square
            if square > 0 and number == 0:
                scale = 1.0 / np.sqrt(square)
                for axis in range(d):
                    units[axis] += (block[row, axis] - points[number, axis]) * scale


def _mean_cosine(units: np.ndarray, lengths: np.ndarray) -> float | None:
    """Mean cosine over all pairs of different rows by the sum `units` [d] of their unit vectors.

    0 for directions spread evenly, toward 1 for rows in a narrow cone. Exact: the sum over all
    pairs of m unit vectors u is |Σu|² - m. Rows of length 0 are left out; None for fewer than two.
    """
    count = int((lengths > 0).sum())
    return float((units @ units - count) / (count * (count - 1))) if count > 1 else None


def first_equal(rows: Table, hashes: np.ndarray) -> np.ndarray:
    """For each of `rows` [m, d] the number of the first row that equals it (0 and -0 are equal).

    Only rows of equal `hashes` [m] are compared, value by value.
    """
    first = np.arange(len(rows))
    order = np.argsort(hashes, kind="stable")
    same = np.zeros(len(rows), bool)
    same[1:] = hashes[order[1:]] == hashes[order[:-1]]
    begin = np.maximum.accumulate(np.where(same, 0, np.arange(len(rows))))
    left, heads = order[same], order[begin[same]]
    while len(left):
        equal = np.zeros(len(left), bool)
        for at in range(0, len(left), PAIRS):
            some = slice(at, at + PAIRS)
            equal[some] = (rows[left[some]] == rows[heads[some]]).all(axis=1)
        first[left[equal]] = heads[equal]
        # Different rows of one hash: the first of them is the next that others may equal.
        left, heads = left[~equal], heads[~equal]
        if len(left):
            heads, number = np.unique(heads, return_inverse=True)
            firsts = np.full(len(heads), len(rows))
            np.minimum.at(firsts, number, left)
            heads = firsts[number]
            left, heads = left[left != heads], heads[left != heads]
    return first


def paired_cosines(rows: Table, others: Table, workers: Workers = SERIAL) -> np.ndarray:
    """Cosine [n] of each of `rows` [n, d] to the row of the same number in `others`.

    NaN if one is zero, not finite or missing, and everywhere if the widths differ.
    """
    cosines = np.full(len(rows), np.nan)
    if rows.shape[1] != others.shape[1]:
        return cosines
    count = min(len(rows), len(others))

    def compare(part: slice) -> None:
        part = slice(part.start, min(part.stop, count))
        own, other = rows[part].astype(np.float64), others[part].astype(np.float64)
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
            found = (own * other).sum(axis=1) / lengths
        cosines[part] = np.where(np.isfinite(found), found, np.nan)

    with threadpool_limits(1):
        some = [part for part in blocks(rows) if part.start < count]
        for _ in workers.map(compare, some, "cosines to the output layer"):
            pass
    return cosines
