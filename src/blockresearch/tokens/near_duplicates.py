"""Rows that nearly equal another one, found among all rows without comparing all pairs.

Rows get the same key if their directions lie on the same sides of random planes through the mean
direction, as directions close to each other mostly do (Charikar 2002). Only rows of equal keys are
compared: first along the leading axes, which can only make a distance shorter, then exactly. So
every row that is found is one. Further sets of planes find what one set has torn apart, until
`AT_ONCE` of them find nothing new.
"""

from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.compiled import compiled
from blockresearch.tokens.clustering import Space
from blockresearch.tokens.geometry import PAIRS, Geometry
from blockresearch.tokens.vectors import Table, blocks

NEAR_DUPLICATE = 0.99

MAX_TABLES = 33

# Sets of planes for one pass over the rows.
AT_ONCE = 3

# Rows of one key that a row is compared with, next to it in order.
CANDIDATES = 128

STRIDE = 16

# Lengths of float32 coordinates of unit vectors are off by less.
ROUNDING = 1e-5


def near_duplicates(
    seen: Geometry,
    units: np.ndarray,
    stored: Space,
    random_state: int,
) -> np.ndarray:
    """Mask [m] of the rows whose geometry is `seen` with a cosine of at least 0.99 to another row.

    `units` [d] is the sum of the rows scaled to length 1, `stored` the space of the rows. Rows of
    length 0 have no cosine. The planes come from `random_state`. A row can be missed, mostly if
    rows are alike as a whole.
    """
    rows, workers, (m, d) = seen.rows, seen.workers, seen.rows.shape
    scale = np.divide(1.0, seen.norms, out=np.zeros(m), where=seen.norms > 0).astype(np.float32)
    mean = (units / max(int(np.count_nonzero(scale)), 1)).astype(np.float32)
    # Coordinates of the unit vectors, seen from the origin.
    components = stored.components
    along = stored.reduced + (components.mean @ components.axes).astype(np.float32)
    along *= scale[:, None]
    found = np.zeros(m, bool)
    generator = np.random.default_rng(random_state)
    count = max(int(np.log2(max(m, 1))), 1)  # about one row per key
    keys = np.empty((AT_ONCE, m), np.int64)
    with threadpool_limits(1):
        for _ in range(0, MAX_TABLES, AT_ONCE):
            planes = generator.standard_normal((d, AT_ONCE * count)).astype(np.float32)
            middle = mean @ planes

            enter = partial(_enter_keys, rows, scale, planes, middle, keys)
            for _ in workers.map(enter, blocks(rows), "near duplicates"):
                pass
            before = found.sum()
            for own in keys:
                order = np.argsort(own, kind="stable")
                workers.start(_mark, seen, scale, along, order, own[order], found).result()
            if found.sum() == before:
                break
    return found


def _enter_keys(
    rows: Table,
    scale: np.ndarray,
    planes: np.ndarray,
    middle: np.ndarray,
    keys: np.ndarray,
    part: slice,
) -> None:
    """Enter the keys of a part of the rows: a bit for each plane that they lie above."""
    sides = (rows[part] @ planes) * scale[part, None] > middle
    powers = 1 << np.arange(planes.shape[1] // AT_ONCE)
    keys[:, part] = (sides.reshape(len(sides), AT_ONCE, -1) @ powers).T


def _mark(
    seen: Geometry,
    scale: np.ndarray,
    along: np.ndarray,
    order: np.ndarray,
    keys: np.ndarray,
    found: np.ndarray,
) -> None:
    """Mark rows of equal `keys` whose unit vectors are close; `order` is that of the keys."""
    limit = 2 - 2 * NEAR_DUPLICATE
    tried = np.zeros(len(order), np.int64)
    left = np.flatnonzero(~found[order] & (scale[order] > 0))
    while len(left):
        others = np.empty(len(left), np.int64)
        _next_candidates(left, order, keys, along, scale, limit + ROUNDING, tried, others)
        left, others = left[others >= 0], others[others >= 0]
        if not len(left):
            return
        one, two = order[left], order[others]
        close = np.zeros(len(left), bool)
        for at in range(0, len(left), PAIRS):
            a, b = one[at : at + PAIRS], two[at : at + PAIRS]
            gaps = seen.rows[a] * scale[a, None] - seen.rows[b] * scale[b, None]
            close[at : at + PAIRS] = np.einsum("ij,ij->i", gaps, gaps, dtype=np.float64) <= limit
        found[one[close]] = found[two[close]] = True
        left = left[~found[one]]


@compiled
def _next_candidates(left, order, keys, along, scale, limit, tried, others):
    """For each place of `left` the next place of an equal key that may be near, or -1."""
    m, p = along.shape
    for number in range(len(left)):
        at = left[number]
        one = order[at]
        others[number] = -1
        # Both sides: a neighbor that is marked already does not look for this one.
        for step in range(tried[at] + 1, 2 * CANDIDATES + 1):
            tried[at] = step
            other_at = at + ((step + 1) // 2 if step % 2 else -(step // 2))
            if other_at < 0 or other_at >= m or keys[other_at] != keys[at]:
                continue
            other = order[other_at]
            if scale[other] == 0:
                continue
            apart, axis = 0.0, 0
            while axis < p and apart <= limit:
                for here in range(axis, min(axis + STRIDE, p)):
                    gap = along[one, here] - along[other, here]
                    apart += gap * gap
                axis += STRIDE
            if apart <= limit:
                others[number] = other_at
                break
