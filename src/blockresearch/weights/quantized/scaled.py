"""Codes of one byte with scales per tensor, row, expert or block: (code - zero) · scale.

The arithmetic that `fp8`, `int8` and `torchao` share; the last blocks may be cut off at the edges.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized.scheme import Found, Unfit
from blockresearch.weights.quantized.settings import method_of
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import scale_columns, shift_columns

if TYPE_CHECKING:
    import torch

# The only block of DeepSeek's and ModelOpt's FP8, and the default of transformers.
USUAL_BLOCK = (128, 128)


def open_scaled(source: Source) -> Grid:
    """The weights [..., rows, cols] as float32; one scale serves a block of `settings.block`."""
    shape, dtype = source.shape, source.stored.dtype
    rows, cols = shape[-2:]
    scales = source.values("scale", read_as="F8_E8M0")
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

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized.on_device import byte_codes, columns

        values, last = byte_codes(raw, dtype), first + len(raw)
        if zeros is not None:
            values = values - columns(at(zeros, first, last), block[-1], values)
        return values * columns(at(scales, first, last), block[-1], values)

    return Grid(shape, "F32", read, Packed(source.stored.begin, cols, decode))


@lru_cache(4096)
def scale_block(
    shape: tuple[int, ...], scales: tuple[int, ...], stated: tuple[tuple[int, int], ...] = ()
) -> tuple[int, ...]:
    """Extent of the block of a weight that one scale serves, per dimension.

    One scale, one per row, per expert, or per block of rows and columns; the last blocks may be
    cut off. `stated` are the blocks of the last two dimensions that the config states; without
    them a block is a power of two, or an equal part. Raises Unfit if scales of this shape do not
    fit the weight, or fit several blocks.
    """
    unfit = Unfit(f"scales of shape {list(scales)} do not fit a weight of {list(shape)}")
    if math.prod(scales) == 1:
        return shape
    if len(scales) < len(shape) and scales != shape[: len(scales)]:
        raise unfit
    while len(scales) < len(shape):
        scales = (*scales, 1)
    if len(scales) != len(shape) or any(
        b not in (1, a) for a, b in zip(shape[:-2], scales[:-2], strict=True)
    ):
        raise unfit
    whole = tuple(a if b == 1 else 1 for a, b in zip(shape, scales, strict=True))
    if all(b in (1, a) for a, b in zip(shape, scales, strict=True)):
        return whole
    for pair_of_sizes in stated:
        if scales[-2:] == tuple(-(-a // b) for a, b in zip(shape[-2:], pair_of_sizes, strict=True)):
            return (*whole[:-2], *pair_of_sizes)
    block: list[int] = []
    for size, count in zip(shape, scales, strict=True):
        sizes = {2**n for n in range(13) if -(-size // 2**n) == count} if count > 1 else {size}
        if count > 1 and size % count == 0:
            sizes.add(size // count)
        if not sizes:
            raise unfit
        if len(sizes) > 1:
            raise Unfit(f"{unfit} alone: blocks of {' or '.join(map(str, sorted(sizes)))}?")
        block.extend(sizes)
    return tuple(block)


def stated_blocks(found: Found) -> tuple[tuple[int, int], ...]:
    """The blocks (rows, columns) that the config states for a weight, and those of its library."""
    blocks = [pair(found.config.get("weight_block_size"))]
    for weights in found.stated:
        blocks.append(pair(weights.get("block_structure")))
        blocks.append(pair([1, weights.get("group_size")]))
    scale = found.by_role["scale"][0]
    if scale.endswith("_scale_inv") or method_of(found.config) in ("fp8", "modelopt"):
        blocks.append(USUAL_BLOCK)
    return tuple(block for block in blocks if block)


def pair(value: Any) -> tuple[int, int] | None:
    """Two positive integers as the config states a block; None for anything else."""
    if isinstance(value, list | tuple) and len(value) == 2:
        first, second = value
        if type(first) is int and type(second) is int and first > 0 and second > 0:
            return first, second
    return None
