"""The experts plan: which routed experts to drop, the same number in every layer.

First go experts that point to themselves (`candidate`: zeros, or far below the others), then of two
duplicates the one with the shorter row of the router, then those that `criterion` puts last:

    router_norm  the shortest row of the router, near to the score of compressed-tensors' pruner,
                 the sum of absolute values
    expert_norm  the smallest weights
    similarity   the most similar to another expert, of which one is kept

The file has the arguments of `MagnitudeExpertPruner`, which drops exactly these experts, the rows
of the router and of its bias, numbers the others anew and changes config.json:

    from compressed_tensors.entrypoints.convert import MagnitudeExpertPruner, convert_checkpoint
    pruner = MagnitudeExpertPruner(**json.load(open("expert_pruner.json")))
    convert_checkpoint(source, target, pruner, device="cpu")

It takes experts that are stored one by one, or stacked in the first dimension of every tensor.
Source: compressed-tensors 0.19.0.
"""

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.language.sentence import say
from blockresearch.model_config import ModelConfig
from blockresearch.plans.plan import Plan, PlanError

CAVEAT = say(
    "Weights do not say how often an expert is chosen: count that over texts, and evaluate what is "
    "left, before you drop an expert."
)

RULE = (
    "candidates, then the weaker of two duplicates, then what the criterion puts last; the same "
    "number in every layer"
)

# Criterion -> the column of the table experts, whether its largest values go first, and the reason.
CRITERIA = {
    "router_norm": ("router_norm", False, say("one of the shortest rows of the router")),
    "expert_norm": ("expert_norm", False, say("one of the smallest experts")),
    "similarity": ("nearest_similarity", True, say("similar to another expert that stays")),
}

DUPLICATE = say("a duplicate of another expert that stays")

# Keys of config.json that the pruner changes, there or in text_config.
COUNTS = ("num_experts", "num_local_experts", "moe_num_experts", "n_routed_experts")

# Experts that a token chooses.
CHOSEN = ("num_experts_per_tok", "top_k_experts", "moe_top_k", "moe_k", "num_selected_experts")


@dataclass(frozen=True)
class Settings:
    """`share` of the experts of each layer is dropped; `criterion` is a key of CRITERIA."""

    share: float
    criterion: str = "router_norm"


@dataclass(frozen=True)
class _Layer:
    """The tensors of the experts of a layer, and those of its router with a row for each expert."""

    key: tuple[str, int]
    experts: tuple[Tensor, ...]
    routers: tuple[Tensor, ...]


@dataclass(frozen=True)
class _Choice:
    """An expert that is dropped, and why: a column, its value and the median of the layer."""

    expert: int
    reason: str
    metric: str
    value: float | None


def experts_plan(
    manifest: Manifest, experts: pd.DataFrame, pairs: pd.DataFrame, settings: Settings
) -> Plan:
    """The plan of a model; `experts` and `pairs` are the tables experts and expert_pairs.

    Without experts that the pruner takes it is a `reason` and has no files. Raises PlanError if
    `share` drops none, or too many.
    """
    start: dict[str, Any] = {"plan": "experts", "caveat": CAVEAT, "rule": RULE}
    start["inputs"] = {"share": settings.share, "criterion": settings.criterion}
    count = int(experts["expert_index"].max()) + 1 if len(experts) else 0
    layers = _layers(manifest, count)
    key = next((name for name in COUNTS if name in _stated(manifest.config)), None)
    reason = _reason(layers, experts, count, key)
    if reason is not None:
        return Plan({**start, "reason": reason}, {})
    groups = _groups(manifest, count)
    dropped = _number_dropped(manifest, count, groups, settings)
    rows = _by_layer(experts)
    twins = _by_layer(pairs[pairs["is_duplicate"].fillna(False).astype(bool)])
    chosen = {
        layer.key: _chosen(
            rows[layer.key], twins.get(layer.key, []), settings.criterion, dropped, groups
        )
        for layer in layers
    }
    kept = {
        key: sorted(set(range(count)) - {each.expert for each in choices})
        for key, choices in chosen.items()
    }
    lost = sum(_lost_bytes(layer, kept[layer.key], count) for layer in layers)
    record = {
        **start,
        "predicted": {
            "bytes": manifest.totals.bytes - lost,
            "checkpoint_bytes": manifest.totals.bytes,
            "experts": count - dropped,
            "checkpoint_experts": count,
        },
        "dropped": [
            {
                "component": component,
                "layer": layer,
                "expert": each.expert,
                "reason": each.reason,
                "metric": each.metric,
                "value": each.value,
                "median": _median(rows[component, layer], each.metric),
            }
            for (component, layer), choices in chosen.items()
            for each in choices
        ],
    }
    text = json.dumps(_pruner(layers, kept, count, str(key), settings.share, manifest), indent=1)
    return Plan(record, {"expert_pruner.json": text + "\n"})


