"""Which stored tensors are the factors of a weight's change, and how it is made from them.

`recognize` sorts the parameters of each adapted module. Its result has, for each parameter, the
change (at one factor of each module) or the reason why there is none: the method's change needs
more than is stored (the weight itself, shared projections), or something is missing or contradicts.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from blockresearch.naming import adapter_names
from blockresearch.naming.roles import Role
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.weights.adapters import scaling
from blockresearch.weights.adapters.change import Change
from blockresearch.weights.adapters.scaling import PEFT_TYPES, Statements, Unknown
from blockresearch.weights.stored import Stored, place_of

# diffusers gives this name to a file whose scales are 1 unless it says otherwise.
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"

UP_AND_DOWN = {
    frozenset({"lora_a", "lora_b"}): ("lora_b", "lora_a"),
    frozenset({"lora_embedding_a", "lora_embedding_b"}): ("lora_embedding_b", "lora_embedding_a"),
    frozenset({"lora_up", "lora_down"}): ("lora_up", "lora_down"),
    frozenset({"lora_up", "lora_down", "lora_mid"}): ("lora_up", "lora_down"),
}

DO_NOT_FIT = "the shapes of its factors do not fit each other"

ASSUMED = "its delta has the scale 1: no alpha is stored"


@dataclass(frozen=True)
class Recognized:
    """What is known about the parameters of adapters.

    changes   the changes, by the name of the tensor that they are measured with
    notes     why there is none, or what was assumed, by the name of the tensor
    """

    changes: Mapping[str, Change]
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Module:
    """The parameters that one adapter has for one module, by their word."""

    name: str
    adapter: str
    parameters: Mapping[str, Stored]

    @property
    def alpha(self) -> Stored | None:
        return self.parameters.get("lora_alpha")

    @property
    def factors(self) -> dict[str, Stored]:
        return {word: t for word, t in self.parameters.items() if word != "lora_alpha"}

    @property
    def words(self) -> str:
        return " and ".join(sorted(self.factors))


@dataclass(frozen=True)
class Product:
    """How the change of a module is made from its factors, apart from the scale.

    owner     the factor that it is measured with
    parts     all factors, by their part in the formula
    rank      of the factors, None if none of them is a product of two
    experts   how many, if the shapes show a stack of them
    """

    formula: str
    owner: Stored
    parts: Mapping[str, Stored]
    rank: int | None
    experts: int | None = None

    def change(self, scale: float, alpha: Stored | None = None) -> Change:
        factors = {**self.parts, **({"alpha": alpha} if alpha else {})}
        places = {part: place_of(tensor) for part, tensor in factors.items()}
        return Change(self.formula, scale, places, self.experts)


def recognize(
    tensors: Iterable[Stored],
    roles: Mapping[str, Role],
    said: Statements,
    codes: Set[str] = frozenset(),
) -> Recognized:
    """The changes that the adapters among `tensors` make; `codes` are names of quantized ones."""
    modules = _modules(tensors)
    alike = _alike(modules)
    changes: dict[str, Change] = {}
    notes: dict[str, str] = {}
    for module in modules:
        try:
            product = _product(module, roles, codes)
            change = _stated(module, product, said)
            if change is None:
                change = _scaled_by_one(module, product, alike)
                notes[product.owner.name] = ASSUMED
            changes[product.owner.name] = change
        except Unknown as unknown:
            names = (tensor.name for tensor in module.parameters.values())
            notes |= dict.fromkeys(names, f"no delta: {unknown}")
    return Recognized(changes, notes)


def _modules(tensors: Iterable[Stored]) -> list[Module]:
    stored = {tensor.name: tensor for tensor in tensors}
    adapted = adapter_names.adapted_modules(stored)
    groups: dict[tuple[str, str], dict[str, Stored]] = {}
    for name, tensor in stored.items():
        found = adapter_names.parameter(name) or adapter_names.beside(name, adapted)
        if found and not name.endswith(".bias"):
            groups.setdefault((found.module, found.adapter), {})[found.word] = tensor
    return [Module(*key, group) for key, group in groups.items()]


def _product(module: Module, roles: Mapping[str, Role], codes: Set[str]) -> Product:
    """How the factors of a module are multiplied, by names and shapes. Raises Unknown."""
    methods = {adapter_names.method_of(word) or "" for word in module.factors}
    # Some methods have more parameters beside LoRA's own.
    methods -= {"LoRA"} if len(methods) > 1 else set()
    if "DoRA" in methods:
        raise Unknown(scaling.DORA)
    if len(methods) != 1:
        stated = " and ".join(sorted(methods)) or "no method"
        raise Unknown(f"its module has parameters of {stated}")
    method = methods.pop()
    if method not in PEFT_TYPES:
        raise Unknown(f"the change that {method} makes is not computed from its parameters")
    for tensor in module.factors.values():
        if tensor.name in codes:
            raise Unknown("its factors are quantized")
        if DTYPES[tensor.dtype].kind != "float" or DTYPES[tensor.dtype].bits < 8:
            raise Unknown(f"its factors are stored as {tensor.dtype}")
        if not tensor.numel:
            raise Unknown("a factor has no elements")
    if method == "LoHa":
        return _loha(module)
    return _lokr(module) if method == "LoKr" else _lora(module, roles)


def _lora(module: Module, roles: Mapping[str, Role]) -> Product:
    words = UP_AND_DOWN.get(frozenset(module.factors))
    if words is None:
        raise Unknown(f"its module has only {module.words}")
    b, a = (module.factors[word] for word in words)
    parts = {"a": a, "b": b}
    # mlx-lm alone writes these in lower case, and stores transposes.
    if b.name.endswith(".lora_b"):
        return _mlx(parts, roles[b.name])
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise Unknown("its factors are not matrices")
    if "lora_mid" in module.factors:
        core = module.factors["lora_mid"]
        if len(core.shape) < 3 or core.shape[:2] != (b.shape[1], a.shape[0]):
            raise Unknown(DO_NOT_FIT)
        if math.prod(a.shape[2:]) * math.prod(b.shape[2:]) != 1:
            raise Unknown(DO_NOT_FIT)
        return Product("lora kernel", b, parts | {"core": core}, a.shape[0])
    if b.shape[1] != a.shape[0] or math.prod(b.shape[2:]) != 1:
        raise Unknown(f"{list(b.shape)} and {list(a.shape)} have no rank in common")
    if words[0] != "lora_embedding_b":
        return Product("lora", b, parts, a.shape[0])
    if len(a.shape) + len(b.shape) != 4:
        raise Unknown("its factors are not matrices")
    return Product("lora table", b, parts, a.shape[0])


def _mlx(parts: Mapping[str, Stored], role: Role) -> Product:
    a, b = parts["a"], parts["b"]
    no_rank = f"{list(b.shape)} and {list(a.shape)} have no rank in common"
    if len(b.shape) == 3 and len(a.shape) in (2, 3):
        experts, rank = b.shape[0], b.shape[2]
        if a.shape not in ((experts * rank, a.shape[-1]), (experts, rank, a.shape[-1])):
            raise Unknown(no_rank)
        return Product("mlx experts", b, parts, rank, experts)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise Unknown(no_rank)
    formula = "mlx table" if role.block_type == "embedding" else "mlx"
    return Product(formula, b, parts, b.shape[0])


def _loha(module: Module) -> Product:
    parts = {word.removeprefix("hada_"): tensor for word, tensor in module.factors.items()}
    names = {"w1_a", "w1_b", "w2_a", "w2_b"}
    if set(parts) not in (names, names | {"t1", "t2"}):
        raise Unknown(f"its module has only {module.words}")
    shapes = {part: tensor.shape for part, tensor in parts.items()}
    fits = all(_fit(shapes, f"w{n}", f"t{n}") for n in (1, 2))
    # Both products have the shape of the weight.
    out = 1 if "t1" in parts else 0
    fits = fits and shapes["w1_a"][out] == shapes["w2_a"][out]
    fits = fits and shapes["w1_b"][1:] == shapes["w2_b"][1:]
    fits = fits and shapes.get("t1", ())[2:] == shapes.get("t2", ())[2:]
    if not fits:
        raise Unknown(DO_NOT_FIT)
    return Product("loha", parts["w1_a"], parts, shapes["w1_b"][0])


def _lokr(module: Module) -> Product:
    parts = {word.removeprefix("lokr_"): tensor for word, tensor in module.factors.items()}
    shapes = {part: tensor.shape for part, tensor in parts.items()}
    whole = [part for part in ("w1", "w2") if part in parts]
    made = [part for part in ("w1", "w2") if part not in parts]
    needed = {*whole, *(f"{part}_{side}" for part in made for side in "ab")}
    if "w2" in made:
        needed |= {"t2"} & set(parts)
    if set(parts) != needed:
        raise Unknown(f"its module has only {module.words}")
    fits = all(len(shapes[part]) > 1 for part in whole)
    fits = fits and all(_fit(shapes, part, "t2" if part == "w2" else "") for part in made)
    ranks = {shapes[f"{part}_b"][0] for part in made} if fits else set()
    # The first factor has no kernel: it is a plain matrix.
    first = parts.get("w1") or parts["w1_b"]
    if not fits or len(first.shape) != 2 or len(ranks) > 1:
        raise Unknown(DO_NOT_FIT)
    owner = parts.get("w2") or parts["w2_a"]
    return Product("lokr", owner, parts, ranks.pop() if ranks else None)


def _fit(shapes: Mapping[str, tuple[int, ...]], factor: str, core: str) -> bool:
    """Whether a [out, r] · b [r, in, …], or a [r, out] and b [s, in] around a core [r, s, …]."""
    a, b = shapes[f"{factor}_a"], shapes[f"{factor}_b"]
    if core not in shapes:
        return len(a) == 2 and len(b) > 1 and a[1] == b[0]
    middle = shapes[core]
    return len(a) == len(b) == 2 and len(middle) > 2 and (a[0], b[0]) == middle[:2]


def _stated(module: Module, product: Product, said: Statements) -> Change | None:
    """The change with its stated scale; None if no file states anything. Raises Unknown."""
    alpha, rank = module.alpha, product.rank
    if product.formula.startswith("mlx"):
        if said.adapter is None:
            raise Unknown("no adapter_config.json states its scale")
        if alpha is not None or "peft_type" in said.adapter:
            raise Unknown("its config is not one of mlx-lm")
        return product.change(scaling.mlx_scale(said.adapter, rank or 0))
    settings = scaling.peft_settings(said, module.name, product.owner.shard)
    if settings is not None:
        if alpha is not None:
            raise Unknown("both a tensor and a config state its alpha")
        return _peft(product, *settings)
    if alpha is not None:
        if alpha.numel != 1 or DTYPES[alpha.dtype].bits < 8:
            raise Unknown(f"its alpha has the shape {list(alpha.shape)} and type {alpha.dtype}")
        # LyCORIS gives two whole factors the scale 1, whatever alpha is stored.
        return product.change(1.0) if rank is None else product.change(1 / rank, alpha)
    own = scaling.own_scale(said.config, module.adapter, rank or 0)
    return None if own is None else product.change(own)


def _peft(product: Product, config: Mapping[str, Any], key: str) -> Change:
    method = {"loha": "LoHa", "lokr": "LoKr"}.get(product.formula, "LoRA")
    scaling.check_method(config, method)
    rows = product.parts["a"].shape[0] if method == "LoRA" else 0
    keys = scaling.targets(config, key, rows) if method == "LoRA" else []
    if keys:
        rank, scale = scaling.targets_rank(config, keys)
        if rows % rank:
            raise Unknown(f"its config gives the rank {rank}, stored are {rows} rows")
        if rows == rank:
            return product.change(scale)
        if product.formula != "lora" or any(len(t.shape) != 2 for t in product.parts.values()):
            raise Unknown("its factors are not those of a stack of experts")
        return replace(product, formula="lora experts", experts=rows // rank).change(scale)
    rank = scaling.peft_rank(config, key)
    if product.rank not in (None, rank):
        raise Unknown(f"its config gives the rank {rank}, stored is {product.rank}")
    if method == "LoKr" and "w2" in product.parts and len(product.parts["w2"].shape) == 3:
        product = replace(product, formula="lokr line")
    return product.change(scaling.peft_scale(config, key, rank, PEFT_TYPES[method][1]))


def _scaled_by_one(module: Module, product: Product, alike: Collection[str]) -> Change:
    """The change with the scale 1, as loaders of image models read factors without an alpha.

    They differ if ranks do or if other modules have one: diffusers gives the alpha of one module to
    others, ComfyUI does not. Raises Unknown then.
    Source: diffusers 0.36.0 utils/peft_utils.py `get_peft_kwargs`; comfy/weight_adapter/lora.py.
    """
    shard = product.owner.shard
    is_theirs = shard.rpartition("/")[2] == DIFFUSERS_FILE or "lora_up" in module.factors
    if product.formula == "lora" and is_theirs and shard in alike:
        return product.change(1.0)
    raise Unknown("nothing states its scale")


def _alike(modules: Iterable[Module]) -> set[str]:
    """Shards whose modules have no alpha and factors of one rank."""
    ranks: dict[str, set[int | None]] = {}
    for module in modules:
        for word, tensor in module.parameters.items():
            if word in ("lora_down", "lora_a"):
                ranks.setdefault(tensor.shard, set()).add(next(iter(tensor.shape), None))
            elif word == "lora_alpha":
                ranks.setdefault(tensor.shard, set()).update((None, 0))
    return {shard for shard, found in ranks.items() if len(found) == 1}
