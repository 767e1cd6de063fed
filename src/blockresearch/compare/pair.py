"""Everything that is measured of one matched pair."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blockresearch.compare.differences import Row, difference
from blockresearch.compare.directions import is_one_direction, written_direction
from blockresearch.compare.experts import identity
from blockresearch.compare.heads import head_changes, head_size
from blockresearch.compare.matching import Pair
from blockresearch.compare.quantized_copy import can_be_quantized, grid_of
from blockresearch.compare.relations import relation
from blockresearch.compare.sides import Sides
from blockresearch.compare.subspaces import subspaces
from blockresearch.weights.heads import PROJECTIONS

# Below this cosine the elements of both sides do not agree.
AGREES = 0.5

# A factor for each row or column explains a difference if it leaves at most this share of it.
SCALED = 0.5

# Projections whose rows rotary embeddings turn.
ROTARY = ("q_proj", "k_proj")


@dataclass
class Numbers:
    """The numbers of a pair, and vectors that are compared with those of other pairs.

    difference, subspaces   rows of these tables
    heads                   a row for each head
    direction               the direction that changed most if it has most of the change [n]
    identities              of both sides if an expert has no relation to its namesake [n], [n]
    units                   the unit of the base that each unit of the other side matches [n]
    """

    difference: Row
    subspaces: Row = field(default_factory=dict)
    heads: list[dict[str, Any]] = field(default_factory=list)
    direction: np.ndarray | None = None
    identities: tuple[np.ndarray, np.ndarray] | None = None
    units: np.ndarray | None = None


def measure_pair(pair: Pair, sides: Sides, heads: tuple[int, int, int] | None) -> Numbers:
    """Measure a matched pair; `heads` is (query heads, key-value heads, rows) of both models."""
    assert pair.base is not None
    has_spectrum = pair.base.has_spectrum and not sides.is_flat
    row = difference(sides, has_spectrum)
    if sides.is_flat:
        # Positions in a column of all elements are positions in neither side.
        return Numbers(row | {"max_change_row": None, "max_change_col": None})
    if sides.index is not None and row.get("max_change_row") is not None:
        row["max_change_row"] = int(sides.index[row["max_change_row"]])
    found = Numbers(row)
    if not has_spectrum or row["not_finite"] or not row.get("cosine"):
        return found
    if row["delta_norm"] == 0:
        return found
    if not _agree(row):
        row["relation"] = relation(sides, _rotary_rows(pair, heads))
        if row["relation"] is not None and pair.either.expert is not None:
            found.identities = identity(sides.base), identity(sides.other)
        return found
    if can_be_quantized(row):
        row |= grid_of(sides, row["sqnr_db"])
    found.subspaces = subspaces(sides)
    size, by_columns = head_size(pair.base, heads), PROJECTIONS.get(pair.base.projection, False)
    if size:
        found.heads = head_changes(sides, size, by_columns)
    if is_one_direction(row):
        found.direction = written_direction(sides, pair.base.is_token_table)
    return found


def _agree(row: Row) -> bool:
    """Whether the elements of both sides agree, up to a factor for each row or column."""
    if row["cosine"] >= AGREES:
        return True
    apart = 1 - row["cosine"] ** 2
    residual = min(row["row_scaled_residual"], row["column_scaled_residual"])
    return row["cosine"] > 0 and residual**2 <= SCALED**2 * apart


def _rotary_rows(pair: Pair, heads: tuple[int, int, int] | None) -> int | None:
    assert pair.base is not None
    return head_size(pair.base, heads) or None if pair.base.projection in ROTARY else None
