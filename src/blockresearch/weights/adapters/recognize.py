"""Which stored tensors are the factors of a weight's change, and how it is made from them.

`recognize` sorts the parameters of each adapted module. Its result has, for each parameter, the
change (at one factor of each module) or the reason why there is none: the method's change needs
more than is stored (the weight itself, shared projections), or something is missing or contradicts.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blockresearch.naming import adapter_names
from blockresearch.naming.roles import Role
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.weights.adapters.change import Change
from blockresearch.weights.adapters.scaling import (
    DIFFUSERS_FILE,
    Statements,
    Unknown,
    mlx_scale,
    own_scale,
    peft_rank,
    peft_scale,
    peft_settings,
)
from blockresearch.weights.stored import Stored, place_of

Group = Mapping[str, Stored]  # parameters of one module and adapter, by their word


@dataclass(frozen=True)
class Recognized:
    """Changes by the name of the tensor they are measured with; reasons by name where none is."""

    changes: Mapping[str, Change]
    reasons: Mapping[str, str]


# PEFT's name of the method, and of its alpha.
PEFT_TYPES = {"LoRA": ("LORA", "lora_alpha"), "LoHa": ("LOHA", "alpha"), "LoKr": ("LOKR", "alpha")}

# Flags of a LoRA config that leave the product as it is.
HARMLESS = ("use_rslora", "use_dora")

UP_AND_DOWN = {
    frozenset({"lora_a", "lora_b"}): ("lora_b", "lora_a"),
    frozenset({"lora_embedding_a", "lora_embedding_b"}): ("lora_embedding_b", "lora_embedding_a"),
    frozenset({"lora_up", "lora_down"}): ("lora_up", "lora_down"),
}


def recognize(tensors: Iterable[Stored], roles: Mapping[str, Role], said: Statements) -> Recognized:
    """The changes that the adapters among `tensors` make."""
    stored = {tensor.name: tensor for tensor in tensors}
    adapted = adapter_names.adapted_modules(stored)
    groups: dict[tuple[str, str], dict[str, Stored]] = {}
    for name, tensor in stored.items():
        found = adapter_names.parameter(name) or adapter_names.beside(name, adapted)
        if found and not name.endswith(".bias"):
            groups.setdefault((found.module, found.adapter), {})[found.word] = tensor
    changes: dict[str, Change] = {}
    reasons: dict[str, str] = {}
    with_alpha = {g["lora_alpha"].shard for g in groups.values() if "lora_alpha" in g}
    for (module, adapter), group in groups.items():
        try:
            owner, change = _change(module, adapter, group, roles, said, with_alpha)
            changes[owner.name] = change
        except Unknown as unknown:
            reasons |= dict.fromkeys((t.name for t in group.values()), f"no delta: {unknown}")
    return Recognized(changes, reasons)


def _change(
    module: str,
    adapter: str,
    group: Group,
    roles: Mapping[str, Role],
    said: Statements,
    with_alpha: Collection[str],
) -> tuple[Stored, Change]:
    """The change of one module, and the factor that it is measured with. Raises Unknown."""
    factors = {word: tensor for word, tensor in group.items() if word != "lora_alpha"}
    methods = {adapter_names.method_of(word) or "" for word in factors}
    if "DoRA" in methods:
        raise Unknown("DoRA's change needs the weight itself, which is not stored here")
    if len(methods) != 1:
        raise Unknown(
            f"its module has parameters of {' and '.join(sorted(methods)) or 'no method'}"
        )
    method = methods.pop()
    if method not in PEFT_TYPES:
        raise Unknown(f"the change that {method} makes is not computed from its parameters")
    for tensor in group.values():
        if DTYPES[tensor.dtype].kind != "float" or DTYPES[tensor.dtype].bits < 8:
            raise Unknown(f"its factors are stored as {tensor.dtype}")
        if not tensor.numel:
            raise Unknown("a factor has no elements")
    if method == "LoRA":
        return _lora(module, adapter, group, factors, roles, said, with_alpha)
    kind = _loha if method == "LoHa" else _lokr
    owner, parts, rank = kind(factors)
    scale = _scale(module, adapter, group, method, rank, said, owner.shard, with_alpha)
    # LyCORIS gives two whole factors the scale 1, whatever alpha is stored.
    return owner, Change(method.lower(), scale, _places(parts, {} if rank is None else group))


def _places(parts: Mapping[str, Stored], group: Group) -> dict[str, Stored]:
    alpha = {"alpha": group["lora_alpha"]} if "lora_alpha" in group else {}
    return {part: place_of(tensor) for part, tensor in {**parts, **alpha}.items()}


def _lora(
    module: str,
    adapter: str,
    group: Group,
    factors: Group,
    roles: Mapping[str, Role],
    said: Statements,
    with_alpha: Collection[str],
) -> tuple[Stored, Change]:
    words = UP_AND_DOWN.get(frozenset(factors))
    if words is None:
        raise Unknown(f"its module has only {' and '.join(sorted(factors))}")
    b, a = (factors[word] for word in words)
    parts = {"a": a, "b": b}
    if b.name.endswith(".lora_b"):
        return b, _mlx(a, b, roles[b.name], group, said)
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise Unknown("its factors are not matrices")
    rows = a.shape[0]
    if b.shape[1] != rows or math.prod(b.shape[2:]) != 1:
        raise Unknown(f"{list(b.shape)} and {list(a.shape)} have no rank in common")
    rank, experts = rows, None
    settings = peft_settings(said, module, b.shard)
    if settings is not None:
        _check_flags(settings[0], "LORA")
        targets = _targets(settings[0], settings[1])
        if targets:
            rank, scale = _of_targets(settings[0], targets)
            if rows % rank:
                raise Unknown(f"its config gives the rank {rank}, stored are {rows} rows")
            experts = rows // rank
            if experts > 1:
                if len(a.shape) != 2 or len(b.shape) != 2 or "lora_alpha" in group:
                    raise Unknown("its factors are not those of a stack of experts")
                return b, Change("lora experts", scale, _places(parts, {}), experts)
    formula = "lora table" if words[0] == "lora_embedding_b" else "lora"
    if formula == "lora table" and len(a.shape) + len(b.shape) != 4:
        raise Unknown("its factors are not matrices")
    scale = _scale(module, adapter, group, "LoRA", rank, said, b.shard, with_alpha)
    return b, Change(formula, scale, _places(parts, group))


def _check_flags(config: Mapping[str, Any], method: str) -> None:
    """Raise Unknown if a PEFT config belongs to another method or changes what the product is."""
    stated = config.get("peft_type", method)
    if stated != method:
        raise Unknown(f"its config is one of {str(stated)[:40]}")
    if method != "LORA":
        return
    if config.get("use_dora") is True:
        raise Unknown("DoRA's change needs the weight itself, which is not stored here")
    for key, value in config.items():
        if key.startswith("use_") and value and key not in HARMLESS:
            raise Unknown(f"its config sets {key[:40]}, which is not read here")


def _targets(config: Mapping[str, Any], key: str) -> list[str]:
    """Keys `<module>.<parameter>` if PEFT adapted bare parameters of a module, else []."""
    listed = config.get("target_parameters")
    names = [n for n in listed if isinstance(n, str)] if isinstance(listed, list) else []
    inner = key
    while inner.endswith(".base_layer"):
        inner = inner.removesuffix(".base_layer")
    found = []
    for name in sorted(set(names)):
        owner, _, leaf = name.rpartition(".")
        full = f"{inner}.{leaf}"
        if full == name or full.endswith(f".{name}") or not owner:
            found.append(full)
    return found


def _of_targets(config: Mapping[str, Any], targets: list[str]) -> tuple[int, float]:
    """Rank and scale of the parameters of one module, if they agree.

    Which wrapper is whose depends on the order in which the model's code defines them.
    """
    ranks = {peft_rank(config, key) for key in targets}
    scales = {peft_scale(config, key, peft_rank(config, key), "lora_alpha") for key in targets}
    if len(ranks) > 1 or len(scales) > 1:
        raise Unknown("its config gives the parameters of this module several ranks or scales")
    return ranks.pop(), scales.pop()


def _mlx(a: Stored, b: Stored, role: Role, group: Group, said: Statements) -> Change:
    """mlx-lm's factors. Raises Unknown."""
    if said.adapter is None:
        raise Unknown("no adapter_config.json states its scale")
    if "lora_alpha" in group or "peft_type" in said.adapter:
        raise Unknown("its config is not one of mlx-lm")
    if len(b.shape) == 3:
        experts, rank = b.shape[0], b.shape[2]
        if a.shape not in ((experts * rank, a.shape[-1]), (experts, rank, a.shape[-1])):
            raise Unknown(f"{list(b.shape)} and {list(a.shape)} have no rank in common")
        scale = mlx_scale(said.adapter, rank)
        return Change("mlx experts", scale, _places({"a": a, "b": b}, {}), experts)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise Unknown(f"{list(b.shape)} and {list(a.shape)} have no rank in common")
    formula = "mlx table" if role.block_type == "embedding" else "mlx"
    scale = mlx_scale(said.adapter, b.shape[0])
    return Change(formula, scale, _places({"a": a, "b": b}, {}))


