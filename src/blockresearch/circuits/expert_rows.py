"""Rows of the tables experts and expert_pairs, read through `weights` one layer at a time.

A matrix is read in panels, so that memory holds the moments of all experts of a layer, and two
whole experts while they are aligned.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.arrays.arrays import Array
from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.circuits import experts
from blockresearch.circuits.computing import ON_CPU, PANEL_BYTES, Computing, computed
from blockresearch.circuits.expert_places import (
    Expert,
    Experts,
    Stored,
    expert_places,
    neuron_count,
)
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor, panels
from blockresearch.weights.weight import weight_of

# Pairs of a layer whose neurons are aligned: the most similar ones, and as many of the usual
# similarity to compare them with.
ALIGNED = 4

# Most neurons that are aligned: the time grows with their third power.
MOST_NEURONS = 2048

# Least cosine of two experts that are one.
DUPLICATE = 0.99

# Robust standard deviations below the others from which an expert is a candidate.
FAR = -6.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """The rows of a layer in both tables."""

    experts: list[Row]
    pairs: list[Row]


@dataclass
class _Seen:
    """What is kept of one expert: its moments, the squares of the norms of its matrices by
    projection, and the responses [experts] of its first projection to the rows of the router."""

    moments: np.ndarray
    energies: dict[str, float]
    responses: np.ndarray | None


class _Reader:
    """Reads matrices of experts, for a device; each tensor is opened once."""

    def __init__(self, manifest: Manifest, files: Mapping[str, Path], device: str):
        self.manifest, self.files, self.device = manifest, files, device
        self.opened: dict[str, TensorReader] = {}

    def source(self, stored: Stored) -> TensorReader:
        """The open tensor of a matrix."""
        name = stored.weight.name
        if name not in self.opened:
            self.opened[name] = open_tensor(self.files, stored.weight)
        return self.opened[name]

    def values(self, tensor: Tensor) -> np.ndarray:
        """All elements of a tensor as a matrix [rows, cols], float64."""
        weight = weight_of(tensor, tensor.layout, self.manifest.by_name)
        read = panels(open_tensor(self.files, weight), weight.whole(), PANEL_BYTES)
        return np.concatenate(list(read)).astype(np.float64)


def expert_rows(
    manifest: Manifest, files: Mapping[str, Path], layers: Collection[Key], device: str = "cpu"
) -> Iterator[Rows]:
    """The rows of each of `layers` with experts; `files` are the shards by name. A layer whose
    weights contradict their scheme has none."""
    for place in expert_places(manifest):
        if (place.component, place.layer) not in layers:
            continue
        try:
            yield _rows(_Reader(manifest, files, device), place)
        except Contradiction:
            continue


def _rows(reader: _Reader, place: Experts) -> Rows:
    numbers = list(place.routed)
    router = _router(reader, place)
    name = f"experts of {place.component} layer {place.layer}"
    seen, shared = computed(reader.device, name, partial(_look, reader, place, router))
    similar = experts.cosines(np.stack([own.moments for own in seen]))
    np.fill_diagonal(similar, np.nan)
    upper = np.triu_indices(len(numbers), 1)
    z = np.full_like(similar, np.nan)
    z[upper] = experts.robust_z(similar[upper])
    z.T[upper] = z[upper]
    columns = _about_experts(seen) | _about_router(reader, place, router, seen)
    columns |= _nearest(numbers, similar, z)
    if shared:
        columns["shared_similarity"] = np.array(
            [float(np.vdot(own.moments, shared.moments)) for own in seen]
        )
    start = {"component": place.component, "layer_index": place.layer}
    neurons = neuron_count(place.routed[numbers[0]])
    rows = [
        start
        | {"expert_index": number, "neurons": neurons}
        | {name: _number(values[at]) for name, values in columns.items()}
        for at, number in enumerate(numbers)
    ]
    for row in rows:
        row["candidate"] = _candidate(row) or None
    pairs = _pairs(reader, place, similar, z) if np.isfinite(similar[upper]).any() else []
    return Rows(rows, [start | pair for pair in pairs])


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _router(reader: _Reader, place: Experts) -> np.ndarray | None:
    """The rows of the router [experts, width], if there is one for each expert."""
    if place.router is None:
        return None
    rows = reader.values(place.router)
    return rows[list(place.routed)] if len(rows) > max(place.routed) else None


def _look(
    reader: _Reader, place: Experts, router: np.ndarray | None, arrays: Computing
) -> tuple[list[_Seen], _Seen | None]:
    """What is seen of all routed experts, in order, and of the shared one."""
    routed = [_seen_by(reader, expert, router, arrays) for expert in place.routed.values()]
    return routed, _seen_by(reader, place.shared, None, arrays) if place.shared else None


def _seen_by(
    reader: _Reader, expert: Expert, router: np.ndarray | None, arrays: Computing
) -> _Seen:
    vectors: dict[str, np.ndarray] = {}
    energies: dict[str, float] = {}
    responses = None
    reads = next((name for name in ("gate_proj", "up_proj") if name in expert), None)
    asked = None if router is None else arrays.put(router.T.astype(np.float32))
    for projection, stored in expert.items():
        is_down = projection == "down_proj"
        sides = stored.matrix.rows if is_down else stored.matrix.cols
        axes = arrays.put(experts.directions(sides))
        parts: list[Array] = []
        energy, first = 0.0, 0
        found = np.zeros(0 if router is None else len(router))
        for panel in arrays.panels(reader.source(stored), stored.matrix):
            energy += float(arrays.energy(panel))
            if is_down:
                own = panel.T @ axes[first : first + len(panel)]
                parts = [parts[0] + own] if parts else [own]
            else:
                parts.append(panel @ axes)
            if projection == reads and asked is not None:
                found += arrays.energy(panel @ asked, 0)
            first += len(panel)
        vectors[projection] = np.concatenate([arrays.get(part) for part in parts])
        energies[projection] = energy
        responses = found if projection == reads and router is not None else responses
    return _Seen(experts.moments(vectors), energies, responses)


def _about_experts(seen: list[_Seen]) -> dict[str, np.ndarray]:
    norms = np.sqrt([sum(own.energies.values()) for own in seen])
    return {"expert_norm": norms, "expert_norm_z": experts.robust_z(norms)}


def _about_router(
    reader: _Reader, place: Experts, router: np.ndarray | None, seen: list[_Seen]
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if place.bias is not None:
        bias = reader.values(place.bias).reshape(-1)
        if len(bias) > max(place.routed):
            found["router_bias"] = bias[list(place.routed)]
            found["router_bias_z"] = experts.robust_z(found["router_bias"])
    if router is None:
        return found
    sizes = np.linalg.norm(router, axis=1)
    found["router_norm"] = sizes
    found["router_norm_z"] = experts.robust_z(sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        units = router / sizes[:, None]
    between = units @ units.T
    np.fill_diagonal(between, np.nan)
    found["router_cosine"] = np.array([_largest(row)[0] for row in between])
    gains, scores = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    for at, own in enumerate(seen):
        if own.responses is not None:
            energy = own.energies.get("gate_proj", own.energies.get("up_proj", 0.0))
            all_gains = experts.router_gains(own.responses, router, energy)
            gains[at] = all_gains[at]
            scores[at] = experts.robust_z(all_gains)[at]
    return found | {"router_gain": gains, "router_gain_z": scores}


def _nearest(numbers: list[int], similar: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    found = [_largest(row) for row in similar]
    return {
        "nearest_expert": np.array(
            [None if at is None else numbers[at] for _, at in found], dtype=object
        ),
        "nearest_similarity": np.array([value for value, _ in found]),
        "nearest_z": np.array(
            [np.nan if at is None else row[at] for row, (_, at) in zip(z, found, strict=True)]
        ),
    }


def _largest(row: np.ndarray) -> tuple[float, int | None]:
    """The largest finite value and its place; NaN and None if there is none."""
    known = np.isfinite(row)
    if not known.any():
        return np.nan, None
    at = int(np.argmax(np.where(known, row, -np.inf)))
    return float(row[at]), at


def _candidate(row: Mapping[str, Any]) -> str:
    """What points to an expert that does nothing or is never chosen; empty if nothing does."""

    def is_far(name: str) -> bool:
        value = row.get(name)
        return value is not None and value < FAR

    if row["expert_norm"] == 0:
        return "all weights are zero"
    if row.get("router_norm") == 0:
        return "router row is zero"
    if is_far("expert_norm_z"):
        return "weights far smaller than the others'"
    if is_far("router_norm_z"):
        return "router row far shorter than the others"
    return "router bias far below the others" if is_far("router_bias_z") else ""


def _pairs(reader: _Reader, place: Experts, similar: np.ndarray, z: np.ndarray) -> Iterator[Row]:
    """The most similar pairs of a layer, aligned if their neurons are not too many."""
    numbers = list(place.routed)
    known = [pair for pair in combinations(range(len(numbers)), 2) if np.isfinite(similar[pair])]
    known.sort(key=lambda pair: -similar[pair])
    top, rest = known[:ALIGNED], known[ALIGNED:]
    middle = float(np.median([similar[pair] for pair in known]))
    usual = sorted(rest, key=lambda pair: abs(similar[pair] - middle))[:ALIGNED]
    is_small = neuron_count(place.routed[numbers[0]]) <= MOST_NEURONS
    typical = [_align(reader, place, pair)[0] for pair in usual] if is_small else []
    for one, other in top:
        row: Row = {
            "expert_index": numbers[one],
            "other_index": numbers[other],
            "similarity": float(similar[one, other]),
            "similarity_z": _number(float(z[one, other])),
            "median_similarity": middle,
        }
        if is_small:
            cosine, moved = _align(reader, place, (one, other))
            row |= {
                "aligned_cosine": cosine,
                "typical_aligned_cosine": float(np.median(typical)) if typical else None,
                "moved_neurons": moved,
                "is_duplicate": cosine >= DUPLICATE,
            }
        yield row


def _align(reader: _Reader, place: Experts, pair: tuple[int, int]) -> tuple[float, float]:
    """Cosine of two experts with their neurons aligned, and the share of neurons that moved.

    The order is found in the directions in which moments are taken; the cosine is that of all
    elements.
    """
    numbers = list(place.routed)
    one, other = (_neurons(reader, place.routed[numbers[at]]) for at in pair)
    order = experts.best_order(*(experts.unit(_seen(neurons)) for neurons in (one, other)))
    cosine = experts.aligned_cosine(one, other, order)
    return cosine, float(np.mean(order != np.arange(len(order))))


def _neurons(reader: _Reader, expert: Expert) -> dict[str, np.ndarray]:
    """The vectors [neurons, width] of the neurons of an expert by projection, float32."""
    found = {}
    for name, stored in expert.items():
        matrix = ON_CPU.whole(reader.source(stored), stored.matrix)
        found[name] = matrix.T if name == "down_proj" else matrix
    return found


def _seen(neurons: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: each @ experts.directions(each.shape[1]) for name, each in neurons.items()}
