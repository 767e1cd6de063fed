"""What only many pairs together show: shared directions, experts that moved, lineage, heads."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from blockresearch.compare.directions import shared_direction
from blockresearch.compare.experts import moved_experts
from blockresearch.compare.heads import Heads, place_order, query_heads
from blockresearch.compare.lineage import (
    MAX_LAYERS,
    log10_p,
    matching,
    rank_correlation,
    sampled,
)
from blockresearch.compare.matching import Pair
from blockresearch.compare.pair import Numbers
from blockresearch.compare.sides import Sides

Measured = tuple[Pair, Numbers]

# Reads what is left along a direction [n] of each of some pairs, by their ids; None if undefined.
SharesLeft = Callable[[list[Pair], np.ndarray], Mapping[int, float | None]]

# Projections whose rows are the hidden units of an MLP.
UNITS = ("up_proj", "gate_proj")


def add_direction(measured: list[Measured], shares_left: SharesLeft) -> None:
    """Add to rows of differences how much a change goes along the direction that many share."""
    by_pair = {id(pair): (pair, own) for pair, own in measured}
    vectors = {key: own.direction for key, (_, own) in by_pair.items() if own.direction is not None}
    found = shared_direction(vectors)
    if found is None:
        return
    direction, cosines = found
    left = shares_left([by_pair[key][0] for key in cosines], direction)
    for key, cosine in cosines.items():
        pair, own = by_pair[key]
        own.difference["shared_direction"] = cosine
        if id(pair) in left:
            own.difference["shared_direction_left"] = left[id(pair)]


def add_experts(measured: list[Measured]) -> None:
    """Mark experts without relation to their namesake that are another expert of the base."""
    experts, identities = {}, {}
    for pair, own in measured:
        if own.identities is not None and pair.either.expert is not None:
            role = pair.either.tensor.role
            key = (role.component, role.layer_index, pair.either.projection), pair.either.expert
            experts[key] = own
            identities[key] = own.identities
    for key, source in moved_experts(identities).items():
        experts[key].difference |= {"relation": "expert_permuted", "base_expert": source}


def heads_of(measured: Iterable[Measured], heads: Heads | None) -> Iterator[dict[str, Any]]:
    """Rows of the table heads: one for each query head of a layer, self and cross apart."""
    if heads is None:
        return
    layers: dict[tuple, dict[str, list]] = {}
    for pair, own in measured:
        if own.heads:
            role = pair.either.tensor.role
            place = role.component, role.layer_index, role.role
            layers.setdefault(place, {})[pair.either.projection[0]] = own.heads
    yield from query_heads(layers, heads)


def hidden_units(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """The pairs whose rows are hidden units, by layer: at most MAX_LAYERS, evenly spaced."""
    layers: dict[tuple, list[Pair]] = {}
    for pair in pairs:
        item = pair.either
        is_flat = pair.status == "reshaped"
        if item.projection.rpartition(".")[2] in UNITS and item.has_spectrum and not is_flat:
            role = item.tensor.role
            place = role.component, role.layer_index, item.expert or 0
            layers.setdefault(place, []).append(pair)
    places = sorted(layers, key=place_order)
    step = max(1, -(-len(places) // MAX_LAYERS))
    return [layers[place] for place in places[::step]]


def order_of_units(sides: Sides) -> np.ndarray:
    """The unit of the base that each unit of the other side is matched with, int64 [n]."""
    base, other = (sampled(side.panels, sides.rows) for side in sides.both)
    return matching(base, other)


def lineage_of(layer: list[Measured]) -> dict[str, Any]:
    """A row of the table lineage: the evidence of one layer."""
    role = layer[0][0].either.tensor.role
    row: dict[str, Any] = {"component": role.component, "layer_index": role.layer_index}
    orders: dict[str, np.ndarray] = {}
    for pair, own in layer:
        if (order := own.units) is None:
            continue
        name = pair.either.projection.rpartition(".")[2].removesuffix("_proj")
        orders[name] = order
        identity = rank_correlation(order, np.arange(len(order)))
        row |= {
            "units": len(order),
            f"{name}_correlation": identity,
            f"{name}_log10_p": log10_p(identity, len(order)),
        }
    # Nothing says that both have the same units if a file contradicts its model.
    if len(orders) == 2 and len(set(map(len, orders.values()))) == 1:
        between = rank_correlation(*orders.values())
        row |= {
            "units_correlation": between,
            "units_log10_p": log10_p(between, len(orders["up"])),
        }
    return row
