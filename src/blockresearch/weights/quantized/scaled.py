"""Codes of one byte with scales per tensor, row, expert or block: (code - zero) · scale.

The arithmetic that `fp8`, `int8` and `torchao` share; the last blocks may be cut off at the edges.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.scheme import Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import scale_columns, shift_columns


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

    return Grid(shape, "F32", read)


@lru_cache(4096)
def scale_block(
    shape: tuple[int, ...], scales: tuple[int, ...], wanted: tuple[int, int] | None
) -> tuple[int, ...]:
    """Extent of the block of a weight that one scale serves, per dimension.

    One scale, one per row, per expert, or per block of rows and columns; the last blocks may be
    cut off. `wanted` is what the config says about the last two dimensions. Raises Unfit if scales
    of this shape do not fit the weight.
    """
    unfit = Unfit(f"scales of shape {list(scales)} do not fit a weight of {list(shape)}")
    if math.prod(scales) == 1:
        return shape
    while len(scales) < len(shape):
        scales = (*scales, 1)
    if len(scales) != len(shape):
        raise unfit
    whole = tuple(a if b == 1 else 1 for a, b in zip(shape, scales, strict=True))
    if all(b in (1, a) for a, b in zip(shape, scales, strict=True)):
        return whole
    if wanted and scales[-2:] == tuple(-(-a // b) for a, b in zip(shape[-2:], wanted, strict=True)):
        return (*whole[:-2], *wanted)
    block = []
    for size, count in zip(shape, scales, strict=True):
        sizes = [size] if count == 1 else [2**n for n in range(13) if -(-size // 2**n) == count]
        if not sizes:
            raise unfit
        block.append(sizes[0])
    return tuple(block)


def pair(value: Any) -> tuple[int, int] | None:
    """Two positive integers as the config states a block; None for anything else."""
    if isinstance(value, list | tuple) and len(value) == 2:
        first, second = value
        if type(first) is int and type(second) is int and first > 0 and second > 0:
            return first, second
    return None
