"""FP8 and INT8 with scales per tensor, channel or block: (code - zero) · scale."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.float4 import packed_float4
from blockresearch.weights.quantized.source import POWERS, Found, Settings, Unfit, _Source
from blockresearch.weights.quantized.unpack import scale_columns, shift_columns


def _scaled(source: _Source) -> Grid:
    """FP8 and INT8 with scales per tensor, channel or block: (code - zero) · scale."""
    shape, dtype = source.shape, source.entry["dtype"]
    rows, cols = shape[-2:]
    scales = source.values("scale", powers=True)
    block = tuple(source.settings["block"])
    grid_of_scales = tuple(-(-a // b) for a, b in zip(shape, block, strict=True))
    scales = scales.reshape(grid_of_scales)
    zeros = source.values("zeros").reshape(grid_of_scales) if source.has("zeros") else None
    read_codes = source.rows(cols)

    def at(table: np.ndarray, first: int, last: int) -> np.ndarray:
        place = np.arange(first, last)
        leading = np.unravel_index(place // rows, shape[:-2] or (1,))
        index = [i // b for i, b in zip(leading, block[:-2], strict=True)] if block[:-2] else []
        return table[(*index, place % rows // block[-2])]

    def read(first: int, last: int) -> np.ndarray:
        values = dtypes.decode(read_codes(first, last), dtype).reshape(last - first, cols)
        if zeros is not None:
            shift_columns(values, -at(zeros, first, last), block[-1])
        return scale_columns(values, at(scales, first, last), block[-1])

    return Grid(shape, "F32", read)


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
