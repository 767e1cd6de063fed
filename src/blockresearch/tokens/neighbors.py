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
    rows: np.ndarray, norms: np.ndarray, queries: np.ndarray, device: str = "cpu"
) -> Neighbors:
    """The `COUNT` rows of largest cosine to each of the rows numbered `queries`, itself left out.

    `norms` [m] are the lengths of `rows` [m, d]; a row of length 0 is not a neighbor and has none.
    `queries` are different and ascending. On the CPU the first of equally near rows come first; on
    another `device`, by torch's name, any of them.
    """
    places = np.full((len(queries), COUNT), -1, np.int64)
    cosines = np.full((len(queries), COUNT), -np.inf, np.float32)
    scale = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0).astype(np.float32)
    if device == "cpu":
        _search(rows, scale, queries, places, cosines)
    else:
        _search_on(device, rows, scale, queries, places, cosines)
    empty = ~np.isfinite(cosines) | (norms[queries] == 0)[:, None]
    places[empty], cosines[empty] = -1, np.nan
    return Neighbors(places, cosines)


def _parts(count: int, start: int = 0) -> list[slice]:
    return [slice(at, min(at + BLOCK_ROWS, count)) for at in range(start, count, BLOCK_ROWS)]


def _search(rows, scale, queries, places, cosines):
    numbers = np.arange(len(rows))
    all_asked = len(queries) == len(rows)
    with threadpool_limits(1):
        for some in _parts(len(queries)):
            own = queries[some]
            units = rows[own] * scale[own, None]
            for part in _parts(len(rows), some.start if all_asked else 0):
                similar = (units @ rows[part].T) * scale[part]
                _keep_best(similar, own, numbers[part], scale, cosines[some], places[some])
                if all_asked and part != some:
                    _keep_best_of_others(
                        similar, own, numbers[part], scale, cosines[part], places[part]
                    )


def _search_on(device, rows, scale, queries, places, cosines):
    import torch

    with torch.inference_mode():
        for some in _parts(len(queries)):
            own = torch.as_tensor(queries[some], device=device)
            units = torch.from_numpy(rows[queries[some]] * scale[queries[some], None]).to(device)
            best = torch.from_numpy(cosines[some]).to(device)
            at = torch.from_numpy(places[some]).to(device)
            for part in _parts(len(rows)):
                block = torch.from_numpy(rows[part] * scale[part, None]).to(device)
                numbers = torch.arange(part.start, part.stop, device=device)
                similar = units @ block.T
                similar[:, torch.as_tensor(scale[part] == 0, device=device)] = -torch.inf
                similar[own[:, None] == numbers] = -torch.inf
                best, kept = torch.cat((best, similar), dim=1).topk(COUNT)
                at = torch.cat((at, numbers.expand(len(own), -1)), dim=1).gather(1, kept)
            places[some], cosines[some] = at.cpu().numpy(), best.cpu().numpy()


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