def _loha(group: Group) -> tuple[Stored, Group, int]:
    """The factor that LoHa's change is measured with, all factors, and its rank."""
    parts = {word.removeprefix("hada_"): tensor for word, tensor in group.items()}
    names = {"w1_a", "w1_b", "w2_a", "w2_b"}
    core = {"t1", "t2"} & set(parts)
    if set(parts) not in (names, names | {"t1", "t2"}):
        raise Unknown(f"its module has only {' and '.join(sorted(group))}")
    shapes = {part: tensor.shape for part, tensor in parts.items()}
    if core:
        fits = _fits_core(shapes, "t1", "w1") and _fits_core(shapes, "t2", "w2")
        fits &= shapes["t1"][2:] == shapes["t2"][2:]
        rank = shapes["t1"][0]
        fits &= shapes["w1_a"][1:] == shapes["w2_a"][1:] and shapes["w1_b"] == shapes["w2_b"]
    else:
        fits = all(len(shape) > 1 for shape in shapes.values()) and all(
            len(shapes[f"w{n}_a"]) == 2 and shapes[f"w{n}_a"][1] == shapes[f"w{n}_b"][0]
            for n in (1, 2)
        )
        fits = fits and shapes["w1_a"][0] == shapes["w2_a"][0]
        fits = fits and shapes["w1_b"][1:] == shapes["w2_b"][1:]
        rank = shapes["w1_b"][0] if shapes["w1_b"] else 0
    if not fits:
        raise Unknown("the shapes of its factors do not fit each other")
    return parts["w1_a"], parts, rank


