"""The adapter plan: the change of a fine-tune as an adapter (LoRA), with a rank for each module.

Δ = other − base of a weight is replaced by a product of two thin matrices, B A of rank r. The best
one keeps the r largest singular values of Δ, so what is lost is √(σ²_{r+1} + …), and nothing has to
be read for the plan but the spectra of the comparison. The rank of a module is the smallest that
keeps a share `energy` of Σ σ². Singular values that rounding to the stored types explains are not
worth a direction: the rank is at most the storage rank of Δ.

Matrices that are stored as one (q, k and v) are one module of PEFT. Each has a rank; the module has
their sum, with B in blocks.

transformers keeps the experts of a layer in two parameters, `gate_up_proj` and `down_proj`, each
[experts, out, in], also if they are stored one by one. PEFT gives all experts of a parameter one
rank: the largest that an expert has here. Gate and up have a block each.

What factors cannot keep is listed with its share of ‖Δ‖². PEFT can store some modules as a whole
instead (`modules_to_save`): token tables, also with another number of rows, and norms.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import say
from blockresearch.plans.matrices import LINEAR
from blockresearch.plans.pairs import IN_PLACE, places_of, shown_name, text_of, with_status
from blockresearch.plans.plan import Plan, PlanError

CAVEAT = say(
    "A share of ‖Δ‖² is no share of what a fine-tune learned: small parts of a change can matter "
    "most, so evaluate the base with the adapter beside the fine-tune."
)

RULE = (
    "the fewest directions of Δ that keep the share `energy` of Σ σ², at most the storage rank and "
    "max_rank"
)

# Ranks of the error curves.
RANKS = tuple(2**power for power in range(9))

# What may be stored as a whole.
TOKENS, NORMS = "tokens", "norms"

# What transformers names an output layer that is tied to the embedding, and so is not stored.
TIED_OUTPUT = "lm_head.weight"

# Statuses of token tables that PEFT can store as a whole.
TABLES = ("resized", "untied", "tied")

# Names of experts that are stored one by one, projection -> parameter in transformers, and parts of
# a stack of experts.
APART = re.compile(r"(.*\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight")
PARAMETERS = {"gate_proj": "gate_up_proj", "up_proj": "gate_up_proj", "down_proj": "down_proj"}
PART = re.compile(r"\[(\d+)\](?:\.(gate_proj|up_proj))?")

# Why a part of the change is in no factors.
ELSEWHERE = say("a place that the base does not have")
EXPERT = say("an expert of a form that PEFT does not find in one parameter with the others")
ROUNDING = say("no larger than rounding to the stored types")
TOKEN_TABLE = say("a token table, and save does not name tokens")
NORM = say("a norm, and save does not name norms")
BIAS = say("a bias")
NO_LINEAR = say("no weight of a linear layer")
NO_SPECTRUM = say("without a spectrum")
AMBIGUOUS = say("a name by which PEFT would find other modules too")


@dataclass(frozen=True)
class Settings:
    """`energy` is the share of Σ σ² that each module keeps, `max_rank` its largest rank, `save`
    names what is stored as a whole if it changed, and `factors` is the type of the factors, or None
    without them."""

    energy: float = 0.95
    max_rank: int = 128
    save: tuple[str, ...] = (TOKENS,)
    factors: str | None = None


@dataclass(frozen=True)
class Piece:
    """A matrix of Δ with factors: where it is on both sides, and its rank.

    sigma    singular values of Δ, float64 [n], descending
    storage  its storage rank; None if the values are dequantized
    limit    what sets the rank: energy, rounding or max_rank
    expert   number and projection of an expert in a parameter of all experts
    """

    base: tuple[str, str]
    other: tuple[str, str]
    rows: int
    cols: int
    sigma: np.ndarray
    storage: int | None
    rank: int
    limit: str
    expert: tuple[int, str] | None = None


@dataclass(frozen=True)
class Module:
    """A linear layer with factors; several pieces if their matrices are stored as one.

    `experts` is the number of experts of a parameter [experts, rows, cols], 0 for a linear layer.
    """

    name: str
    rows: int
    cols: int
    pieces: tuple[Piece, ...]
    experts: int = 0

    @property
    def ranks(self) -> dict[str, int]:
        """Rank by block: a projection of all experts, or a piece."""
        return {
            piece.expert[1] if piece.expert else str(number): piece.rank
            for number, piece in enumerate(self.pieces)
        }

    @property
    def rank(self) -> int:
        """Rank of the factors, of each expert."""
        return sum(self.ranks.values())

    @property
    def parameters(self) -> int:
        """Elements of the factors."""
        return self.rank * max(self.experts, 1) * (self.rows + self.cols)

    @property
    def energy(self) -> float:
        """‖Δ‖²."""
        return sum(float(np.square(piece.sigma).sum()) for piece in self.pieces)

    def lost(self, rank: int | None = None) -> float:
        """‖Δ − B A‖² with the planned ranks, or with one `rank` for each piece."""
        return sum(
            float(np.square(piece.sigma[piece.rank if rank is None else rank :]).sum())
            for piece in self.pieces
        )

    def error(self, rank: int | None = None) -> float:
        """‖Δ − B A‖ / ‖Δ‖."""
        return math.sqrt(self.lost(rank) / self.energy)


@dataclass(frozen=True)
class Adapter:
    """Modules with factors, and modules that are stored as a whole, with tensors of the other side
    by the name that they have in the base."""

    modules: tuple[Module, ...]
    saved: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class _Left:
    """A part of the change that the adapter does not keep."""

    name: str
    reason: str
    energy: float


def adapter_plan(
    pairs: pd.DataFrame, differences: pd.DataFrame, base: Manifest, settings: Settings
) -> tuple[Plan, Adapter | None]:
    """The plan of a comparison, and the adapter; without one the plan is a `reason`.

    `pairs` and `differences` are the tables of those names. Raises PlanError if a setting is wrong.
    """
    _check(settings)
    inputs = {name: getattr(settings, name) for name in ("energy", "max_rank", "factors")}
    inputs["save"] = list(settings.save)
    start: dict[str, Any] = {"plan": "adapter", "caveat": CAVEAT, "rule": RULE, "inputs": inputs}
    rows = with_status(pairs, differences)
    energy = rows["delta_norm"].fillna(0).astype(float) ** 2
    total = float(energy.sum())
    if not total:
        return Plan({**start, "reason": say("no element of a matched tensor changed")}, {}), None
    if energy[rows["relation"].notna()].sum() > total / 2:
        reason = say("the elements of most matrices do not agree: it is no fine-tune of the base")
        return Plan({**start, "reason": reason}, {}), None
    names = _Names(base)
    modules: dict[str, list[Piece]] = {}
    saved: dict[str, dict[str, str]] = {}
    left: list[_Left] = []
    for row, size in zip(rows.to_dict("records"), energy, strict=True):
        if not size:
            continue
        why: str | None = None
        if module := _saved_module(row, settings.save):
            if names.is_saved_alone(module):
                saved.setdefault(module, {})
            else:
                why = AMBIGUOUS
        else:
            module = _module(row, base)
            why = _reason(row, base, settings) or (
                None if names.is_found_alone(module) else AMBIGUOUS
            )
            if why is None:
                modules.setdefault(module, []).append(_piece(row, base, settings))
        if why is not None:
            left.append(_Left(shown_name(row), why, float(size)))
    left += _only_other(pairs)
    adapter = Adapter(
        tuple(_made(base, name, pieces) for name, pieces in modules.items()),
        {module: _tensors(module, pairs, base) for module in saved},
    )
    if not adapter.modules:
        reason = say("no part of the change can be kept by an adapter")
        return Plan({**start, "reason": reason, **_not_kept(left, total)}, {}), None
    record = {
        **start,
        "predicted": _predicted(adapter, total, energy, rows, settings),
        "ranks": list(RANKS),
        "curve": _curve(adapter.modules),
        "modules": [_entry(module, total) for module in adapter.modules],
        "saved": sorted(adapter.saved),
        **_not_kept(left, total),
    }
    config = json.dumps(_config(adapter, base), indent=1) + "\n"
    return Plan(record, {"adapter_config.json": config}), adapter


def _check(settings: Settings) -> None:
    if not 0 < settings.energy <= 1:
        raise PlanError(
            say("energy: {value} is no share above 0 and at most 1.", value=f"{settings.energy:g}")
        )
    for name in settings.save:
        if name not in (TOKENS, NORMS):
            raise PlanError(say("save: {name} is neither tokens nor norms.", name=name))


def _module(row: Mapping[str, Any], base: Manifest) -> str:
    """The module of PEFT, or the parameter of all experts, that a matrix of the base is part of."""
    place = _expert(row, base)
    return place[0] if place else str(row["param_name"]).removesuffix(".weight")


def _expert(row: Mapping[str, Any], base: Manifest) -> tuple[str, int, str] | None:
    """Parameter, number and projection of a routed expert that transformers keeps in one parameter
    [experts, out, in] with the others; None for all else."""
    if row["role"] != "routed":
        return None
    tensor = base.by_name[row["param_name"]]
    if found := APART.fullmatch(tensor.name):
        parent, number, projection = found.groups()
        return f"{parent}.{PARAMETERS[projection]}", int(number), projection
    part = PART.fullmatch(text_of(row["slice"]))
    parent, _, leaf = tensor.name.rpartition(".")
    is_split = part is not None and bool(part[2]) == (leaf == "gate_up_proj")
    if not part or not is_split or leaf not in PARAMETERS.values() or tensor.layout.transposed:
        return None
    return tensor.name, int(part[1]), part[2] or leaf


def _saved_module(row: Mapping[str, Any], save: Sequence[str]) -> str | None:
    """The module that is stored as a whole because of this pair."""
    is_table = row["block_type"] in ("embedding", "output") and row["cols"] > 1
    if TOKENS in save and is_table and not _is_rounding(row):
        if row["status"] in (*IN_PLACE, "resized", "tied"):
            return str(row["param_name"]).rpartition(".")[0]
        if row["status"] == "untied":
            return str(row["other_name"]).rpartition(".")[0]
    if NORMS in save and row["block_type"] == "norm" and row["status"] in IN_PLACE:
        return str(row["param_name"]).rpartition(".")[0] or None
    return None


def _is_rounding(row: Mapping[str, Any]) -> bool:
    rank = row["delta_storage_rank"]
    return row["status"] in IN_PLACE and not pd.isna(rank) and rank == 0


def _reason(row: Mapping[str, Any], base: Manifest, settings: Settings) -> str | None:
    """Why factors cannot keep the change of a pair; None if they can."""
    if row["status"] not in (*IN_PLACE, *TABLES):
        return ELSEWHERE
    if _is_rounding(row):
        return ROUNDING
    if row["block_type"] in ("embedding", "output"):
        return NO_LINEAR if TOKENS in settings.save else TOKEN_TABLE
    if row["block_type"] == "norm":
        return NORM
    tensor = base.by_name[row["param_name"]]
    if tensor.role.is_bias:
        return BIAS
    if row["role"] == "routed":
        if _expert(row, base) is None:
            return EXPERT
        return None if row["delta_singular_values"] is not None else NO_SPECTRUM
    is_linear = row["block_type"] in LINEAR and len(tensor.logical_shape) == 2
    if not is_linear or not tensor.name.endswith(".weight"):
        return NO_LINEAR
    return None if row["delta_singular_values"] is not None else NO_SPECTRUM


def _piece(row: Mapping[str, Any], base: Manifest, settings: Settings) -> Piece:
    sigma = np.asarray(row["delta_singular_values"], dtype=np.float64)
    held = np.cumsum(np.square(sigma))
    rank = int(np.searchsorted(held, settings.energy * held[-1] * (1 - 1e-12))) + 1
    storage = None if pd.isna(row["delta_storage_rank"]) else int(row["delta_storage_rank"])
    limits = [(rank, "energy"), (settings.max_rank, "max_rank")]
    limits += [] if storage is None else [(storage, "rounding")]
    rank, limit = min(limits, key=lambda each: each[0])
    return Piece(
        *places_of(row),
        int(row["rows"]),
        int(row["cols"]),
        sigma,
        storage,
        rank,
        limit,
        place[1:] if (place := _expert(row, base)) else None,
    )


def _made(base: Manifest, name: str, pieces: Sequence[Piece]) -> Module:
    """A module of its pieces."""
    first = pieces[0]
    if first.expert is None:
        rows = math.prod(base.by_name[f"{name}.weight"].logical_shape) // first.cols
        return Module(name, rows, first.cols, tuple(pieces))
    ranks: dict[str, int] = {}
    for piece in pieces:
        projection = piece.expert[1] if piece.expert else ""
        ranks[projection] = max(ranks.get(projection, 0), piece.rank)
    equal = (replace(piece, rank=ranks[piece.expert[1]]) for piece in pieces if piece.expert)
    rows = first.rows * (2 if name.endswith("gate_up_proj") else 1)
    return Module(name, rows, first.cols, tuple(equal), _number_of_experts(base, name))


def _number_of_experts(base: Manifest, parameter: str) -> int:
    if parameter in base.by_name:
        return base.by_name[parameter].logical_shape[0]
    parent = parameter.rpartition(".")[0]
    found = (APART.fullmatch(name) for name in base.by_name)
    return 1 + max(int(each[2]) for each in found if each and each[1] == parent)


class _Names:
    """How PEFT finds modules by their names. Source: PEFT 0.21.2, `check_target_module_exists` and
    `_set_trainable`."""

    def __init__(self, base: Manifest):
        self.modules = {name.rpartition(".")[0] for name in base.by_name}

    def is_found_alone(self, module: str) -> bool:
        """Whether a target finds no other module: each that ends with a dot and it is one, too."""
        return not any(name.endswith(f".{module}") for name in self.modules)

    def is_saved_alone(self, module: str) -> bool:
        """Whether a module to save finds no other: here no dot is required, `norm` is `ln_norm`."""
        return not any(name.endswith(module) and name != module for name in self.modules)


def _tensors(module: str, pairs: pd.DataFrame, base: Manifest) -> dict[str, str]:
    """The tensors of the other side by the names that they have in a module that is saved.

    PEFT keeps a tied output layer a second time.
    """
    found = {}
    for row in pairs[pairs["other_name"].notna()].to_dict("records"):
        name, other = text_of(row["param_name"]), str(row["other_name"])
        own = other if row["status"] == "untied" else name
        if own.rpartition(".")[0] == module:
            found[own] = other
            if own == base.embedding and _is_tied(base) and "untied" not in set(pairs["status"]):
                found[TIED_OUTPUT] = other
    return found


def _task(base: Manifest) -> str | None:
    architecture = next(iter(base.config.get("architectures") or ()), "")
    return "CAUSAL_LM" if str(architecture).endswith("ForCausalLM") else None


def _is_tied(base: Manifest) -> bool:
    """Whether the output layer of a language model is its embedding."""
    return bool(base.tied) and _task(base) is not None


def _only_other(pairs: pd.DataFrame) -> Iterator[_Left]:
    """Tensors without a partner have no Δ, so their share is not known."""
    for name in pairs.loc[pairs["status"] == "only_other", "other_name"]:
        yield _Left(str(name), ELSEWHERE, math.nan)


def _predicted(
    adapter: Adapter, total: float, energy: pd.Series, rows: pd.DataFrame, settings: Settings
) -> dict[str, Any]:
    changed = sum(module.energy for module in adapter.modules)
    lost = sum(module.lost() for module in adapter.modules)
    is_saved = [
        _saved_module(row, settings.save) in adapter.saved for row in rows.to_dict("records")
    ]
    saved = float(energy[is_saved].sum()) / total
    return {
        "error": math.sqrt(lost / changed) if changed else None,
        "kept": (changed - lost) / total,
        "saved": saved,
        "lost": max(0.0, 1 - (changed - lost) / total - saved),
        "parameters": sum(each.parameters for each in adapter.modules),
    }


def _curve(modules: Sequence[Module]) -> list[dict[str, Any]]:
    """One rank for all matrices: the error over all modules, and the parameters."""
    changed = sum(module.energy for module in modules)
    if not changed:
        return []
    return [
        {
            "rank": rank,
            "error": math.sqrt(sum(module.lost(rank) for module in modules) / changed),
            "parameters": sum(
                sum(min(rank, len(piece.sigma)) for piece in module.pieces)
                * (module.rows + module.cols)
                for module in modules
            ),
        }
        for rank in RANKS
    ]


def _entry(module: Module, total: float) -> dict[str, Any]:
    limits = {piece.limit for piece in module.pieces}
    storage = [piece.storage for piece in module.pieces if piece.storage is not None]
    return {
        "name": module.name,
        "rank": module.rank,
        "limit": next(name for name in ("max_rank", "rounding", "energy") if name in limits),
        "storage_rank": sum(storage) if len(storage) == len(module.pieces) else None,
        "delta_norm": math.sqrt(module.energy),
        "share": module.energy / total,
        "error": module.error(),
        "curve": [module.error(rank) for rank in RANKS],
    }


def _not_kept(left: Sequence[_Left], total: float) -> dict[str, Any]:
    """What is in no factors, by reason, the largest share first."""
    groups: dict[str, list[_Left]] = {}
    for each in left:
        groups.setdefault(each.reason, []).append(each)
    rows = [
        {
            "reason": reason,
            "share": sum(each.energy for each in group if not math.isnan(each.energy)) / total,
            "tensors": [each.name for each in group],
        }
        for reason, group in groups.items()
    ]
    return {"not_kept": sorted(rows, key=lambda each: -each["share"])}


def _config(adapter: Adapter, base: Manifest) -> dict[str, Any]:
    """The adapter_config.json of PEFT.

    The scale is alpha / r, and 1 everywhere, so loaders that ignore the patterns scale alike; `r`
    is the largest rank, which others check against a limit.
    """
    ranks = {module.name: module.rank for module in adapter.modules}
    largest = max(ranks.values(), default=8)
    pattern = {f"^{re.escape(name)}$": rank for name, rank in ranks.items() if rank != largest}
    keeps_ties = any(TIED_OUTPUT in tensors for tensors in adapter.saved.values())
    return {
        "peft_type": "LORA",
        "task_type": _task(base),
        "base_model_name_or_path": base.model_id or base.model_path,
        "revision": base.commit,
        "r": largest,
        "lora_alpha": largest,
        "rank_pattern": pattern,
        "alpha_pattern": pattern,
        "target_modules": sorted(each.name for each in adapter.modules if not each.experts),
        "target_parameters": sorted(each.name for each in adapter.modules if each.experts) or None,
        "modules_to_save": sorted(adapter.saved) or None,
        "ensure_weight_tying": keeps_ties,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
