"""One direction that the changes of many matrices share, as its removal from a model leaves it.

To remove the direction r from what a matrix W writes to the residual stream is to subtract r rᵀW: a
change of rank 1 whose left singular vector is r in all of them (Arditi and others 2024,
arXiv:2406.11717). For token tables, which write rows, it is the right one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blockresearch.compare.sides import Sides

# Share of the energy of Δ in its first direction above which that direction says what changed.
ONE_DIRECTION = 0.5

# Matrices that must share a direction: fewer could do so by chance or by one fused tensor.
LEAST_MATRICES = 4

# Passes of the power iteration.
PASSES = 2


def is_one_direction(found: Mapping[str, Any]) -> bool:
    """Whether one direction has most of the energy of the change, by its row of differences."""
    stable = found.get("delta_stable_rank")
    return bool(found.get("delta_norm")) and stable is not None and 1 / stable >= ONE_DIRECTION


def written_direction(sides: Sides, is_token_table: bool) -> np.ndarray:
    """The leading singular vector of Δ on the side of the residual stream, float64 of norm 1.

    That is the left one [rows], for token tables the right one [cols].
    """
    right = np.random.default_rng(0).standard_normal(sides.cols)
    left = np.empty(sides.rows)
    for _ in range(PASSES):
        back, first = np.zeros(sides.cols), 0
        for delta in sides.deltas():
            last = first + len(delta)
            left[first:last] = delta @ right
            back += left[first:last] @ delta
            first = last
        right = back / np.linalg.norm(back)
    found = right if is_token_table else left
    return found / np.linalg.norm(found)


def shared_direction(
    vectors: Mapping[int, np.ndarray],
) -> tuple[np.ndarray, dict[int, float]] | None:
    """The direction [n] that most vectors [n] agree in, and |cosine| of each, by their keys.

    None if fewer than LEAST_MATRICES have one length.
    """
    lengths = [len(vector) for vector in vectors.values()]
    if not lengths:
        return None
    common = max(set(lengths), key=lambda n: (lengths.count(n), n))
    kept = {key: vector for key, vector in vectors.items() if len(vector) == common}
    if len(kept) < LEAST_MATRICES:
        return None
    direction = np.linalg.svd(np.stack(list(kept.values())), full_matrices=False)[2][0]
    return direction, {key: float(abs(vector @ direction)) for key, vector in kept.items()}


def share_left(sides: Sides, direction: np.ndarray, is_token_table: bool) -> float | None:
    """‖rᵀB‖ / ‖rᵀA‖ for a direction r [n]: what is left of what the base writes along it."""
    sizes = []
    for side in sides.both:
        along, first = np.zeros(sides.cols), 0
        squares = 0.0
        for panel in side.panels():
            if is_token_table:
                squares += float(np.square(panel @ direction).sum())
            else:
                along += direction[first : first + len(panel)] @ panel
            first += len(panel)
        sizes.append(np.sqrt(squares) if is_token_table else np.linalg.norm(along))
    return float(sizes[1] / sizes[0]) if sizes[0] else None
