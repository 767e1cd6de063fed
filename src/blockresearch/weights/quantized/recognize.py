"""Recognize quantized weights by names, types, shapes and the configuration.

A quantized weight is stored as one tensor of codes, its owner, and companions beside it (scales,
zero points …), possibly in another shard. SCHEMES is the registry: to add a scheme, write its file
(see `scheme`) and add a row here.

A scheme is accepted if names and types are its own, sizes agree, and the config does not contradict
it. If several readings fit, the weight is unsupported, never read by the first. Companions stay
companions, whatever becomes of their owner.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blockresearch.naming import patterns
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import (
    awq,
    bitsandbytes4,
    bitsandbytes8,
    fp8,
    gptq,
    int8,
    mlx,
    mxfp4,
    nvfp4,
    pack_quantized,
    torchao,
)
from blockresearch.weights.quantized.scheme import (
    Format,
    Found,
    NotDecoded,
    ReadSmall,
    Scheme,
    SchemeFile,
    Tensor,
    Unfit,
)
from blockresearch.weights.quantized.settings import method_of, quantization_config
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.undecoded import OTHER_METHODS, undecoded_method

SCHEMES: tuple[SchemeFile, ...] = (
    gptq,
    awq,
    pack_quantized,
    mxfp4,
    nvfp4,
    bitsandbytes4,
    bitsandbytes8,
    mlx,
    fp8,
    int8,
    torchao,
)

INTEGERS = frozenset({"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})

# How the names of codes end, for the owner of a companion.
CODES = (
    *("", ".weight", ".qweight", ".weight_packed", "_packed", "_blocks", "._weight_qdata"),
    *(".compressed", ".weight.compressed", ".W_q", ".codes", ".q_weight", ".indices", ".trellis"),
    *(".dense_weights", ".Qidxs", ".B"),
)

# Parameters of undecoded schemes, beside their codes.
SCALE_LIKE = re.compile(
    r"scale|zero|absmax|quant_map|codebook|centroid|^meta$|^SCB$|^su$|^sv$|biases"
)

# How the reasons begin of weights whose companions cannot belong to them, by shape and by content.
DOES_NOT_FIT = "quantized storage that does not fit its scheme"

CONTRADICTORY = "contradictory"


@dataclass(frozen=True)
class Recognized:
    """Quantized weights of a checkpoint by name; `owners` maps a companion to its weight, and
    `unsupported` a tensor to the reason why it is not decoded."""

    schemes: dict[str, Scheme]
    owners: dict[str, str]
    unsupported: dict[str, str]


def decoder(formula: str) -> Callable[[Source], Grid]:
    """The function that opens weights of a formula, as a scheme's file names it."""
    return next(file.FORMULAS[formula] for file in SCHEMES if formula in file.FORMULAS)


def recognize(
    tensors: Iterable[Tensor],
    config: Mapping[str, Any],
    read_small: ReadSmall | None = None,
) -> Recognized:
    """Quantized weights among all tensors of a checkpoint, with config.json's settings.

    `read_small` returns the bytes of a small tensor (shapes, states) by its name; it is asked only
    if headers leave several readings. Without it such weights are unsupported.
    """
    stored = {tensor[0]: tensor for tensor in tensors}
    settings = quantization_config(config)
    method = method_of(settings)
    schemes: dict[str, Scheme] = {}
    owners: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    modules = _modules(stored.values())
    for tensor in stored.values():
        beside = modules[_module(tensor[0])]
        found, reason = _match(tensor, stored, settings, method, beside, read_small)
        if found:
            schemes[tensor[0]] = found
            owners |= {name: tensor[0] for name in found.companions.values()}
        elif reason:
            unsupported[tensor[0]] = reason
    for name in owners:
        unsupported.pop(name, None)
    quantized = {_module(name): name for name in (*unsupported, *schemes)}
    for name, shape, dtype in stored.values():
        if name in schemes or name in owners or name in unsupported:
            continue
        owner = _owner(name, dtype, stored, quantized, schemes, unsupported)
        if owner:
            owners[name] = owner
        elif dtype in INTEGERS and len(shape) > 1 and name.endswith(("weight", "_packed")):
            beside = modules[_module(name)]
            if method or any(SCALE_LIKE.search(leaf) for leaf in beside):
                how = f" by {OTHER_METHODS.get(method, method)}" if method else ""
                unsupported[name] = (
                    f"quantized{how} in a layout that is not decoded ({dtype} codes)"
                )
                quantized[_module(name)] = name
    return Recognized(schemes, owners, unsupported)


