"""Nearest rows by cosine, exactly: float32 products block by block, the best kept on the way."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from workflow.lib.clustering import blocks
from workflow.lib.loops import compiled

COUNT = 5
QUERIES = 1024


@dataclass(frozen=True)
class Neighbours:
    """Nearest other rows of some rows: places [q, c], nearest first, and their cosines [q, c].

    Of equally near rows the first come first. Where there are fewer, places are -1 and cosines NaN.
    """

    places: np.ndarray
    cosines: np.ndarray


def nearest(rows: np.ndarray, norms: np.ndarray, queries: np.ndarray) -> Neighbours:
    """The `COUNT` rows of largest cosine to each of the rows numbered `queries`, itself left out.

    `norms` [m] are the lengths of `rows` [m, d]; a row of length 0 is no neighbour and has none.
    """
    places = np.full((len(queries), COUNT), -1, np.int64)
    cosines = np.full((len(queries), COUNT), -np.inf, np.float32)
    scale = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0).astype(np.float32)
    with threadpool_limits(1):
        for start in range(0, len(queries), QUERIES):
            some = slice(start, start + QUERIES)
            own = queries[some]
            units = rows[own] * scale[own, None]
            for part in blocks(rows):
                similar = (units @ rows[part].T) * scale[part]
                _keep_best(similar, scale[part], part.start, own, cosines[some], places[some])
    empty = (places < 0) | (norms[queries] == 0)[:, None]
    places[empty], cosines[empty] = -1, np.nan
    return Neighbours(places, cosines)


@compiled
def _keep_best(similar, scale, first, own, cosines, places):
    queries, count = similar.shape
    last = cosines.shape[1] - 1
    for query in range(queries):
        for column in range(count):
            value = similar[query, column]
            if value > cosines[query, last] and scale[column] > 0 and first + column != own[query]:
                at = last
                while at > 0 and value > cosines[query, at - 1]:
                    cosines[query, at] = cosines[query, at - 1]
                    places[query, at] = places[query, at - 1]
                    at -= 1
                cosines[query, at] = value
                places[query, at] = first + column
