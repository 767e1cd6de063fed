"""Which tensors of a manifest form the experts of a layer, and their router."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits.experts import PROJECTIONS
from blockresearch.weights.layout import Matrix
from blockresearch.weights.weight import Weight, weight_of

SHARED = "shared_"


@dataclass(frozen=True)
class Stored:
    """A matrix [out, in], and the weight that it is part of."""

    weight: Weight
    matrix: Matrix


Expert = Mapping[str, Stored]


@dataclass
class Experts:
    """The experts of one layer of a component, their matrices by projection (gate_proj, up_proj …).

    routed  by their numbers; only those with all projections that the layer has
    shared  the shared expert, empty without one
    router  its matrix [experts, width]; bias  what is added to its scores [experts]
    """

    component: str
    layer: int
    routed: dict[int, dict[str, Stored]] = field(default_factory=dict)
    shared: dict[str, Stored] = field(default_factory=dict)
    router: Tensor | None = None
    bias: Tensor | None = None


def expert_places(manifest: Manifest) -> list[Experts]:
    """The layers with two or more routed experts, by component and layer."""
    places: dict[tuple[str, int], Experts] = {}
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is None or role.component == "adapter" or role.is_buffer:
            continue
        if role.block_type not in ("moe", "router") or not tensor.layout.is_measured:
            continue
        key = (role.component, role.layer_index)
        place = places.setdefault(key, Experts(*key))
        if role.block_type == "router":
            _add_router(place, tensor)
        elif not role.is_bias:
            for number, projection, stored in _matrices(manifest, tensor):
                own = place.shared if number is None else place.routed.setdefault(number, {})
                own[projection] = stored
    found = [_whole(place) for _, place in sorted(places.items(), key=lambda item: item[0])]
    return [place for place in found if len(place.routed) > 1]


def _add_router(place: Experts, tensor: Tensor) -> None:
    if tensor.role.is_bias:
        # A correction of the choice says more than a bias of the scores.
        if place.bias is None or "correction" in tensor.name:
            place.bias = tensor
    elif tensor.layout.kind == "matrix" and len(tensor.shape) == 2:
        place.router = tensor


def _matrices(manifest: Manifest, tensor: Tensor) -> Iterator[tuple[int | None, str, Stored]]:
    """Number (None: shared), projection and place of each matrix of an expert in a tensor."""
    role = tensor.role
    if role.role not in ("routed", "shared"):
        return
    weight = weight_of(tensor, tensor.layout, manifest.by_name)
    for matrix in weight.matrices():
        projection = matrix.piece or (role.projection or "").removeprefix(SHARED)
        number = role.expert_index if matrix.expert is None else matrix.expert
        if projection in PROJECTIONS and (number is None) == (role.role == "shared"):
            yield number, projection, Stored(weight, matrix)


def _whole(place: Experts) -> Experts:
    """The place with those experts that have the projections and shapes of the first one."""
    numbers = sorted(place.routed)
    shapes = {number: _shapes(place.routed[number]) for number in numbers}
    place.routed = {
        number: _ordered(place.routed[number])
        for number in numbers
        if shapes[number] == shapes[numbers[0]]
    }
    place.shared = _ordered(place.shared)
    return place


def _ordered(expert: Expert) -> dict[str, Stored]:
    return {name: expert[name] for name in PROJECTIONS if name in expert}


def neuron_count(expert: Expert) -> int:
    """Neurons of an expert: outputs of gate and up, inputs of down."""
    projection, stored = next(iter(expert.items()))
    return stored.matrix.cols if projection == "down_proj" else stored.matrix.rows


def _shapes(expert: Expert) -> dict[str, tuple[int, int]]:
    return {name: (stored.matrix.rows, stored.matrix.cols) for name, stored in expert.items()}
