"""What changed in each attention head: rows of q, k and v, columns of o.

Query heads share the key and value heads (grouped queries): a row of the table is a query head, and
its k and v are those of its group.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from blockresearch.compare.sides import Sides
from blockresearch.spectra.overlap import overlap
from blockresearch.weights.heads import split_heads


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
                "overlap": overlap(a.T, b.T) if size and np.linalg.norm(b) else None,
            }
        )
    return found


def _heads(sides: Sides, head_rows: int, by_columns: bool) -> Iterator[tuple[np.ndarray, ...]]:
    """Both sides of each head [head_rows, the other dimension], float64."""
    both = [
        split_heads(np.concatenate(list(s.panels())), head_rows, by_columns) for s in sides.both
    ]
    for pair in zip(*both, strict=True):
        yield tuple(side.astype(np.float64) for side in pair)