def _layers(manifest: Manifest, count: int) -> list[_Layer]:
    """The layers with routed experts, in order."""
    found: dict[tuple[str, int], tuple[list[Tensor], list[Tensor]]] = {}
    for tensor in manifest.tensors:
        role = tensor.role
        if role.layer_index is None or role.component == "adapter":
            continue
        experts, routers = found.setdefault((role.component, role.layer_index), ([], []))
        if role.role == "routed":
            experts.append(tensor)
        elif role.block_type == "router" and tensor.shape[:1] == (count,):
            routers.append(tensor)
    return [
        _Layer(key, tuple(experts), tuple(routers))
        for key, (experts, routers) in sorted(found.items())
        if experts
    ]


def _stated(config: Mapping[str, Any]) -> set[str]:
    """The keys that the pruner finds."""
    text = config.get("text_config")
    return {*config, *(text if isinstance(text, Mapping) else ())}


def _reason(
    layers: Sequence[_Layer], experts: pd.DataFrame, count: int, key: str | None
) -> str | None:
    """Why the pruner cannot drop experts of this model; None if it can."""
    if not layers:
        return say("the model has no routed experts")
    sizes = experts.groupby(["component", "layer_index"]).size().to_dict()
    if any(sizes.get(layer.key) != count for layer in layers):
        return say("not every layer has the same number of experts in the table")
    if not all(layer.routers for layer in layers):
        return say("a layer without a router of one row for each expert")
    every = [tensor for layer in layers for tensor in layer.experts]
    is_apart = {tensor.role.expert_index is not None for tensor in every}
    fits = (
        all(_number_in_name(tensor.name) == tensor.role.expert_index for tensor in every)
        if is_apart == {True}
        else all(len(tensor.shape) > 2 and tensor.shape[0] == count for tensor in every)
    )
    if len(is_apart) > 1 or not fits:
        return say("the tool does not find an expert in every tensor of experts")
    return say("config.json does not state the number of experts") if key is None else None


def _number_in_name(name: str) -> int | None:
    """The number of an expert as the pruner reads it: the one behind a word with `expert`."""
    match = re.search(r"(?:^|\.)[^.]*expert[^.]*\.(\d+)(?:\.|$)", name, re.IGNORECASE)
    return int(match[1]) if match else None


def _groups(manifest: Manifest, count: int) -> int:
    """Groups of experts of which a token first chooses some; they stay of one size."""
    groups = ModelConfig(manifest.config).number("n_group") or 1
    return groups if count % groups == 0 else 1


def _number_dropped(manifest: Manifest, count: int, groups: int, settings: Settings) -> int:
    dropped = groups * round(settings.share * count / groups)
    if dropped == 0:
        raise PlanError(
            say(
                "experts: a share of {share} drops none of {count} experts: raise it.",
                share=f"{settings.share:g}",
                count=str(count),
            )
        )
    config = ModelConfig(manifest.config)
    needed = config.number(*CHOSEN) or 1
    used = min(config.number("topk_group") or groups, groups)
    left = (count - dropped) // groups * used
    if left < needed:
        raise PlanError(
            say(
                "experts: a token chooses {needed} experts, and only {left} would be left: lower "
                "share.",
                needed=str(needed),
                left=str(left),
            )
        )
    return dropped


def _by_layer(table: pd.DataFrame) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        found.setdefault((row["component"], int(row["layer_index"])), []).append(row)
    return found


