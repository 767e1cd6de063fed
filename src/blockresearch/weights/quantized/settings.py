"""What the configuration says about the quantization of one module, as each library reads it.

    compressed-tensors  `config_groups`: targets are module names, `re:` patterns (`re.match`) or
                        class names; the most specific kind of target that matches counts
    GPTQModel           `dynamic`: the first pattern that matches (`re.match`)
    AutoRound           `extra_config`: a module's own name, else the first pattern (`re.search`)
    MLX                 `quantization`: a module's own name

Source: compressed-tensors utils/match.py, GPTQModel quantization/config.py, AutoRound
inference/convert_model.py, mlx-lm utils.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from blockresearch.model_config import ModelConfig
from blockresearch.regexes import matches_anywhere, matches_start


def quantization_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of quantization in config.json, {} where there are none."""
    for part in reversed(ModelConfig(config).parts):
        for key in ("quantization_config", "quantization", "compression_config"):
            if isinstance(part.get(key), Mapping):
                return part[key]
    return {}


# What the file is called, the method that it means if it states none, and its own words.
FILES_BESIDE = {
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
    "hf_quant_config.json": "modelopt",
}

WORDS = {"w_bit": "bits", "q_group_size": "group_size"}


def with_settings(
    config: Mapping[str, Any], beside: Mapping[str, Any], method: str
) -> dict[str, Any]:
    """config.json with the settings of a file beside it, one of FILES_BESIDE with its method.

    What config.json states itself counts.
    """
    inner = beside.get("quantization", beside)
    inner = inner if isinstance(inner, Mapping) else {}
    named = {WORDS.get(key, key): value for key, value in inner.items()}
    own = quantization_config(config)
    return {**config, "quantization_config": {"quant_method": method, **named, **own}}


def method_of(settings: Mapping[str, Any]) -> str:
    """The stated method in lower case, "" without one; AutoRound has one spelling here."""
    stated = settings.get("quant_method") or settings.get("mode") or ""
    name = str(stated)[:40].lower()
    is_auto_round = name.replace("_", "-").endswith(("auto-round", "autoround"))
    return "auto-round" if is_auto_round else name


def named_scheme(settings: Mapping[str, Any]) -> str:
    """The method as the config states it, with its algorithm or format if it states one."""
    inner = settings.get("quant_algo") or settings.get("format") or settings.get("quant_type")
    words = [settings.get("quant_method") or settings.get("mode"), inner]
    return " ".join(str(word)[:40] for word in words if isinstance(word, str) and word)


# compressed-tensors' `format` values that the schemes of this folder decode.
DECODED_FORMATS = {
    *("dense", "float-quantized", "int-quantized", "naive-quantized", "pack-quantized"),
    *("mixed-precision", "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp6-pack-quantized"),
    *("mxfp8-quantized", "sparse-24-bitmask", "sparse-bitmask"),
}


def is_decoded_algorithm(settings: Mapping[str, Any]) -> bool:
    """Whether the algorithm or format that the config states within its method is decoded here."""
    algorithm, form = settings.get("quant_algo"), settings.get("format")
    if isinstance(algorithm, str):
        return "FP" in algorithm or algorithm.startswith(("W8A8", "MIXED"))
    is_theirs = method_of(settings) == "compressed-tensors" and isinstance(form, str)
    return not is_theirs or form in DECODED_FORMATS


def is_left_out(settings: Mapping[str, Any], module: str) -> bool:
    """Whether the config lists a module among those that are not to be quantized."""
    for key in ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers"):
        listed = settings.get(key)
        for pattern in map(str, listed) if isinstance(listed, list | tuple) else ():
            if pattern.startswith("re:"):
                if matches_start(pattern[3:], module):
                    return True
            elif fnmatchcase(module, pattern) or f".{module}.".find(f".{pattern}.") >= 0:
                return True
    return False


def of_module(settings: Mapping[str, Any], module: str) -> Mapping[str, Any]:
    """The settings of a module: those of the model, with what the config says about it alone."""
    for own in _own(settings, module):
        if isinstance(own, Mapping):
            return {**settings, **own}
    return settings


def _own(settings: Mapping[str, Any], module: str) -> Iterator[Any]:
    extra = settings.get("extra_config")
    extra = extra if isinstance(extra, Mapping) else {}
    yield extra.get(module)
    yield from (own for key, own in extra.items() if matches_anywhere(str(key), module))
    dynamic = settings.get("dynamic")
    for key, own in dynamic.items() if isinstance(dynamic, Mapping) else ():
        if matches_start(str(key).removeprefix("+:"), module):
            yield own
    yield settings.get(module)


def all_groups(settings: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The groups of `config_groups` that state settings of weights."""
    groups = settings.get("config_groups")
    some = groups.values() if isinstance(groups, Mapping) else ()
    return [g for g in some if isinstance(g, Mapping) and isinstance(g.get("weights"), Mapping)]


def config_groups(settings: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Groups of `config_groups` that apply to a module, the library's choice first.

    `names` are the names that a target may mean. All groups if no target matches.
    """
    found = all_groups(settings)
    ranked: list[tuple[int, str, Mapping[str, Any]]] = []
    for group in found:
        targets = group.get("targets")
        for target in map(str, targets) if isinstance(targets, list | tuple) else ():
            for name in names:
                if target == name:
                    ranked.append((0, target, group))
                elif target.startswith("re:") and matches_start(target[3:], name):
                    ranked.append((1, target, group))
            if "." not in target and not target.startswith("re:"):
                ranked.append((2, target, group))
    if not ranked:
        return found
    best = min(rank for rank, _, _ in ranked)
    chosen = sorted((target, i) for i, (rank, target, _) in enumerate(ranked) if rank == best)
    return list({id(ranked[i][2]): ranked[i][2] for _, i in chosen}.values())