def _fits_core(shapes: Mapping[str, tuple[int, ...]], core: str, factor: str) -> bool:
    """Whether [r, out] and [s, in] fit a core [r, s, …]."""
    out, into, middle = shapes[f"{factor}_a"], shapes[f"{factor}_b"], shapes[core]
    flat = len(out) == len(into) == 2 and len(middle) > 2
    return flat and (out[0], into[0]) == middle[:2]


def _lokr(group: Group) -> tuple[Stored, Group, int | None]:
    """The same of LoKr; the rank is None if neither factor is a product."""
    parts = {word.removeprefix("lokr_"): tensor for word, tensor in group.items()}
    shapes = {part: tensor.shape for part, tensor in parts.items()}
    rest = set(parts)
    ranks = set()
    for n in (1, 2):
        whole, product = {f"w{n}"}, {f"w{n}_a", f"w{n}_b"}
        if whole <= rest:
            rest -= whole
            fits = len(shapes[f"w{n}"]) > 1
        elif product <= rest:
            rest -= product
            a, b = shapes[f"w{n}_a"], shapes[f"w{n}_b"]
            if "t2" in rest and n == 2:
                rest -= {"t2"}
                fits = _fits_core(shapes, "t2", "w2")
            else:
                fits = len(a) == 2 and len(b) > 1 and a[1] == b[0]
            ranks |= {b[0]} if b else set()
        else:
            raise Unknown(f"its module has only {' and '.join(sorted(group))}")
        if not fits or (n == 1 and any(len(shapes.get(p, (1, 1))) != 2 for p in whole | product)):
            raise Unknown("the shapes of its factors do not fit each other")
    if rest or len(ranks) > 1:
        raise Unknown("the shapes of its factors do not fit each other")
    owner = parts.get("w2") or parts["w2_a"]
    return owner, parts, ranks.pop() if ranks else None


def _scale(
    module: str,
    adapter: str,
    group: Group,
    method: str,
    rank: int | None,
    said: Statements,
    shard: str,
    with_alpha: Collection[str],
) -> float:
    """Factor of the product, without what a tensor `alpha` gives. Raises Unknown."""
    alpha = group.get("lora_alpha")
    settings = peft_settings(said, module, shard)
    if settings is not None:
        if alpha is not None:
            raise Unknown("both a tensor and a config state its alpha")
        config, key = settings
        peft_type, alpha_key = PEFT_TYPES[method]
        _check_flags(config, peft_type)
        stated = peft_rank(config, key)
        if rank is not None and stated != rank:
            raise Unknown(f"its config gives the rank {stated}, stored is {rank}")
        return peft_scale(config, key, stated, alpha_key)
    if alpha is not None:
        if alpha.numel != 1:
            raise Unknown(f"its alpha has the shape {list(alpha.shape)}")
        return 1.0 if rank is None else 1 / rank
    own = own_scale(said.config, adapter, rank or 0)
    if own is not None:
        return own
    # Loaders differ in what a missing alpha means only if other modules have one.
    is_plain = shard.rpartition("/")[2] == DIFFUSERS_FILE or "lora_up" in group
    if is_plain and method == "LoRA" and shard not in with_alpha:
        return 1.0
    raise Unknown("nothing states its scale")