def _chosen(
    rows: Sequence[Mapping[str, Any]],
    twins: Sequence[Mapping[str, Any]],
    criterion: str,
    dropped: int,
    groups: int,
) -> list[_Choice]:
    """The experts of a layer to drop, by number; of each group of neighbors the same number."""
    size, order = len(rows) // groups, _order(rows, twins, criterion)
    parts = [[each for each in order if each.expert // size == group] for group in range(groups)]
    found = [each for part in parts for each in part[: dropped // groups]]
    return sorted(found, key=lambda each: each.expert)


def _order(
    rows: Sequence[Mapping[str, Any]], twins: Sequence[Mapping[str, Any]], criterion: str
) -> list[_Choice]:
    """All experts of a layer, the first to drop first."""
    found: dict[int, _Choice] = {}
    by_number = {int(row["expert_index"]): row for row in rows}
    for number, row in by_number.items():
        if not pd.isna(row["candidate"]) and row["candidate"]:
            found[number] = _Choice(number, str(row["candidate"]), "candidate", None)
    for pair in sorted(twins, key=lambda pair: -pair["aligned_cosine"]):
        both = {int(pair["expert_index"]), int(pair["other_index"])}
        if both.isdisjoint(found):
            weaker = min(both, key=lambda number: by_number[number]["router_norm"])
            value = float(pair["aligned_cosine"])
            found[weaker] = _Choice(weaker, DUPLICATE, "aligned_cosine", value)
    column, is_largest, reason = CRITERIA[criterion]
    values = {
        number: math.inf if pd.isna(row[column]) else float(row[column]) * (-1 if is_largest else 1)
        for number, row in by_number.items()
    }
    late = []
    for number in sorted(set(values) - set(found), key=lambda number: (values[number], number)):
        value = by_number[number][column]
        choice = _Choice(number, reason, column, None if pd.isna(value) else float(value))
        # Of two that are alike one stays.
        if criterion == "similarity" and by_number[number]["nearest_expert"] in found:
            late.append(choice)
        else:
            found[number] = choice
    return [*found.values(), *late]


def _median(rows: Iterable[Mapping[str, Any]], metric: str) -> float | None:
    """Of the column in a layer; None for what is no number of an expert."""
    values = pd.Series([row.get(metric) for row in rows], dtype=object)
    numbers = pd.to_numeric(values, errors="coerce").dropna()
    return float(numbers.median()) if len(numbers) else None


def _lost_bytes(layer: _Layer, kept: Collection[int], count: int) -> int:
    parts = [tensor.nbytes // count * (count - len(kept)) for tensor in layer.routers]
    for tensor in layer.experts:
        number = tensor.role.expert_index
        if number is None:
            parts.append(tensor.nbytes // count * (count - len(kept)))
        elif number not in kept:
            parts.append(tensor.nbytes)
    return sum(parts)


def _pruner(
    layers: Sequence[_Layer],
    kept: Mapping[tuple[str, int], list[int]],
    count: int,
    key: str,
    share: float,
    manifest: Manifest,
) -> dict[str, Any]:
    """The arguments of MagnitudeExpertPruner."""
    routers = [tensor.name for layer in layers for tensor in layer.routers]
    every = [tensor for layer in layers for tensor in layer.experts]
    return {
        "router_pattern": _pattern(routers),
        "expert_pattern": _pattern([tensor.name for tensor in every]),
        "sparsity": share,
        "num_experts_config_key": key,
        "retained_experts": {
            tensor.name: kept[layer.key] for layer in layers for tensor in layer.routers
        },
        "expert_to_router": {
            tensor.name: layer.routers[0].name for layer in layers for tensor in layer.experts
        },
        "expert_indices": {
            tensor.name: tensor.role.expert_index
            for tensor in every
            if tensor.role.expert_index is not None
        },
        "is_3d": every[0].role.expert_index is None,
        "num_experts_per_tok": ModelConfig(manifest.config).number(*CHOSEN),
    }


def _pattern(names: Iterable[str]) -> str:
    """A regular expression that matches these names, with any numbers in them."""
    forms = sorted({re.sub(r"(?<=\\\.)\d+(?=\\\.)", r"\\d+", re.escape(name)) for name in names})
    return f"^(?:{'|'.join(forms)})$"
