"""The change of one matrix, read from both sides: what plans compute beyond the tables."""

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.items import Item, items_of
from blockresearch.compare.matching import Pair
from blockresearch.compare.sides import sides_of

# Name of a tensor, and of the part of it ("" for the whole).
Place = tuple[str, str]


def items_by_place(manifest: Manifest) -> dict[Place, Item]:
    """The matrices and tensors of values of a checkpoint by their places."""
    return {(item.tensor.name, item.matrix.slice): item for item in items_of(manifest)}


def change(base_item: Item, other_item: Item, base: Checkpoint, other: Checkpoint) -> np.ndarray:
    """Δ = other - base of two matched items of one shape, float32 [rows, cols]."""
    readers = base.open(base_item.tensor.name), other.open(other_item.tensor.name)
    sides = sides_of(Pair("matched", base_item, other_item), *readers, None)
    return np.concatenate([delta.astype(np.float32) for delta in sides.deltas()])
