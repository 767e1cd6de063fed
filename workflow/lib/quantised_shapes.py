"""How shapes and types of codes and companions settle the settings of a quantisation scheme.

One function for each kind of storage: from the tensors of a candidate to (method, formula, logical
shape, settings) as `quantised.Scheme` keeps them, or Unfit with what contradicts.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype
POWERS = {"U8", "F8_E8M0"}  # scales that are powers of two: 2^(code - 127)
Settings = tuple[str, str, tuple[int, ...], dict[str, Any]]


class Unfit(ValueError):
    """Shapes or settings that contradict the scheme; the message is the reason in coverage.csv."""


class Found(NamedTuple):
    """The tensors of one candidate: codes and companions by role, as (name, shape, dtype)."""

    owner: Tensor
    by_role: dict[str, Tensor]
    config: Mapping[str, Any]

    def shape(self, role: str) -> tuple[int, ...]:
        return self.by_role[role][1]

    def dtype(self, role: str) -> str | None:
        return self.by_role[role][2] if role in self.by_role else None


def float8(found: Found) -> Settings:
    """8-bit floats with scales per tensor, channel or block."""
    shape = found.owner[1]
    scales = found.shape("scale")
    block = scale_block(shape, scales, _pair(found.config.get("weight_block_size")))
    whole = len(block) and block[-1] == shape[-1]
    kind = "fp8" if whole else "mxfp8" if block[-1] == 32 and block[-2] == 1 else "fp8 block"
    return kind, "scaled", shape, {"block": list(block)}


def int8(found: Found) -> Settings:
    """8-bit integers with scales, or pairs of 4-bit floats in their place."""
    shape = found.owner[1]
    scales = found.shape("scale")
    if scales and scales[-1] * 16 == shape[-1] and found.dtype("scale") in POWERS:
        return packed_float4(found)
    block = scale_block(shape, scales, _pair(found.config.get("weight_block_size")))
    if "zeros" in found.by_role and found.shape("zeros") != scales:
        raise Unfit(f"zero points of shape {list(found.shape('zeros'))} do not fit the scales")
    return "int8", "scaled", shape, {"block": list(block)}


def torchao_integers(found: Found) -> Settings:
    """Int8Tensor and IntxUnpackedToInt8Tensor: a scale for each group of columns of each row."""
    shape, scales = found.owner[1], found.shape("scale")
    # Int4Tensor packs two codes into these bytes, and stores its scales [groups, out].
    packed = "int4weightonly" in str(found.config.get("quant_type")).lower()
    if (
        packed
        or len(scales) != len(shape)
        or scales[:-1] not in (shape[:-1], (1,) * len(shape[:-1]))
    ):
        raise Unfit(f"scales of shape {list(scales)} for {list(shape)}: packed codes of torchao?")
    return int8(found)


def packed_float4(found: Found) -> Settings:
    """MXFP4 and NVFP4: two E2M1 codes a byte, a scale for 32 or 16 columns."""
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


def blocks(found: Found) -> Settings:
    """MXFP4 of gpt-oss: bytes in blocks, a scale for each."""
    shape = found.owner[1]
    if len(shape) < 3 or found.shape("scale") != shape[:-1]:
        raise Unfit(f"scales of shape {list(found.shape('scale'))} do not fit blocks {list(shape)}")
    logical = (*shape[:-2], shape[-2] * shape[-1] * 2)
    return "mxfp4", "float4", logical, {"width": 2 * shape[-1]}


def packed_integers(found: Found) -> Settings:
    """compressed-tensors pack-quantized: a row is a stream of bits in words."""
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


def gptq_or_awq(found: Found) -> Settings:
    """The two schemes that share the names qweight, qzeros and scales."""
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


def bitsandbytes4(found: Found) -> Settings:
    """NF4 and FP4; the shape is in the data of quant_state."""
    _, shape, _ = found.owner
    state = found.by_role["quant_state"][0]
    method = "nf4" if state.endswith("nf4") else "fp4"
    # The true shape is in the quant_state's data; headers tell the number of elements only.
    numel = 2 * math.prod(shape)
    width = math.gcd(numel, 2 ** (numel.bit_length() // 2))
    settings = {"shape_inside": True}
    return f"bitsandbytes {method}", "bitsandbytes4", (numel // width, width), settings


def bitsandbytes8(found: Found) -> Settings:
    """LLM.int8: a scale for each row."""
    shape = found.owner[1]
    if len(shape) != 2 or math.prod(found.shape("scb")) != shape[0]:
        raise Unfit(f"SCB of shape {list(found.shape('scb'))} does not fit {list(shape)}")
    return "bitsandbytes int8", "bitsandbytes8", shape, {}


def mlx(found: Found) -> Settings:
    """MLX affine, and its mode mxfp4 without biases."""
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
