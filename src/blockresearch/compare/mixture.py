"""Whether a checkpoint is a linear mixture of others: least squares with a residual.

For each matrix that all have, the weights x that minimize ‖B - Σ xᵢ Pᵢ‖_F over the parents P (the
base is the first). A merge by averaging, task arithmetic or interpolation over depth leaves a
residual of the size of rounding. Methods that select elements (TIES, DARE) do not, and are not
found.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.items import Item
from blockresearch.compare.matching import Pair, match
from blockresearch.compare.sides import Side, aligned, sides_of
from blockresearch.weights.quantized.source import Contradiction


def mixture(parents: Sequence[Checkpoint], other: Checkpoint) -> Iterator[dict[str, Any]]:
    """Rows of the table mixture: one for each matrix of the same shape in all checkpoints."""
    partners: list[dict[str, tuple[Pair, Item]]] = []
    for parent in parents:
        partners.append(
            {
                pair.other.name: (pair, pair.base)
                for pair in match(parent.manifest, other.manifest)
                if pair.base and pair.other and pair.other.has_spectrum
                if pair.base.shape == pair.other.shape
            }
        )
    for name, (first, _) in partners[0].items():
        found = [own[name] for own in partners if name in own]
        if len(found) < len(parents) or first.other is None:
            continue
        try:
            target = other.open(first.other.tensor.name)
            read = [
                sides_of(pair, parent.open(item.tensor.name), target, None)
                for (pair, item), parent in zip(found, parents, strict=True)
            ]
        except Contradiction:
            continue
        gram = _gram([*(sides.base for sides in read), read[0].other])
        if fitted := _fitted(gram):
            yield {"other_name": name, **fitted}


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