def _match(
    tensor: Tensor,
    stored: Mapping[str, Tensor],
    config: Mapping[str, Any],
    method: str,
    beside: list[str],
    read_small: ReadSmall | None,
) -> tuple[Scheme | None, str]:
    """The scheme that fits the tensor as its codes; else why none that it looks like does."""
    name, shape, dtype = tensor
    reasons: list[str] = []
    undecoded: list[str] = []
    schemes: list[Scheme] = []
    for row in _formats(dtype):
        if not name.endswith(row.codes) or len(shape) < 2 or 0 in shape:
            continue
        stem = name.removesuffix(row.codes)
        needed = {role: stored.get(stem + end) for role, end in row.needed.items()}
        if None in needed.values():
            if row.codes and any(needed.values()):
                absent = [stem + row.needed[role] for role, other in needed.items() if not other]
                reasons.append(f"{' and '.join(absent)} missing")
            continue
        by_role = needed | {role: stored.get(stem + end) for role, end in row.optional.items()}
        present = {role: other for role, other in by_role.items() if other}
        try:
            kind, formula, logical, settings = row.read(
                Found(tensor, present, config, stem, read_small)
            )
        except Unfit as error:
            reasons.append(str(error))
        except NotDecoded as error:
            undecoded.append(str(error))
        else:
            names = {role: other[0] for role, other in present.items()}
            schemes.append(Scheme(kind, formula, logical, names, settings))
    known = OTHER_METHODS.get(method) if schemes or reasons or undecoded else None
    known = known or undecoded_method(name, beside) or (undecoded[0] if undecoded else None)
    if known and not (schemes and known not in OTHER_METHODS.values()):
        return None, f"quantized by {known}, which is not decoded"
    if not schemes:
        return None, f"{DOES_NOT_FIT}: {max(reasons, key=len)}" if reasons else ""
    found, why = _only(schemes)
    if found and not name.endswith(".weight") and f"{_module(name)}.weight" in stored:
        found, why = None, f"{_module(name)}.weight is stored as well"
    return found, f"{DOES_NOT_FIT}: {why}" if why else ""


def _only(schemes: list[Scheme]) -> tuple[Scheme | None, str]:
    """The one reading that uses most of the companions; else why there is none."""
    most = max(schemes, key=lambda scheme: len(scheme.companions))
    names = set(most.companions.values())
    for other in schemes:
        others = set(other.companions.values())
        if not others <= names:
            claims = f"both {_listed(names - others)} and {_listed(others - names)} claim it"
            return None, claims
        if others == names and (other.method, other.shape) != (most.method, most.shape):
            return None, f"it may be {most.method} or {other.method}"
    return most, ""


def _formats(dtype: str) -> list[Format]:
    """The rows of the registry for codes of a type."""
    return [row for file in SCHEMES for row in file.FORMATS if dtype in row.dtypes]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _owner(
    name: str,
    dtype: str,
    stored: Mapping[str, Tensor],
    quantized: Mapping[str, str],
    *owners: Mapping[str, Any],
) -> str | None:
    """The weight that a tensor helps with, None for a tensor of its own."""
    of_module = quantized.get(_module(name))
    strict = patterns.COMPANION.search(name)
    suffix = strict or patterns.COMPANION_OF_CODES.search(name)
    if suffix:
        stem = name[: suffix.start()]
        for end in CODES:
            if any(stem + end in some for some in owners):
                return stem + end
        if strict:
            return of_module or next((n for n in (f"{stem}.weight", stem) if n in stored), stem)
    leaf = name.rpartition(".")[2]
    helps = SCALE_LIKE.search(leaf) or dtype in INTEGERS or dtype == "BOOL"
    return of_module if of_module and not _is_bare(of_module) and helps else None


def _is_bare(name: str) -> bool:
    """Whether a parameter shares its module with others, as stacks of experts do."""
    return not any(name.endswith(end) for end in CODES if end.startswith("."))


def _module(name: str) -> str:
    """The module of a tensor: bitsandbytes puts companions below the weight's name."""
    module = name.rpartition(".")[0]
    return module.removesuffix(".quant_state").removesuffix(".weight")


def _modules(tensors: Iterable[Tensor]) -> dict[str, list[str]]:
    """Last segments of the names in each module."""
    modules: dict[str, list[str]] = {}
    for name, _, _ in tensors:
        modules.setdefault(_module(name), []).append(name.rpartition(".")[2])
    return modules
