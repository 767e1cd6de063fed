"""Recognize quantized weights by names, types and shapes; the config settles what these leave open.

A quantized weight is stored as one tensor of codes, its owner, and companions beside it (scales,
zero points …), possibly in another shard. FORMATS lists the schemes in the order in which they are
tried: which tensors make one up, and the function of `source` that reads the settings off
their shapes. To add a scheme, add a row with its function, and its arithmetic to `grids`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from blockresearch.weights.quantized.bitsandbytes import bitsandbytes4, bitsandbytes8
from blockresearch.weights.quantized.float4 import blocks, packed_float4
from blockresearch.weights.quantized.gptq_awq import gptq_or_awq
from blockresearch.weights.quantized.mlx import mlx
from blockresearch.weights.quantized.packed import packed_integers
from blockresearch.weights.quantized.scaled import float8, int8, torchao_integers
from blockresearch.weights.quantized.source import Found, Settings, Tensor, Unfit

FLOAT8 = {"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}

INTEGERS = {"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}


@dataclass(frozen=True)
class Scheme:
    """How one weight is stored.

    `method` is what tables call it, `formula` the key of `grids.FORMULAS`. `shape` is the logical
    shape in the model's orientation as far as headers tell. `companions` maps roles to names.
    """

    method: str
    formula: str
    shape: tuple[int, ...]
    companions: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recognized:
    """Quantized weights of a checkpoint by name; `owners` maps a companion to its weight, and
    `unsupported` a tensor to the reason why it is not decoded."""

    schemes: dict[str, Scheme]
    owners: dict[str, str]
    unsupported: dict[str, str]


class Format(NamedTuple):
    """A scheme: the end of the name of its codes, their types, the ends that stand in its place in
    the names of companions (by role), and the function that reads its settings."""

    codes: str
    dtypes: set[str]
    needed: dict[str, str]
    optional: dict[str, str]
    read: Callable[[Found], Settings]


def _bitsandbytes_row(kind: str) -> Format:
    needed = {"absmax": ".absmax", "quant_map": ".quant_map"}
    nested = {"nested_absmax": ".nested_absmax", "nested_quant_map": ".nested_quant_map"}
    state = {"quant_state": f".quant_state.bitsandbytes__{kind}"}
    return Format("", {"U8"}, needed | state, nested, bitsandbytes4)


# `proj.weight` and bare parameters such as `experts.gate_up_proj` alike.
_SCALES = ("_scale_inv", "_scale", "_weight_scale", "_weight_scale_inv")

_SCALES_OF_MODULE = (".qscale_weight", ".scale_weight", ".scale")

_PACKED = "weight_packed"

FORMATS = (
    Format(
        ".qweight",
        {"I32", "U32"},
        {"scale": ".scales", "zeros": ".qzeros"},
        {"g_idx": ".g_idx"},
        gptq_or_awq,
    ),
    Format(
        _PACKED,
        {"U8", "I8"},
        {"scale": "weight_scale"},
        {"global_scale": "weight_global_scale"},
        packed_float4,
    ),
    Format(
        _PACKED,
        {"I32"},
        {"scale": "weight_scale"},
        {"zeros": "weight_zero_point", "g_idx": "weight_g_idx", "shape": "weight_shape"},
        packed_integers,
    ),
    Format("_blocks", {"U8"}, {"scale": "_scales"}, {}, blocks),
    _bitsandbytes_row("nf4"),
    _bitsandbytes_row("fp4"),
    Format(".weight", {"I8"}, {"scb": ".SCB"}, {}, bitsandbytes8),
    Format(".weight", {"U32"}, {"scale": ".scales"}, {"biases": ".biases"}, mlx),
    *(
        Format("", {"U8", "F4"}, {"scale": scale, "scale_2": scale + "_2"}, {}, packed_float4)
        for scale in _SCALES
    ),
    *(Format("", {"F4"}, {"scale": scale}, {}, packed_float4) for scale in _SCALES),
    *(Format("", FLOAT8, {"scale": scale}, {}, float8) for scale in _SCALES),
    *(Format(".weight", FLOAT8, {"scale": scale}, {}, float8) for scale in _SCALES_OF_MODULE),
    *(Format("", {"I8"}, {"scale": scale}, {"zeros": "_zero_point"}, int8) for scale in _SCALES),
    Format(".weight", {"I8"}, {"scale": ".scale"}, {}, int8),
    Format("._weight_qdata", FLOAT8, {"scale": "._weight_scale"}, {}, float8),
    Format(
        "._weight_qdata",
        {"I8"},
        {"scale": "._weight_scale"},
        {"zeros": "._weight_zero_point"},
        torchao_integers,
    ),
)

# Tensors that help with a quantized weight or a quantized cache and are no weights themselves.
SERVANTS = re.compile(
    r"(?:[._](?:input_scale(?:_2)?|input_global_scale|input_zero_point|activation_scale"
    r"|output_scale|[kvq]_scale|[kv]_zero_point|qscale_act|scale_input)"
    r"|\.(?:weight_format|weight_scale_inv|weight_scale(?:_2)?|weight_global_scale|weight_shape"
    r"|weight_zero_point|weight_g_idx|SCB|qzeros|g_idx|quant_map|absmax|nested_absmax"
    r"|nested_quant_map|quant_state\.bitsandbytes__\w+))$"
)

# Codes of schemes that are known but not decoded: codebooks, entropy coding, subclass pieces.
UNDECODED = (
    ("HQQ", re.compile(r"\.W_q$")),
    ("AQLM", re.compile(r"\.codes$")),
    ("VPTQ", re.compile(r"\.indices$")),
    ("QuIP#", re.compile(r"\.Qidxs\w*$")),
    ("EXL2", re.compile(r"\.q_weight$")),
    ("EXL3", re.compile(r"\.trellis$")),
    ("SpQR", re.compile(r"\.dense_weights$")),
    ("torchao or quanto", re.compile(r"(?:\.weight\._data|weight:_data|_weight_qdata|:qdata)")),
)

# What codes are called inside their module.
OWNERS = (
    *(".weight", ".qweight", ".weight_packed", ".W_q", ".codes", ".q_weight", ".indices"),
    *(".trellis", ".dense_weights", ".Qidxs", "._weight_qdata"),
)

SCALE_LIKE = re.compile(
    r"scale|zero|absmax|quant_map|codebook|centroid|^meta$|^SCB$|^su$|^sv$|biases"
)


def recognize(tensors: Iterable[Tensor], config: Mapping[str, Any]) -> Recognized:
    """Quantized weights among all tensors of a checkpoint, with config.json's settings."""
    stored = {tensor[0]: tensor for tensor in tensors}
    settings = quantization_config(config)
    method = str(settings.get("quant_method") or settings.get("mode") or "")[:40]
    schemes: dict[str, Scheme] = {}
    owners: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    modules: dict[str, list[str]] | None = None
    for tensor in stored.values():
        found, reason = _match(tensor, stored, settings)
        if found:
            schemes[tensor[0]] = found
            owners |= {name: tensor[0] for name in found.companions.values()}
        elif reason:
            unsupported[tensor[0]] = reason
    for name, shape, dtype in stored.values():
        if name in schemes or name in owners or name in unsupported:
            continue
        known = next((label for label, codes in UNDECODED if codes.search(name)), None)
        packed = dtype in INTEGERS and len(shape) > 1 and name.endswith(("weight", "_packed"))
        if modules is None and (known or packed):
            modules = _modules(stored)
        beside = modules[_module(name)] if modules else []
        if known and len(beside) > 1:
            unsupported[name] = f"quantized by {known}, which is not decoded"
        elif packed and (method or any(SCALE_LIKE.search(other) for other in beside)):
            how = f" by {method}" if method else ""
            unsupported[name] = f"quantized{how} in a layout that is not decoded ({dtype} codes)"
    for name in stored:
        if name in schemes or name in owners or name in unsupported:
            continue
        owner = _owner(name, schemes, unsupported)
        if owner:
            owners[name] = owner
    return Recognized(schemes, owners, unsupported)


