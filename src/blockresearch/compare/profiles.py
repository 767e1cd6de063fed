"""Depth profiles: how the spread of the attention weights runs over depth on both sides.

The standard deviation of q, k, v and o by layer is compared as a curve over relative depth, so
neither widths nor numbers of layers have to agree. It is weak evidence: curves of unrelated models
resemble each other, since most models are initialized and trained alike. Therefore each correlation
stands beside its null, the largest one with another projection of the other side, which is no copy
of the matrices in question.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.items import Item, items_of
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import panels

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")

# With fewer layers, any two curves resemble each other.
LEAST_LAYERS = 6

# component, projection
Kind = tuple[str, str]

Profile = Mapping[Kind, np.ndarray]


def depth_profiles(base: Profile, other: Profile) -> Iterator[dict[str, Any]]:
    """Rows of the table profiles: one for each projection that both sides have."""
    for component, projection in base:
        if (component, projection) not in other:
            continue
        mine = base[component, projection]
        others = {name: own for (place, name), own in other.items() if place == component}
        row: dict[str, Any] = {
            "component": component,
            "projection": projection,
            "base_std": mine.tolist(),
            "other_std": others[projection].tolist(),
        }
        if min(len(mine), len(others[projection])) >= LEAST_LAYERS:
            found = {name: correlation(mine, own) for name, own in others.items()}
            nulls = [value for name, value in found.items() if name != projection]
            row["profile_correlation"] = found[projection]
            row["null_correlation"] = max((value for value in nulls if value), default=None)
        yield row


def profile(manifest: Manifest, spreads: Mapping[str, float]) -> Profile:
    """Standard deviation of each projection by layer, float64 [layers], in the order of layers;
    `spreads` are those of matrices by their names."""
    found: dict[Kind, dict[int, float]] = {}
    for item in items_of(manifest):
        role = item.tensor.role
        if is_profiled(item) and item.name in spreads and role.layer_index is not None:
            layers = found.setdefault((role.component, item.projection), {})
            layers[role.layer_index] = spreads[item.name]
    return {
        kind: np.array([layers[number] for number in sorted(layers)])
        for kind, layers in sorted(found.items(), key=lambda own: _order(own[0]))
    }


def is_profiled(item: Item) -> bool:
    """Whether a matrix is part of a profile: of self attention, in a numbered layer."""
    role = item.tensor.role
    if role.layer_index is None or not item.has_spectrum or role.role == "cross":
        return False
    return item.projection in PROJECTIONS


def correlation(base: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's correlation of two curves [layers] over relative depth; None if one is constant.

    The one with more layers is interpolated at the layers of the other one.
    """
    few, many = sorted((base, other), key=len)
    places = np.linspace(0, 1, len(few))
    same = np.interp(places, np.linspace(0, 1, len(many)), many)
    if not few.std() or not same.std():
        return None
    return float(np.corrcoef(few, same)[0, 1])


def _order(kind: Kind) -> tuple[str, int]:
    return kind[0], PROJECTIONS.index(kind[1])


def spread(side: Checkpoint, item: Item) -> float | None:
    """Standard deviation of a matrix; None if it cannot be read or an element is not finite."""
    total = squares = 0.0
    try:
        for panel in panels(side.open(item.tensor.name), item.matrix, PANEL_BYTES):
            total += float(panel.sum(dtype=np.float64))
            squares += float(np.square(panel, dtype=np.float64).sum())
    except Contradiction:
        return None
    mean = total / item.numel
    variance = squares / item.numel - mean**2
    return float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else None
