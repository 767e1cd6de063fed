"""Nearest rows by cosine, exact: float32 products block by block, keeping the best so far.

`NearestNeighbors` of scikit-learn 1.9.1 on unit rows is not used. For all 49,152 × 576 rows of
SmolLM2-135M's embedding it took 5.3 times as long (4.4 times the processor time), for a tenth of
them 1.8 times: it multiplies every pair twice. 0.5 % of its neighbors are others, because its
distances lose digits that cosines keep.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.compiled import compiled
from blockresearch.tokens import on_device
from blockresearch.tokens.vectors import PARTS, Table, pieces
from blockresearch.tokens.workers import SERIAL, Workers

COUNT = 5

BLOCK_ROWS = 1024

PIECE = 32


@dataclass(frozen=True)
class Neighbors:
    """Nearest other rows of some rows: places [q, c], nearest first, and their cosines [q, c].

    If there are fewer, places are -1 and cosines NaN.
    """

    places: np.ndarray
    cosines: np.ndarray


def nearest(
    rows: Table, norms: np.ndarray, queries: np.ndarray, workers: Workers = SERIAL
) -> Neighbors:
    """The `COUNT` rows of largest cosine to each of the rows numbered `queries`, itself left out.

    `norms` [m] are the lengths of `rows` [m, d]; a row of length 0 is not a neighbor and has none.
    `queries` are different and ascending. On the CPU the first of equally near rows come first; on
    another device any of them.
    """
    places = np.full((len(queries), COUNT), -1, np.int64)
    cosines = np.full((len(queries), COUNT), -np.inf, np.float32)
    scale = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0).astype(np.float32)
    if not workers.on_cpu:
        on_device.nearest(rows, scale, queries, workers.device, places, cosines)
    elif len(queries) == len(rows):
        _search_all(rows, scale, places, cosines, workers)
    else:
        _search(rows, scale, queries, places, cosines, workers)
    empty = ~np.isfinite(cosines) | (norms[queries] == 0)[:, None]
    places[empty], cosines[empty] = -1, np.nan
    return Neighbors(places, cosines)


def _search(rows, scale, queries, places, cosines, workers):
    """Each range of rows gives its best for all queries."""
    units = rows[queries] * scale[queries, None]

    def search(part):
        near = np.full(places.shape, -1, np.int64)
        best = np.full(cosines.shape, -np.inf, np.float32)
        for some in pieces(part.start, part.stop, BLOCK_ROWS):
            block, numbers = rows[some], np.arange(some.start, some.stop)
            for asked in pieces(0, len(queries), BLOCK_ROWS):
                similar = (units[asked] @ block.T) * scale[some]
                _keep_best(similar, queries[asked], numbers, scale, best[asked], near[asked])
        return near, best

    with threadpool_limits(1):
        size = max(-(-len(rows) // (4 * PARTS)), BLOCK_ROWS)
        for near, best in workers.map(search, pieces(0, len(rows), size), "neighbors"):
            _merge(places, cosines, near, best)


def _search_all(rows, scale, places, cosines, workers):
    """Each pair of ranges is multiplied once, for the rows of both."""
    ranges = list(pieces(0, len(rows), BLOCK_ROWS))

    def search(first):
        near = np.full(places.shape, -1, np.int64)
        best = np.full(cosines.shape, -np.inf, np.float32)
        for at in range(first, len(ranges), PARTS):
            some = ranges[at]
            own = np.arange(some.start, some.stop)
            units = rows[some] * scale[some, None]
            for part in ranges[at:]:
                numbers = np.arange(part.start, part.stop)
                similar = (units @ rows[part].T) * scale[part]
                _keep_best(similar, own, numbers, scale, best[some], near[some])
                if part != some:
                    _keep_best_of_others(similar, own, numbers, scale, best[part], near[part])
            workers.report(f"neighbors: rows from {some.start:,} of {len(rows):,}")
        return near, best

    with threadpool_limits(1):
        starts = range(min(PARTS, len(ranges)))
        for near, best in workers.map(search, starts, "neighbors"):
            _merge(places, cosines, near, best)


def _merge(places, cosines, near, best):
    """Enter the best of both; of equally near rows those with the lower number come first."""
    both, numbers = np.hstack([cosines, best]), np.hstack([places, near])
    order = np.lexsort((numbers, -both), axis=1)[:, :COUNT]
    cosines[:] = np.take_along_axis(both, order, axis=1)
    places[:] = np.take_along_axis(numbers, order, axis=1)


@compiled
def _keep_best(similar, own, others, scale, cosines, places):
    """Enter the cosines `similar` [q, b] of rows `own` and `others` into the best of own."""
    last = cosines.shape[1] - 1
    for query in range(len(own)):
        for start in range(0, len(others), PIECE):
            stop = min(start + PIECE, len(others))
            least = cosines[query, last]
            # A count has no branches, so the compiler vectorizes it; hardly any piece has one.
            larger = 0
            for column in range(start, stop):
                larger += similar[query, column] > least
            if larger == 0:
                continue
            for column in range(start, stop):
                number = others[column]
                if scale[number] > 0 and number != own[query]:
                    _enter(cosines[query], places[query], similar[query, column], number)


@compiled
def _keep_best_of_others(similar, own, others, scale, cosines, places):
    """Enter the same into the best of others; no row is in both."""
    last = cosines.shape[1] - 1
    least = cosines[:, last].copy()
    for query in range(len(own)):
        if scale[own[query]] == 0:
            continue
        for start in range(0, len(others), PIECE):
            stop = min(start + PIECE, len(others))
            larger = 0
            for column in range(start, stop):
                larger += similar[query, column] > least[column]
            if larger == 0:
                continue
            for column in range(start, stop):
                _enter(cosines[column], places[column], similar[query, column], own[query])
                least[column] = cosines[column, last]


@compiled
def _enter(cosines, places, value, number):
    at = len(cosines) - 1
    if value > cosines[at]:
        while at > 0 and value > cosines[at - 1]:
            cosines[at] = cosines[at - 1]
            places[at] = places[at - 1]
            at -= 1
        cosines[at] = value
        places[at] = number
