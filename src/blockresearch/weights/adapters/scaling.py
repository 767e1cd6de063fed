"""Rank and scale of an adapter's factors, read as the library that wrote them reads them.

    PEFT       adapter_config.json: alpha / r, or alpha / √r with use_rslora (Kalajdzievski 2023).
               Keys of rank_pattern and alpha_pattern are regular expressions for the end of a
               module's name from the start of one of its segments; the first that matches counts
    diffusers  the same settings as JSON in the header's metadata, behind the name of the component
    mlx-lm     adapter_config.json: lora_parameters.scale
    kohya, ComfyUI   a tensor `alpha` beside the factors: alpha / r
    Phi-4      config.json has `<adapter>_lora: {r, lora_alpha}` for adapters in its own shards

Whatever contradicts the shapes raises Unknown: no scale is guessed.

Source: peft 0.21.2 utils/other.py `get_pattern_key`, tuners/tuners_utils.py `_inject_parameters`,
tuners/lora/{config,layer}.py; diffusers 0.36.0 loaders/lora_base.py `_pack_dict_with_prefix`;
mlx_lm 0.32.2 tuner/utils.py; comfy/weight_adapter.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from blockresearch.regexes import matches_ending

# Of r, lora_alpha and alpha in PEFT's configs of LoRA, LoHa and LoKr.
PEFT_DEFAULT = 8

PEFT_PREFIX = "base_model.model."

METADATA_KEY = "lora_adapter_metadata"

MAX_METADATA_CHARACTERS = 1_000_000

# PEFT's name of the method, and of its alpha.
PEFT_TYPES = {"LoRA": ("LORA", "lora_alpha"), "LoHa": ("LOHA", "alpha"), "LoKr": ("LOKR", "alpha")}

# Keys of a LoRA config with which the change is not, or not only, the product of the factors.
VARIANTS = ("arrow_config", "kasa_config", "monteclora_config")

# Of the switches `use_…` the one that changes the scale alone.
HARMLESS = ("use_rslora",)

# Ways to start the factors that leave the weight itself as it is; the others subtract from it.
HARMLESS_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica", "lora_ga")

DORA = "DoRA's change needs the weight itself, which is not stored here"


class Unknown(ValueError):
    """Why the change of a weight cannot be made from what is stored."""


@dataclass(frozen=True)
class Statements:
    """What the files of a checkpoint say about its adapters.

    adapter    adapter_config.json, None without one
    config     config.json
    metadata   `__metadata__` of the header of each shard
    """

    adapter: Mapping[str, Any] | None
    config: Mapping[str, Any]
    metadata: Mapping[str, Mapping[str, str]]


class PeftSettings(NamedTuple):
    """PEFT's settings that hold for a module, and the module's name in the base model."""

    config: Mapping[str, Any]
    key: str


def peft_settings(said: Statements, module: str, shard: str) -> PeftSettings | None:
    """PEFT's settings that hold for a module; None if there are none. Raises Unknown."""
    if said.adapter is not None and "peft_type" in said.adapter:
        return PeftSettings(said.adapter, module.removeprefix(PEFT_PREFIX))
    stated = _metadata(said.metadata.get(shard, {}))
    if stated is None:
        return None
    component, _, rest = module.partition(".")
    prefix = f"{component}."
    own = {k.removeprefix(prefix): v for k, v in stated.items() if k.startswith(prefix)}
    if own:
        return PeftSettings(own, rest)
    if "r" in stated:
        return PeftSettings(stated, module)
    raise Unknown(f"the header's metadata states nothing about {component[:80]!r}")


def _metadata(metadata: Mapping[str, str]) -> Mapping[str, Any] | None:
    text = metadata.get(METADATA_KEY)
    if text is None:
        return None
    try:
        found = json.loads(text) if len(text) <= MAX_METADATA_CHARACTERS else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unknown(f"{METADATA_KEY} in the header is not a JSON object")
    return found


def check_method(config: Mapping[str, Any], method: str) -> None:
    """Check that a PEFT config leaves the change of a method as it is.

    Raises Unknown if it belongs to another method or a variant of it.
    """
    peft_type, _ = PEFT_TYPES[method]
    stated = config.get("peft_type", peft_type)
    if stated != peft_type:
        raise Unknown(f"its config is one of {str(stated)[:40]}")
    if method != "LoRA":
        return
    if config.get("use_dora") is True:
        raise Unknown(DORA)
    for key, value in config.items():
        switched = key.startswith("use_") and key not in HARMLESS
        if value and (switched or key in VARIANTS):
            raise Unknown(f"its config sets {key[:40]}, which is not read here")
    start = config.get("init_lora_weights")
    if not any(start is known or start == known for known in HARMLESS_STARTS):
        raise Unknown(f"the start {str(start)[:40]!r} of its config changes the weight itself too")


