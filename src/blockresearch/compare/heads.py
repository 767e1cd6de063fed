"""What changed in each attention head: rows of q, k and v, columns of o.

Query heads share the key and value heads (grouped queries): a row of the table is a query head, and
its k and v are those of its group.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from blockresearch.compare.items import Item
from blockresearch.compare.sides import Sides
from blockresearch.spectra.overlap import overlap
from blockresearch.weights.heads import PROJECTIONS, split_heads

# Query heads, key-value heads, rows of a head.
Heads = tuple[int, int, int]

# Component, layer, self or cross attention.
Place = tuple[str, int | None, str | None]


def head_size(item: Item, heads: Heads | None) -> int:
    """Rows of a head if the matrix has one of q, k, v or o for each head, else 0."""
    name, shape = item.projection, item.shape
    if heads is None or name not in PROJECTIONS:
        return 0
    count = heads[0] if name in ("q_proj", "o_proj") else heads[1]
    length = shape[1] if PROJECTIONS[name] else shape[0]
    return heads[2] if length == count * heads[2] else 0


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


def head_norms(panels: Iterable[np.ndarray], head_rows: int, by_columns: bool) -> np.ndarray:
    """‖·‖_F of each head of a projection, float64 [heads], from its panels [n, cols]."""
    axis = 0 if by_columns else 1
    sums = [np.sum(np.square(panel, dtype=np.float64), axis=axis) for panel in panels]
    lines = np.sum(sums, axis=0) if by_columns else np.concatenate(sums)
    return np.sqrt(lines.reshape(-1, head_rows).sum(axis=1))


def query_heads(
    layers: Mapping[Place, Mapping[str, list[dict[str, Any]]]], heads: Heads
) -> Iterator[dict[str, Any]]:
    """A row for each query head of each layer, in order.

    `layers` has for each of q, k, v and o the numbers of each of its heads; a row has them by the
    names `q_<name>` and so on, for k and v those of the group of the query head.
    """
    query, groups, _ = heads
    for (component, layer, role), found in sorted(
        layers.items(), key=lambda own: place_order(own[0])
    ):
        for head in range(query):
            kv_head = head * groups // query
            row = {
                "component": component,
                "layer_index": layer,
                "role": role,
                "head": head,
                "kv_head": kv_head,
            }
            for letter, numbers in found.items():
                own = numbers[kv_head if letter in "kv" else head]
                row |= {f"{letter}_{name}": value for name, value in own.items()}
            yield row


def place_order(place: tuple) -> tuple[str, int, str]:
    """Components by name, then layers by number, then by what else a place is."""
    component, layer, last = place
    return component, -1 if layer is None else layer, str(last)


def _heads(sides: Sides, head_rows: int, by_columns: bool) -> Iterator[tuple[np.ndarray, ...]]:
    """Both sides of each head [head_rows, the other dimension], float64."""
    both = [
        split_heads(np.concatenate(list(s.panels())), head_rows, by_columns) for s in sides.both
    ]
    for pair in zip(*both, strict=True):
        yield tuple(side.astype(np.float64) for side in pair)
