"""Groups of consecutive layers, each measured by one job of circuits_part.

Groups are cut by predicted cost alone, not by the machine, so the jobs are the same everywhere.
Numbers of a layer do not depend on its group. Rules and scripts find the same groups in the plain
JSON of a manifest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockresearch.checkpoint.records import ATTENTION, MLP, shards_of

# As short as a part of the plan, and as many at most.
GROUP_SECONDS, MAX_GROUPS = 15.0, 400

# Of a layer: seconds for an element of attention, for one of an MLP, and for a multiplication of
# its Gram matrix.
ATTENTION_SECONDS, MLP_SECONDS, PRODUCT_SECONDS = 8e-8, 1e-8, 1.2e-11

# For an element of the attention of a layer while it is measured, and of its bases.
ATTENTION_BYTES, BASIS_BYTES = 24, 3

# Component and number of a layer.
Key = tuple[str, int]


@dataclass(frozen=True)
class LayerGroup:
    """Layers that one job measures.

    name        number of the group, from 00001
    layers      component and number of each layer
    tensors     entries of the manifest for all their tensors
    shards      files that these are read from
    seconds     predicted time of one core
    memory      predicted peak memory beside libraries, bytes
    """

    name: str
    layers: tuple[Key, ...]
    tensors: tuple[Mapping[str, Any], ...]
    shards: tuple[str, ...]
    seconds: float
    memory: float


def layer_groups(manifest: Mapping[str, Any]) -> list[LayerGroup]:
    """The groups of a manifest (JSON), by component and layer; one without layers if there are
    none."""
    layers: dict[Key, list[Mapping[str, Any]]] = {}
    for tensor in manifest["tensors"]:
        role = tensor["role"]
        if role.get("layer_index") is not None and role["component"] != "adapter":
            layers.setdefault((role["component"], role["layer_index"]), []).append(tensor)
    keys = sorted(layers)
    costs = {key: sum(map(_seconds, layers[key])) for key in keys}
    target = max(GROUP_SECONDS, sum(costs.values()) / MAX_GROUPS)
    groups: list[list[Key]] = [[]]
    before = 0.0
    for key in keys:
        # Where the sum of all layers passes the next multiple of the target, a group begins.
        if groups[-1] and (before + costs[key] / 2) // target >= len(groups):
            groups.append([])
        groups[-1].append(key)
        before += costs[key]
    return [
        _group(manifest, f"{number:05d}", {key: layers[key] for key in some}, costs)
        for number, some in enumerate(groups, 1)
    ]


def _group(
    manifest: Mapping[str, Any],
    name: str,
    layers: Mapping[Key, list[Mapping[str, Any]]],
    costs: Mapping[Key, float],
) -> LayerGroup:
    tensors = tuple(tensor for some in layers.values() for tensor in some)
    shards = shards_of(manifest, [tensor["name"] for tensor in tensors])
    seconds = sum(costs[key] for key in layers)
    return LayerGroup(name, tuple(layers), tensors, tuple(shards), seconds, _memory(layers))


def _memory(layers: Mapping[Key, list[Mapping[str, Any]]]) -> float:
    """Predicted bytes: the attention of the largest layer in float64, or its MLP in float32 with a
    copy of a matrix and its Gram matrix, and bases of all layers."""
    largest, bases = 0.0, 0.0
    for tensors in layers.values():
        sizes = [(tensor["role"].get("block_type"), tensor["shape"]) for tensor in tensors]
        attention = sum(math.prod(shape) for block, shape in sizes if block in ATTENTION)
        mlps = [shape for block, shape in sizes if block in MLP and len(shape) > 1]
        read = sum(4.0 * math.prod(shape) for shape in mlps)
        beside = [4.0 * math.prod(shape) + 12.0 * min(shape) ** 2 for shape in mlps]
        largest = max(largest, ATTENTION_BYTES * attention, read + max(beside, default=0.0))
        bases += BASIS_BYTES * attention
    return largest + bases


def _seconds(tensor: Mapping[str, Any]) -> float:
    """Predicted seconds of one core for a tensor."""
    elements, block = math.prod(tensor["shape"]), tensor["role"].get("block_type")
    if len(tensor["shape"]) < 2:
        return 0.0
    if block in ATTENTION:
        return ATTENTION_SECONDS * elements
    if block in MLP:
        return (MLP_SECONDS + PRODUCT_SECONDS * min(tensor["shape"])) * elements
    return 0.0