def pattern_value(patterns: Any, module: str, default: Any) -> Any:
    """The value of the first key that matches the module, else `default`. Raises Unknown."""
    if not isinstance(patterns, Mapping):
        return default
    for pattern, value in patterns.items():
        matched = matches_ending(pattern, module)
        if matched is None:
            raise Unknown(f"the pattern {pattern[:80]!r} of its config is not evaluated")
        if matched:
            return value
    return default


def peft_rank(config: Mapping[str, Any], key: str) -> int:
    """r of the module `key`, as the base model names it. Raises Unknown if it is no number."""
    rank = pattern_value(config.get("rank_pattern"), key, config.get("r", PEFT_DEFAULT))
    if type(rank) is not int or rank < 1:
        raise Unknown(f"its config gives the rank {str(rank)[:40]!r}")
    return rank


def peft_scale(config: Mapping[str, Any], key: str, rank: int, alpha_key: str) -> float:
    """Factor of the product of a module's factors of this rank. Raises Unknown."""
    default = config.get(alpha_key, PEFT_DEFAULT)
    alpha = _number(pattern_value(config.get("alpha_pattern"), key, default), "alpha")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)


def targets(config: Mapping[str, Any], key: str, rows: int) -> list[str]:
    """Keys `<module>.<parameter>` if PEFT adapted bare parameters of a module, else [].

    `rows` are those of its factor A. A parameter that is listed without a module may belong to any:
    it is this module's if the rank of a plain module does not fit. Raises Unknown.
    """
    listed = config.get("target_parameters")
    names = {n for n in listed if isinstance(n, str)} if isinstance(listed, list) else set()
    inner = key
    while inner.endswith(".base_layer"):
        inner = inner.removesuffix(".base_layer")
    found = []
    for name in sorted(names):
        owner, _, leaf = name.rpartition(".")
        full = f"{inner}.{leaf}"
        if (owner and f".{full}".endswith(f".{name}")) or (
            not owner and (inner != key or peft_rank(config, key) != rows)
        ):
            found.append(full)
    return found


def targets_rank(config: Mapping[str, Any], keys: list[str]) -> tuple[int, float]:
    """Rank and scale of the adapted parameters of one module. Raises Unknown if they differ.

    Which factors are whose depends on the order in which the model's code defines its parameters.
    """
    ranks = {key: peft_rank(config, key) for key in keys}
    scales = {peft_scale(config, key, rank, "lora_alpha") for key, rank in ranks.items()}
    if len({*ranks.values()}) > 1 or len(scales) > 1:
        raise Unknown("its config gives the parameters of this module several ranks or scales")
    return ranks.popitem()[1], scales.pop()


def mlx_scale(config: Mapping[str, Any], rank: int) -> float:
    """mlx-lm's factor. Raises Unknown if it is not stated or another rank is."""
    found = config.get("lora_parameters")
    parameters = found if isinstance(found, Mapping) else {}
    if parameters.get("rank", rank) != rank:
        raise Unknown(f"its config gives the rank {str(parameters['rank'])[:40]}, stored is {rank}")
    if "alpha" in parameters:
        raise Unknown("releases of mlx-lm differ in how they read alpha and scale together")
    if "scale" not in parameters:
        raise Unknown("its config states no scale")
    return _number(parameters["scale"], "scale")


def own_scale(config: Mapping[str, Any], adapter: str, rank: int) -> float | None:
    """Scale of an adapter in a model's own shards; None if config.json does not state it.

    Raises Unknown if it states another rank.
    """
    found = config.get(f"{adapter}_lora") if adapter else None
    if not isinstance(found, Mapping) or "lora_alpha" not in found:
        return None
    if found.get("r", rank) != rank:
        raise Unknown(f"config.json gives the rank {str(found['r'])[:40]}, stored is {rank}")
    return peft_scale(found, "", rank, "lora_alpha")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unknown(f"its config gives the {what} {str(value)[:40]!r}")
    return float(value)
