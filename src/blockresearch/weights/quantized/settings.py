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
from typing import Any

from blockresearch.regexes import matches_anywhere, matches_start


def quantization_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of quantization in config.json, {} where there are none."""
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            for key in ("quantization_config", "quantization", "compression_config"):
                if isinstance(part.get(key), Mapping):
                    return part[key]
    return {}


def with_settings(config: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """config.json with the settings of a file beside it (`quantize_config.json` and the like).

    What config.json states itself counts.
    """
    inner = beside.get("quantization", beside)
    inner = inner if isinstance(inner, Mapping) else {}
    return {**config, "quantization_config": {**inner, **quantization_config(config)}}


def method_of(settings: Mapping[str, Any]) -> str:
    """The stated method in lower case, "" without one; AutoRound has one spelling here."""
    stated = settings.get("quant_method") or settings.get("mode") or ""
    name = str(stated)[:40].lower()
    is_auto_round = name.replace("_", "-").endswith(("auto-round", "autoround"))
    return "auto-round" if is_auto_round else name


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


def config_groups(settings: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Groups of `config_groups` that apply to a module, the library's choice first.

    `names` are the names that a target may mean. All groups if no target matches.
    """
    groups = settings.get("config_groups")
    found = [g for g in (groups.values() if isinstance(groups, Mapping) else ()) if _weights(g)]
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


def _weights(group: Any) -> bool:
    return isinstance(group, Mapping) and isinstance(group.get("weights"), Mapping)
