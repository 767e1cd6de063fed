"""Recognise quantised weights by names, types and shapes; the config settles what these leave open.

A quantised weight is stored as one tensor of codes, its owner, and companions beside it (scales,
zero points …), possibly in another shard. FORMATS lists the schemes in the order in which they are
tried: which tensors make one up, and the function that reads the settings off their shapes. To add
a scheme, add a row with its function, and its arithmetic to `grids`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype
FLOAT8 = {"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}
INTEGERS = {"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
POWERS = {"U8", "F8_E8M0"}  # scales that are powers of two: 2^(code - 127)


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
class Recognised:
    """Quantised weights of a checkpoint by name; `owners` maps a companion to its weight, and
    `unsupported` a tensor to the reason why it is not decoded."""

    schemes: dict[str, Scheme]
    owners: dict[str, str]
    unsupported: dict[str, str]


class Unfit(ValueError):
    """Shapes or settings that contradict the scheme; the message is the reason in coverage.csv."""


class _Found(NamedTuple):
    """The tensors of one candidate: codes and companions by role, as (name, shape, dtype)."""

    owner: Tensor
    by_role: dict[str, Tensor]
    config: Mapping[str, Any]

    def shape(self, role: str) -> tuple[int, ...]:
        return self.by_role[role][1]

    def dtype(self, role: str) -> str | None:
        return self.by_role[role][2] if role in self.by_role else None


def _float8(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    shape = found.owner[1]
    scales = found.shape("scale")
    block = scale_block(shape, scales, _pair(found.config.get("weight_block_size")))
    whole = len(block) and block[-1] == shape[-1]
    kind = "fp8" if whole else "mxfp8" if block[-1] == 32 and block[-2] == 1 else "fp8 block"
    return kind, "scaled", shape, {"block": list(block)}


def _int8(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    shape = found.owner[1]
    scales = found.shape("scale")
    if scales and scales[-1] * 16 == shape[-1] and found.dtype("scale") in POWERS:
        return _packed_float4(found)
    block = scale_block(shape, scales, _pair(found.config.get("weight_block_size")))
    if "zeros" in found.by_role and found.shape("zeros") != scales:
        raise Unfit(f"zero points of shape {list(found.shape('zeros'))} do not fit the scales")
    return "int8", "scaled", shape, {"block": list(block)}


def _packed_float4(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    _, shape, dtype = found.owner
    logical = shape if dtype == "F4" else (*shape[:-1], 2 * shape[-1])
    scales = found.shape("scale")
    if len(scales) != len(shape) or scales[:-1] != shape[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit 4-bit codes of {list(shape)}")
    width, rest = divmod(logical[-1], scales[-1])
    if rest or width not in (16, 32):
        raise Unfit(f"{logical[-1]} columns have {scales[-1]} scales, not one for 16 or 32")
    has_global = "global_scale" in found.by_role or "scale_2" in found.by_role
    if has_global == (found.dtype("scale") in POWERS):
        raise Unfit("scales of this type do not belong to MXFP4 nor to NVFP4")
    method = "nvfp4" if has_global else "mxfp4"
    return method, "float4", logical, {"width": width}


def _blocks(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    shape = found.owner[1]
    if len(shape) < 3 or found.shape("scale") != shape[:-1]:
        raise Unfit(f"scales of shape {list(found.shape('scale'))} do not fit blocks {list(shape)}")
    logical = (*shape[:-2], shape[-2] * shape[-1] * 2)
    return "mxfp4", "float4", logical, {"width": 2 * shape[-1]}


def _packed_integers(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    shape, scales = found.owner[1], found.shape("scale")
    if len(shape) != 2 or len(scales) not in (1, 2):
        raise Unfit(f"packed words of shape {list(shape)} with scales of shape {list(scales)}")
    groups = scales[1] if len(scales) == 2 else 1
    for bits, group in _groups(found.config):
        cols = shape[1] * 32 // bits
        width = group if group and group > 0 else cols // max(1, groups)
        # The last word of a row may be part empty.
        if (width and 0 <= groups * width - cols < width) or groups == 1:
            break
    else:
        raise Unfit(f"{shape[1]} words a row and {groups} groups fit no bit width of the config")
    settings: dict[str, Any] = {"bits": bits, "width": width}
    return "pack-quantized", "packed", (shape[0], cols), settings


def _gptq_or_awq(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    words, scales, zeros = found.owner[1], found.shape("scale"), found.shape("zeros")
    if len(words) != 2 or len(scales) != 2 or len(zeros) != 2 or zeros[0] != scales[0]:
        raise Unfit(f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}")
    groups, outputs = scales
    if "g_idx" not in found.by_role and words[1] * 8 == outputs:
        if zeros[1] * 8 != outputs or not groups or words[0] % groups:
            raise Unfit(f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}")
        return "awq", "awq", (outputs, words[0]), {"width": words[0] // groups}
    if words[1] != outputs:
        raise Unfit("codes are packed along the inputs in an order that is not known (AWQ GEMV?)")
    bits = found.config.get("bits")
    if "g_idx" in found.by_role:
        inputs = math.prod(found.shape("g_idx"))
        bits = words[0] * 32 // inputs if inputs else 0
    elif type(bits) is int and bits > 0:
        inputs = words[0] * 32 // bits
    form = found.config.get("checkpoint_format")
    if bits not in (2, 3, 4, 8) or form == "gptq_p" or -(-inputs * bits // 32) != words[0]:
        raise Unfit(f"words of shape {list(words)} are not 2, 3, 4 or 8 bits in a row")
    if -(-outputs * bits // 32) != zeros[1] or not groups:
        raise Unfit(f"zero points of shape {list(zeros)} do not fit {outputs} outputs")
    group = found.config.get("group_size")
    width = group if type(group) is int and group > 0 else -(-inputs // groups)
    if -(-inputs // width) != groups:
        width = -(-inputs // groups)
    settings = {"bits": bits, "width": width, "plus_one": form != "gptq_v2"}
    return "gptq", "gptq", (outputs, inputs), settings


def _bitsandbytes4(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    _, shape, _ = found.owner
    state = found.by_role["quant_state"][0]
    method = "nf4" if state.endswith("nf4") else "fp4"
    # The true shape is in the quant_state's data; headers tell the number of elements only.
    numel = 2 * math.prod(shape)
    width = math.gcd(numel, 2 ** (numel.bit_length() // 2))
    settings = {"shape_inside": True}
    return f"bitsandbytes {method}", "bitsandbytes4", (numel // width, width), settings


def _bitsandbytes8(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    shape = found.owner[1]
    if len(shape) != 2 or math.prod(found.shape("scb")) != shape[0]:
        raise Unfit(f"SCB of shape {list(found.shape('scb'))} does not fit {list(shape)}")
    return "bitsandbytes int8", "bitsandbytes8", shape, {}


def _mlx(found: _Found) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    name, words, _ = found.owner
    scales = found.shape("scale")
    if len(words) != len(scales) or words[:-1] != scales[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit words {list(words)}")
    affine = "biases" in found.by_role
    if affine and found.shape("biases") != scales:
        raise Unfit(f"biases of shape {list(found.shape('biases'))} do not fit the scales")
    if not affine and found.dtype("scale") not in POWERS:
        raise Unfit("scales without biases that are no powers of two")
    own = found.config.get(name.removesuffix(".weight"))
    own = own if isinstance(own, Mapping) else {}
    wanted = [(part.get("bits"), part.get("group_size")) for part in (own, {**found.config, **own})]
    usual = [(bits, group) for group in (64, 32, 128, 16) for bits in (4, 8, 6, 3, 2, 5)]
    for bits, group in wanted + usual:
        if type(bits) is int and type(group) is int and 1 < bits < 9 and group > 0:
            cols = scales[-1] * group
            if cols * bits == words[-1] * 32 and (affine or (bits, group) == (4, 32)):
                settings = {"bits": bits, "width": group}
                formula = "mlx" if affine else "float4"
                method = "mlx affine" if affine else "mxfp4"
                return method, formula, (*words[:-1], cols), settings
    raise Unfit(f"words {list(words)} and scales {list(scales)} fit no bits and group size")


class Format(NamedTuple):
    """A scheme: the end of the name of its codes, their types, the ends that stand in its place in
    the names of companions (by role), and the function that reads its settings."""

    codes: str
    dtypes: set[str]
    needed: dict[str, str]
    optional: dict[str, str]
    read: Callable[[_Found], tuple[str, str, tuple[int, ...], dict[str, Any]]]


def _bitsandbytes_row(kind: str) -> Format:
    needed = {"absmax": ".absmax", "quant_map": ".quant_map"}
    nested = {"nested_absmax": ".nested_absmax", "nested_quant_map": ".nested_quant_map"}
    state = {"quant_state": f".quant_state.bitsandbytes__{kind}"}
    return Format("", {"U8"}, needed | state, nested, _bitsandbytes4)


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
        _gptq_or_awq,
    ),
    Format(
        _PACKED,
        {"U8", "I8"},
        {"scale": "weight_scale"},
        {"global_scale": "weight_global_scale"},
        _packed_float4,
    ),
    Format(
        _PACKED,
        {"I32"},
        {"scale": "weight_scale"},
        {"zeros": "weight_zero_point", "g_idx": "weight_g_idx", "shape": "weight_shape"},
        _packed_integers,
    ),
    Format("_blocks", {"U8"}, {"scale": "_scales"}, {}, _blocks),
    _bitsandbytes_row("nf4"),
    _bitsandbytes_row("fp4"),
    Format(".weight", {"I8"}, {"scb": ".SCB"}, {}, _bitsandbytes8),
    Format(".weight", {"U32"}, {"scale": ".scales"}, {"biases": ".biases"}, _mlx),
    *(
        Format("", {"U8", "F4"}, {"scale": scale, "scale_2": scale + "_2"}, {}, _packed_float4)
        for scale in _SCALES
    ),
    *(Format("", {"F4"}, {"scale": scale}, {}, _packed_float4) for scale in _SCALES),
    *(Format("", FLOAT8, {"scale": scale}, {}, _float8) for scale in _SCALES),
    *(Format(".weight", FLOAT8, {"scale": scale}, {}, _float8) for scale in _SCALES_OF_MODULE),
    *(Format("", {"I8"}, {"scale": scale}, {"zeros": "_zero_point"}, _int8) for scale in _SCALES),
    Format(".weight", {"I8"}, {"scale": ".scale"}, {}, _int8),
)

# Tensors that help with a quantised weight or a quantised cache and are no weights themselves.
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
    *(".trellis", ".dense_weights", ".Qidxs"),
)
SCALE_LIKE = re.compile(
    r"scale|zero|absmax|quant_map|codebook|centroid|^meta$|^SCB$|^su$|^sv$|biases"
)


def recognise(tensors: Iterable[Tensor], config: Mapping[str, Any]) -> Recognised:
    """Quantised weights among all tensors of a checkpoint, with config.json's settings."""
    stored = {tensor[0]: tensor for tensor in tensors}
    settings = quantisation_config(config)
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
            unsupported[name] = f"quantised by {known}, which is not decoded"
        elif packed and (method or any(SCALE_LIKE.search(other) for other in beside)):
            how = f" by {method}" if method else ""
            unsupported[name] = f"quantised{how} in a layout that is not decoded ({dtype} codes)"
    for name in stored:
        if name in schemes or name in owners or name in unsupported:
            continue
        owner = _owner(name, schemes, unsupported)
        if owner:
            owners[name] = owner
    return Recognised(schemes, owners, unsupported)


