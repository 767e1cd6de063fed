"""What changed in each attention head: rows of q, k and v, columns of o.

Query heads share the key and value heads (grouped queries): a row of the table is a query head, and
its k and v are those of its group.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from blockresearch.compare.sides import Sides, aligned
from blockresearch.compare.subspaces import orthonormal

# Projections of a head, and whether a head is a block of columns.
PROJECTIONS = {"q_proj": False, "k_proj": False, "v_proj": False, "o_proj": True}


def head_changes(sides: Sides, head_rows: int, by_columns: bool) -> list[dict[str, Any]]:
    """Relative change and overlap of each head of one projection, in order.

    The overlap is that of the subspaces which the heads of both sides read from (or, for o, write
    to), ‖QᵀQ'‖_F² / d; independent heads overlap by d over the other dimension.
    """
    found = []
    for a, b in _heads(sides, head_rows, by_columns):
        size = float(np.linalg.norm(a))
        delta = float(np.linalg.norm(b.astype(np.float64) - a))
        found.append(
            {
                "relative_change": delta / size if size else None,
                "overlap": _overlap(a, b) if size and np.linalg.norm(b) else None,
            }
        )
    return found


def _heads(
    sides: Sides, head_rows: int, by_columns: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both sides of each head [head_rows, the other dimension], float64."""
    if by_columns:
        columns = [np.concatenate(list(side.panels())).T for side in sides.both]
        for first in range(0, sides.cols, head_rows):
            a, b = (side[first : first + head_rows].astype(np.float64) for side in columns)
            yield a, b
        return
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for a, b in aligned(sides.base.panels(), sides.other.panels()):
        held.append((a, b))
        while sum(len(a) for a, _ in held) >= head_rows:
            a, b = (np.concatenate([pair[side] for pair in held]) for side in (0, 1))
            yield a[:head_rows].astype(np.float64), b[:head_rows].astype(np.float64)
            held = [(a[head_rows:], b[head_rows:])]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    first, second = (orthonormal(side.T)[0] for side in (a, b))
    return float(np.square(first.T @ second).sum()) / first.shape[1]
