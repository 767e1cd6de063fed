"""Whether routed experts changed places: the experts of a layer, searched in those of the base."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from blockresearch.compare.sides import Side

Place = TypeVar("Place", bound=Hashable)

# Rows of an expert that identify it.
ROWS = 4

# Least cosine of the rows of an expert with those that it was made from.
SAME = 0.9


def moved_experts(
    experts: Mapping[tuple[Place, int], tuple[np.ndarray, np.ndarray]],
) -> dict[tuple[Place, int], int]:
    """The expert of the base that each expert of the other side is, if that has another number.

    Keys are (layer and projection, number of the expert), values the identities [n] of both sides.
    """
    groups = defaultdict(list)
    for (place, number), identities in experts.items():
        groups[place].append((number, identities))
    found = {}
    for place, group in groups.items():
        base, other = (np.stack([own[side] for _, own in group]) for side in (0, 1))
        cosines = other @ base.T
        for (number, _), best, row in zip(group, cosines.argmax(axis=1), cosines, strict=True):
            source = group[best][0]
            if row[best] >= SAME and source != number:
                found[place, number] = source
    return found


def identity(side: Side) -> np.ndarray:
    """The first rows of an expert as one vector [n] of norm 1, float64; zeros stay zeros."""
    rows: list[np.ndarray] = []
    for panel in side.panels():
        rows.extend(panel[: ROWS - len(rows)])
        if len(rows) == ROWS:
            break
    vector = np.concatenate(rows).astype(np.float64)
    size = np.linalg.norm(vector)
    return vector / size if size else vector
