"""Which tensors of a manifest form the attention blocks and the MLPs of a model.

Roles decide it: self and cross attention are separate blocks of a layer, and the norms of a layer
are known by their names there. Experts and their routers are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.checkpoint.records import MLP
from blockresearch.model_config import ModelConfig
from blockresearch.weights.heads import PROJECTIONS

BLOCKS = (*PROJECTIONS, "qkv_proj")

# Weight and bias of a norm.
Norm = tuple[Tensor | None, Tensor | None]


@dataclass
class Place:
    """The tensors of one attention block, and the norms of its layer, by their names there."""

    component: str
    layer: int
    role: str
    weights: dict[str, list[Tensor]] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)
    norms: dict[str, Norm] = field(default_factory=dict)

    @property
    def tensors(self) -> list[Tensor]:
        """All of them."""
        norms = [tensor for pair in self.norms.values() for tensor in pair if tensor]
        return [*(t for some in self.weights.values() for t in some), *self.biases.values(), *norms]


def attention_places(manifest: Manifest) -> list[Place]:
    """The attention blocks of a model by component and layer, self before cross."""
    places: dict[tuple[str, int, str], Place] = {}
    for tensor, (component, layer) in _of_layers(manifest):
        role = tensor.role
        if role.block_type not in BLOCKS or role.role not in ("self", "cross"):
            continue
        key = (component, layer, role.role)
        place = places.setdefault(key, Place(*key))
        if role.is_bias:
            place.biases[role.block_type] = tensor
        elif tensor.layout.kind in ("matrix", "unsupported"):
            place.weights.setdefault(role.block_type, []).append(tensor)
    found = [place for _, place in sorted(places.items(), key=_order) if place.weights]
    norms = layer_norms(manifest)
    for place in found:
        place.norms = norms.get((place.component, place.layer), {})
    return found


def mlp_places(manifest: Manifest) -> list[Tensor]:
    """The weights of dense MLPs by component, layer and block."""
    found = [
        (place, MLP.index(tensor.role.block_type), tensor)
        for tensor, place in _of_layers(manifest)
        if tensor.role.block_type in MLP
        and tensor.layout.kind == "matrix"
        and not tensor.role.is_bias
    ]
    return [tensor for *_, tensor in sorted(found, key=lambda each: each[:2])]


def layer_norms(manifest: Manifest) -> dict[tuple[str, int], dict[str, Norm]]:
    """The norms of each layer of a component, by their names there."""
    norms: dict[tuple[str, int], dict[str, Norm]] = {}
    for tensor, place in _of_layers(manifest):
        if tensor.role.block_type == "norm" and tensor.layout.is_measured:
            own = norms.setdefault(place, {})
            name = (tensor.role.projection or "").rpartition(" ")[2]
            weight, bias = own.get(name, (None, None))
            own[name] = (weight, tensor) if tensor.role.is_bias else (tensor, bias)
    return norms


def _of_layers(manifest: Manifest) -> Iterator[tuple[Tensor, tuple[str, int]]]:
    """The learned tensors of layers, with component and number of the layer."""
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is not None and role.component != "adapter" and not role.is_buffer:
            yield tensor, (role.component, role.layer_index)


def head_counts(manifest: Manifest, component: str) -> tuple[int, int] | None:
    """Query heads and key-value heads of a component, as the config states them."""
    config = manifest.config
    if component in ("vision", "audio"):
        config = config.get(f"{component}_config", {})
    facts = ModelConfig(config)
    own = facts.number(f"{component}_attention_heads")
    if own:
        return own, own
    return facts.heads[:2] if facts.heads else None


def _order(item: tuple[tuple[str, int, str], Place]) -> tuple[str, int, bool]:
    (component, layer, role), _ = item
    return component, layer, role == "cross"
