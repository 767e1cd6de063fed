"""Rows that nearly equal another one, found among all rows without comparing all pairs.

Rows get the same key if their directions lie on the same sides of random planes through the mean
direction, as directions close to each other mostly do (Charikar 2002). Only rows of equal keys are
compared, exactly, so every row that is found is one. Further sets of planes find what one set has
torn apart, until three in a row find nothing new.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.compiled import compiled
from blockresearch.tokens.vectors import blocks

NEAR_DUPLICATE = 0.99

MAX_TABLES = 32

# Tables in a row without a new one end the search.
WITHOUT_NEWS = 3

# Rows of one key that a row is compared with, next to it in order.
CANDIDATES = 128

STRIDE = 32


def near_duplicates(rows: np.ndarray, norms: np.ndarray, random_state: int) -> np.ndarray:
    """Mask [m] of the `rows` [m, d] (float32) with a cosine of at least 0.99 to another row.

    `norms` [m] are their lengths; rows of length 0 have no cosine. The planes come from
    `random_state`. A row can be missed, mostly if rows are alike as a whole.
    """
    scale = np.divide(1.0, norms, out=np.zeros(len(norms)), where=norms > 0)
    found = np.zeros(len(rows), bool)
    generator = np.random.default_rng(random_state)
    mean = np.zeros(rows.shape[1])
    for part in blocks(rows):
        mean += scale[part] @ rows[part]
    mean /= max(int(np.count_nonzero(scale)), 1)
    count = max(int(np.log2(max(len(rows), 1))), 1)  # about one row per key
    without_news = 0
    with threadpool_limits(1):
        for _ in range(MAX_TABLES):
            planes = generator.standard_normal((rows.shape[1], count)).astype(np.float32)
            keys = np.empty(len(rows), np.int64)
            for part in blocks(rows):
                sides = (rows[part] @ planes) * scale[part, None] > mean @ planes
                keys[part] = sides @ (1 << np.arange(count))
            order = np.argsort(keys, kind="stable")
            before = found.sum()
            _compare(rows, scale, order, keys, 2 - 2 * NEAR_DUPLICATE, found)
            without_news = without_news + 1 if found.sum() == before else 0
            if without_news == WITHOUT_NEWS:
                break
    return found


@compiled
def _compare(rows, scale, order, keys, limit, found):
    """Mark rows whose unit vectors are within the squared distance `limit` in one key."""
    m, d = rows.shape
    for at in range(m):
        one = order[at]
        if found[one] or scale[one] == 0:
            continue
        # Both sides: a neighbor that is marked already does not look for this one.
        for step in range(1, 2 * CANDIDATES + 1):
            other_at = at + ((step + 1) // 2 if step % 2 else -(step // 2))
            if other_at < 0 or other_at >= m or keys[order[other_at]] != keys[one]:
                continue
            other = order[other_at]
            if scale[other] == 0:
                continue
            apart, axis = 0.0, 0
            while axis < d and apart <= limit:
                for here in range(axis, min(axis + STRIDE, d)):
                    gap = rows[one, here] * scale[one] - rows[other, here] * scale[other]
                    apart += gap * gap
                axis += STRIDE
            if apart <= limit:
                found[one] = True
                found[other] = True
                break