DOES_NOT_FIT = "quantised storage that does not fit its scheme"


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
        found = _Found(tensor, {role: other for role, other in by_role.items() if other}, config)
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
            return (
                None,
                f"{DOES_NOT_FIT}: both {_listed(one - two)} and {_listed(two - one)} claim it",
            )
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


def quantisation_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of quantisation in config.json, {} where there are none."""
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            for key in ("quantization_config", "quantization", "compression_config"):
                if isinstance(part.get(key), Mapping):
                    return part[key]
    return {}


@lru_cache(4096)
def scale_block(
    shape: tuple[int, ...], scales: tuple[int, ...], wanted: tuple[int, int] | None
) -> tuple[int, ...]:
    """Extent of the block of a weight that one scale serves, per dimension.

    One scale, one per row, per expert, or per block of rows and columns; the last blocks may be
    cut off. `wanted` is what the config says about the last two dimensions. Raises Unfit.
    """
    if math.prod(scales) == 1:
        return shape
    while len(scales) < len(shape):
        scales = (*scales, 1)
    if len(scales) != len(shape):
        raise Unfit(f"scales of shape {list(scales)} do not fit a weight of {list(shape)}")
    whole = tuple(a if b == 1 else 1 for a, b in zip(shape, scales, strict=True))
    if all(b in (1, a) for a, b in zip(shape, scales, strict=True)):
        return whole
    if wanted and scales[-2:] == tuple(-(-a // b) for a, b in zip(shape[-2:], wanted, strict=True)):
        return (*whole[:-2], *wanted)
    block = []
    for size, count in zip(shape, scales, strict=True):
        sizes = [size] if count == 1 else [2**n for n in range(13) if -(-size // 2**n) == count]
        if not sizes:
            raise Unfit(f"scales of shape {list(scales)} do not fit a weight of {list(shape)}")
        block.append(sizes[0])
    return tuple(block)


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, list | tuple) and len(value) == 2:
        first, second = value
        if type(first) is int and type(second) is int and first > 0 and second > 0:
            return first, second
    return None


def _groups(config: Mapping[str, Any]) -> list[tuple[int, int | None]]:
    """(bits, group size) of the config's groups of modules, then the usual ones."""
    result: list[tuple[int, int | None]] = []
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            bits, size = weights.get("num_bits"), weights.get("group_size")
            if type(bits) is int and 1 <= bits <= 8:
                result.append((bits, size if type(size) is int else None))
    return result or [(4, None), (8, None)]
