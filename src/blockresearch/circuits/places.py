"""Which tensors of a manifest form the attention blocks of a model.

Roles decide it: self and cross attention are separate blocks of a layer, and the norms of a layer
are known by their names there.
"""

from dataclasses import dataclass, field

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.model_config import ModelConfig
from blockresearch.weights.heads import PROJECTIONS

BLOCKS = (*PROJECTIONS, "qkv_proj")


@dataclass
class Place:
    """The tensors of one attention block, and the norms of its layer, by their names there."""

    component: str
    layer: int
    role: str
    weights: dict[str, list[Tensor]] = field(default_factory=dict)
    biases: dict[str, Tensor] = field(default_factory=dict)
    norms: dict[str, tuple[Tensor | None, Tensor | None]] = field(default_factory=dict)

    @property
    def tensors(self) -> list[Tensor]:
        """All of them."""
        norms = [tensor for pair in self.norms.values() for tensor in pair if tensor]
        return [*(t for some in self.weights.values() for t in some), *self.biases.values(), *norms]


def attention_places(manifest: Manifest) -> list[Place]:
    """The attention blocks of a model by component and layer, self before cross."""
    places: dict[tuple[str, int, str], Place] = {}
    norms: dict[tuple[str, int], dict[str, list[Tensor | None]]] = {}
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is None or role.component == "adapter" or role.is_buffer:
            continue
        if role.block_type == "norm" and tensor.layout.is_measured:
            pair = norms.setdefault((role.component, role.layer_index), {})
            name = (role.projection or "").rpartition(" ")[2]
            pair.setdefault(name, [None, None])[role.is_bias] = tensor
        if role.block_type not in BLOCKS or role.role not in ("self", "cross"):
            continue
        key = (role.component, role.layer_index, role.role)
        place = places.setdefault(key, Place(*key))
        if role.is_bias:
            place.biases[role.block_type] = tensor
        elif tensor.layout.kind in ("matrix", "unsupported"):
            place.weights.setdefault(role.block_type, []).append(tensor)
    found = [place for _, place in sorted(places.items(), key=_order) if place.weights]
    for place in found:
        for name, (weight, bias) in norms.get((place.component, place.layer), {}).items():
            place.norms[name] = weight, bias
    return found


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
