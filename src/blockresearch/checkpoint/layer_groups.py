"""Groups of consecutive layers, each measured by one job of circuits_part.

Groups are cut by predicted cost alone, not by the machine, so the jobs are the same everywhere.
Numbers of a layer do not depend on its group. Rules and scripts find the same groups in the plain
JSON of a manifest.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockresearch.checkpoint.expert_sample import MOST_EXPERTS
from blockresearch.checkpoint.records import ATTENTION, MLP, shards_of

# As short as a part of the plan, and as many at most.
GROUP_SECONDS, MAX_GROUPS = 15.0, 400

# Of a layer: seconds for an element of attention, of an expert and of an MLP, and for a
# multiplication of the Gram matrix of an MLP.
ATTENTION_SECONDS, EXPERT_SECONDS, MLP_SECONDS, PRODUCT_SECONDS = 8e-8, 2e-8, 3e-8, 1.2e-11

# Of the exponents of a matrix: to permute an element, and for the largest window.
PERMUTED_SECONDS, WINDOW_SECONDS = 5e-8, 0.035

# The largest window, and the most windows, of `spectra/heavy_tails.py`.
MOST_SIDE, MOST_WINDOWS = 768, 12

# Bytes for an element of the attention of a layer while it is measured, of its bases, and of
# another matrix; and for the moments of an expert.
ATTENTION_BYTES, BASIS_BYTES, MATRIX_BYTES, MOMENT_BYTES = 18, 3, 12, 12 * 192**2

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
    layers = _layers(manifest)
    keys = sorted(layers)
    costs = {key: _layer_seconds(layers[key]) for key in keys}
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


def tail_values(manifest: Mapping[str, Any]) -> int:
    """Singular values of the matrices of a manifest (JSON) whose heavy tails are measured."""
    found = 0.0
    for tensors in _layers(manifest).values():
        share = _tail_share(tensors)
        for tensor in tensors:
            shape = _shape(tensor)
            if len(shape) > 1:
                values = min(shape[-2:]) * math.prod(shape[:-2])
                found += values * (share if _is_routed(tensor) else 1)
    return round(found)


def _layers(manifest: Mapping[str, Any]) -> dict[Key, list[Mapping[str, Any]]]:
    """The tensors of each layer."""
    layers: dict[Key, list[Mapping[str, Any]]] = {}
    for tensor in manifest["tensors"]:
        role = tensor["role"]
        if role.get("layer_index") is not None and role["component"] != "adapter":
            layers.setdefault((role["component"], role["layer_index"]), []).append(tensor)
    return layers


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
    """Predicted bytes: the attention of the largest layer, its MLP with a copy of a matrix and its
    Gram matrix, a matrix with its permutation, or two experts and the moments of a layer; and bases
    of all layers."""
    largest, bases = 0.0, 0.0
    for tensors in layers.values():
        sizes = [(tensor["role"].get("block_type"), _shape(tensor)) for tensor in tensors]
        attention = sum(math.prod(shape) for block, shape in sizes if block in ATTENTION)
        matrices = [math.prod(shape[-2:]) for _, shape in sizes if len(shape) > 1]
        mlps = [shape for block, shape in sizes if block in MLP and len(shape) > 1]
        read = sum(4 * math.prod(shape) for shape in mlps)
        beside = [4 * math.prod(shape) + 12 * min(shape) ** 2 for shape in mlps]
        count, elements = _experts(tensors)
        experts = 16 * elements / max(count, 1) + MOMENT_BYTES * count
        largest = max(
            *(largest, ATTENTION_BYTES * attention, experts, read + max(beside, default=0)),
            MATRIX_BYTES * max(matrices, default=0),
        )
        bases += BASIS_BYTES * attention
    return largest + bases


def _experts(tensors: list[Mapping[str, Any]]) -> tuple[int, int]:
    """Number of routed experts of a layer, and their elements."""
    count = elements = 0
    for tensor in tensors:
        role, shape = tensor["role"], _shape(tensor)
        if _is_routed(tensor) and len(shape) > 1:
            number = role.get("expert_index")
            stacked = tensor["layout"].get("experts", shape[0])
            count = max(count, stacked if number is None else number + 1)
            elements += math.prod(shape)
    return count, elements


def _shape(tensor: Mapping[str, Any]) -> Sequence[int]:
    """Rows and columns before they were packed."""
    return tensor["layout"].get("scheme", {}).get("shape", tensor["shape"])


def _tail_share(tensors: list[Mapping[str, Any]]) -> float:
    """The share of the routed experts of a layer whose heavy tails are measured."""
    return min(1.0, MOST_EXPERTS / max(_experts(tensors)[0], 1))


def _layer_seconds(tensors: list[Mapping[str, Any]]) -> float:
    """Predicted seconds of one core for the tensors of a layer."""
    share = _tail_share(tensors)
    return sum(_seconds(tensor, share) for tensor in tensors)


def _is_routed(tensor: Mapping[str, Any]) -> bool:
    role = tensor["role"]
    return role.get("block_type") == "moe" and role.get("role") == "routed"


def _seconds(tensor: Mapping[str, Any], share: float) -> float:
    """Predicted seconds of one core for a tensor; of experts a `share` has its tails measured."""
    shape, block = _shape(tensor), tensor["role"].get("block_type")
    if len(shape) < 2 or not min(shape):
        return 0.0
    elements, side = math.prod(shape), min(*shape[-2:], MOST_SIDE)
    windows = min(math.prod(math.ceil(2 * each / side) - 1 for each in shape[-2:]), MOST_WINDOWS)
    measured = share if _is_routed(tensor) else 1.0
    of_element = PERMUTED_SECONDS * measured
    if block in ATTENTION:
        of_element += ATTENTION_SECONDS
    elif block in MLP:
        of_element += MLP_SECONDS + PRODUCT_SECONDS * min(shape)
    elif block == "moe":
        of_element += EXPERT_SECONDS
    count = math.prod(shape[:-2])
    of_windows = 2 * count * windows * WINDOW_SECONDS * (side / MOST_SIDE) ** 2.5
    return of_element * elements + measured * of_windows