# How the reasons begin of weights whose companions cannot belong to them, by shape and by content.
DOES_NOT_FIT = "quantized storage that does not fit its scheme"

CONTRADICTORY = "contradictory"


def _match(
    tensor: Tensor, stored: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[Scheme | None, str]:
    """The first scheme that fits the tensor as its codes; else why none that it looks like does."""
    name, shape, dtype = tensor
    if dtype not in INTEGERS and dtype not in FLOAT8 and dtype != "F4":
        return None, ""
    reason, schemes = "", []
    for row in FORMATS:
        if dtype not in row.dtypes or not name.endswith(row.codes):
            continue
        if len(shape) < 2 or 0 in shape:
            continue
        stem = name.removesuffix(row.codes)
        needed = {role: stored.get(stem + end) for role, end in row.needed.items()}
        if None in needed.values():
            if row.codes and any(needed.values()):
                absent = [stem + row.needed[role] for role, other in needed.items() if not other]
                reason = reason or f"{DOES_NOT_FIT}: {' and '.join(absent)} missing"
            continue
        by_role = needed | {role: stored.get(stem + end) for role, end in row.optional.items()}
        found = Found(tensor, {role: other for role, other in by_role.items() if other}, config)
        try:
            method, formula, logical, settings = row.read(found)
        except Unfit as error:
            reason = reason or f"{DOES_NOT_FIT}: {error}"
            continue
        names = {role: t[0] for role, t in found.by_role.items()}
        schemes.append(Scheme(method, formula, logical, names, settings))
    for other in schemes[1:]:
        one, two = set(schemes[0].companions.values()), set(other.companions.values())
        if not (one <= two or two <= one):
            claims = f"both {_listed(one - two)} and {_listed(two - one)} claim it"
            return None, f"{DOES_NOT_FIT}: {claims}"
    if schemes and not name.endswith(".weight") and f"{_module(name)}.weight" in stored:
        return None, f"{DOES_NOT_FIT}: {_module(name)}.weight is stored as well"
    return (schemes[0], "") if schemes else (None, reason)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _owner(name: str, *owners: Mapping[str, Any]) -> str | None:
    """The weight that a tensor helps with, where its name says that it helps."""
    module = _module(name)
    of_module = next(
        (module + end for end in OWNERS if any(module + end in some for some in owners)), None
    )
    if of_module and SCALE_LIKE.search(name.rpartition(".")[2]):
        return of_module
    if SERVANTS.search(name):
        return of_module or SERVANTS.sub("", name)
    return None


def _module(name: str) -> str:
    """The module of a tensor: bitsandbytes puts companions below the weight's name."""
    module = name.rpartition(".")[0]
    return module.removesuffix(".quant_state").removesuffix(".weight")


def _modules(stored: Iterable[str]) -> dict[str, list[str]]:
    modules: dict[str, list[str]] = {}
    for name in stored:
        modules.setdefault(_module(name), []).append(name.rpartition(".")[2])
    return modules


def quantization_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of quantization in config.json, {} where there are none."""
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            for key in ("quantization_config", "quantization", "compression_config"):
                if isinstance(part.get(key), Mapping):
                    return part[key]
    return {}
