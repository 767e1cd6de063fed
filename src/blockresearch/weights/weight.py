"""A stored tensor with everything that is needed to read it as a weight, also as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from blockresearch.weights.adapters.change import Change, change_from_json, change_json
from blockresearch.weights.layout import (
    Layout,
    Matrix,
    layout_from_json,
    layout_json,
    matrices,
    whole,
)
from blockresearch.weights.stored import Stored, place_of, stored_from_json, stored_json


@dataclass(frozen=True, slots=True)
class Weight:
    """One stored tensor and how it is read.

    companions   scales, zero points … of a quantized weight, by their role in its scheme
    change       the change of an adapter of which this tensor is one factor, or None
    """

    stored: Stored
    layout: Layout
    companions: Mapping[str, Stored] = field(default_factory=dict)
    change: Change | None = None

    @property
    def name(self) -> str:
        """Name as in the header."""
        return self.stored.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Logical shape: what the stored codes stand for."""
        return self.layout.scheme.shape if self.layout.scheme else self.stored.shape

    @property
    def is_quantized(self) -> bool:
        """Whether the elements are dequantized when they are read."""
        return self.layout.scheme is not None

    @property
    def stored_bytes(self) -> int:
        """Bytes in files, companions included."""
        return self.stored.nbytes + sum(other.nbytes for other in self.companions.values())

    @property
    def others(self) -> list[Stored]:
        """Companions and factors, which are read beside the tensor."""
        factors = self.change.factors if self.change else {}
        return [*self.companions.values(), *factors.values()]

    @property
    def other_shards(self) -> list[str]:
        """Shards of companions and factors that are read beside the tensor's own."""
        return [other.shard for other in self.others]

    def matrices(self) -> tuple[Matrix, ...]:
        """The matrices in the tensor, as far as headers give its shape."""
        return matrices(self.shape, self.layout)

    def whole(self) -> Matrix:
        """All elements of the tensor as one matrix."""
        return whole(self.shape, self.layout)


def weight_of(
    tensor: Stored, layout: Layout, by_name: Mapping[str, Stored], change: Change | None = None
) -> Weight:
    """The weight of a tensor, its companions looked up in `by_name`."""
    names = layout.scheme.companions if layout.scheme else {}
    companions = {role: place_of(by_name[name]) for role, name in sorted(names.items())}
    # A note changes no number.
    return Weight(place_of(tensor), replace(layout, reason=""), companions, change)


def weight_json(weight: Weight) -> dict[str, Any]:
    """Everything that determines the numbers of a weight; the part names its shard."""
    place = stored_json(weight.stored)
    del place["shard"]
    entry = place | {"layout": layout_json(weight.layout)}
    if weight.companions:
        entry["companions"] = {role: stored_json(t) for role, t in weight.companions.items()}
    if weight.change:
        entry["change"] = change_json(weight.change)
    return entry


def weight_from_json(entry: Mapping[str, Any], shard: str) -> Weight:
    """The weight of an entry of a plan."""
    change = entry.get("change")
    return Weight(
        stored_from_json(entry, shard),
        layout_from_json(entry["layout"]),
        {role: stored_from_json(t) for role, t in entry.get("companions", {}).items()},
        change and change_from_json(change),
    )
