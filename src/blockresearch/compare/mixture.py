"""Whether a checkpoint is a linear mixture of others: least squares with a residual.

For each matrix that all have, the weights x that minimize ‖B - Σ xᵢ Pᵢ‖_F over the parents P (the
base is the first). A merge by averaging, task arithmetic or interpolation over depth leaves a
residual of the size of rounding. Methods that select elements (TIES, DARE) do not, and are not
found.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.checkpoint import Checkpoint, Source
from blockresearch.compare.items import items_of
from blockresearch.compare.matching import Pair, match
from blockresearch.compare.sides import Side, aligned, sides_of
from blockresearch.weights.quantized.source import Contradiction

# The pairs of one matrix of the other side with that of each parent.
Shared = tuple[Pair, ...]


def shared_matrices(parents: Sequence[Manifest], other: Manifest) -> dict[str, Shared]:
    """The matrices that all checkpoints have in one shape, by their names on the other side, in the
    order of that."""
    partners: list[dict[str, Pair]] = []
    for parent in parents:
        partners.append(
            {
                pair.other.name: pair
                for pair in match(parent, other)
                if pair.base and pair.other and pair.other.has_spectrum
                if pair.base.shape == pair.other.shape
            }
        )
    names = [item.name for item in items_of(other)]
    found = {name: [own[name] for own in partners if name in own] for name in names}
    return {name: tuple(own) for name, own in found.items() if len(own) == len(partners)}


def mixture(
    parents: Sequence[Source], other: Source, names: Container[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of the table mixture: one for each matrix of the same shape in all checkpoints, or of
    tensors of the first parent of some `names` alone, in the order of the other side."""
    shared = shared_matrices([parent.manifest for parent in parents], other.manifest)
    if names is not None:
        shared = {name: own for name, own in shared.items() if own[0].either.tensor.name in names}
    if not shared:
        return
    with ExitStack() as stack:
        sides = []
        for place, parent in enumerate(parents):
            read = {own[place].either.tensor.name for own in shared.values()}
            sides.append(stack.enter_context(parent.reading(read)))
        read = {own[0].other.tensor.name for own in shared.values() if own[0].other}
        target = stack.enter_context(other.reading(read))
        names_of = "; ".join(parent.manifest.name for parent in parents)
        for name, own in shared.items():
            try:
                gram = _gram(_opened(own, sides, target))
            except Contradiction:
                continue
            if fitted := _fitted(gram):
                yield {"other_name": name, "parents": names_of, **fitted}


def _opened(shared: Shared, parents: Sequence[Checkpoint], other: Checkpoint) -> list[Side]:
    """The matrix of each parent, then that of the other side."""
    assert shared[0].other is not None
    target = other.open(shared[0].other.tensor.name)
    read = [
        sides_of(pair, parent.open(pair.either.tensor.name), target, None)
        for pair, parent in zip(shared, parents, strict=True)
    ]
    return [*(sides.base for sides in read), read[0].other]


def _fitted(gram: np.ndarray) -> dict[str, Any] | None:
    """The weights, what they leave of B, and what the nearest parent alone leaves."""
    size = gram[-1, -1]
    if not size or not np.isfinite(gram).all():
        return None
    inner, right = gram[:-1, :-1], gram[:-1, -1]
    weights = np.linalg.lstsq(inner, right, rcond=1e-12)[0]
    left = size - 2 * weights @ right + weights @ inner @ weights
    alone = (size - 2 * right + np.diag(inner)).min()
    return {
        "weights": weights.tolist(),
        "residual": float(np.sqrt(max(left, 0) / size)),
        "nearest_residual": float(np.sqrt(max(alone, 0) / size)),
    }


def _gram(sides: list[Side]) -> np.ndarray:
    """Inner products of all sides, float64 [k, k]; each side is read once."""
    found = np.zeros((len(sides), len(sides)))
    for panels in aligned(*(side.panels() for side in sides)):
        rows = np.stack([panel.ravel() for panel in panels], dtype=np.float64)
        found += rows @ rows.T
    return found
