"""Pairs of 4-bit floats (E2M1) in a byte with scales along the rows: what MXFP4 and NVFP4 share."""

import math
from typing import TYPE_CHECKING

import numpy as np

from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized.scheme import Found, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import e2m1, nibbles, scale_columns

if TYPE_CHECKING:
    import torch


def open_float4(source: Source) -> Grid:
    """E2M1 codes, low nibble first, a scale for `settings.width` columns, perhaps one for all."""
    shape, width = source.shape, source.settings["width"]
    cols = shape[-1]
    scales = source.values("scale", read_as="F8_E8M0").reshape(-1, cols // width)
    if source.has("global_scale"):
        scales = scales / _per_row(source, "global_scale", len(scales))
    elif source.has("scale_2"):
        scales = scales * _per_row(source, "scale_2", len(scales))
    read_codes = source.rows(cols // 2)

    def read(first: int, last: int) -> np.ndarray:
        values = nibbles(read_codes(first, last), e2m1())
        return scale_columns(values, scales[first:last], width)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        values = on_device.nibbles(raw, e2m1())
        return values * on_device.columns(scales[first : first + len(raw)], width, values)

    return Grid(shape, "F32", read, Packed(source.stored.begin, cols // 2, decode))


def open_float4_rows(source: Source) -> Grid:
    """Stacks [experts, in, out] whose codes are packed along `in`, two rows in one row of bytes.

    The even row is in the low nibbles; a scale serves `settings.width` rows of a column.
    """
    shape, width = source.shape, source.settings["width"]
    cols = shape[-1]
    scales = source.values("scale", read_as="F8_E8M0").reshape(-1, cols)
    if source.has("scale_2"):
        scales = scales * _per_row(source, "scale_2", len(scales))
    elif source.has("global_scale"):
        scales = scales / _per_row(source, "global_scale", len(scales))
    read_codes = source.rows(cols)

    def read(first: int, last: int) -> np.ndarray:
        low = first // 2
        data = read_codes(low, -(-last // 2))
        pairs = np.stack((data & 15, data >> 4), axis=1).reshape(-1, cols)
        values = e2m1()[pairs[first - 2 * low : last - 2 * low]]
        return values * scales[np.arange(first, last) // width]

    return Grid(shape, "F32", read)


def _per_row(source: Source, role: str, rows: int) -> np.ndarray:
    """A scale for the whole tensor, or one per expert, as a column [rows, 1]."""
    values = source.values(role).reshape(-1, 1)
    experts = math.prod(source.shape[:-2])
    if len(values) not in (1, experts):
        raise source.fail(f"{len(values)} values of {role} do not fit {experts} matrices")
    return np.repeat(values, rows // len(values), axis=0)


def read_float4(found: Found, method: str, width: int) -> Settings:
    """Settings of packed codes with a scale for `width` of them; raises Unfit.

    Codes are packed along the last dimension, in a stack perhaps along the middle one.
    """
    _, shape, dtype = found.owner
    scales = found.shape("scale")
    if len(shape) == 3 == len(scales) and dtype != "F4" and scales[1:] != shape[1:]:
        logical = (shape[0], 2 * shape[1], shape[2])
        if (scales[0], scales[1] * width, scales[2]) == logical:
            return method, "float4 rows", logical, {"width": width}
    return method, "float4", packed_shape(found, width), {"width": width}


def packed_shape(found: Found, width: int) -> tuple[int, ...]:
    """Logical shape of codes packed along the rows with a scale for `width` columns.

    Raises Unfit if the shapes of codes and scales contradict this.
    """
    _, shape, dtype = found.owner
    logical = shape if dtype == "F4" else (*shape[:-1], 2 * shape[-1])
    scales = found.shape("scale")
    if len(scales) != len(shape) or scales[:-1] != shape[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit 4-bit codes of {list(shape)}")
    if logical[-1] != scales[-1] * width:
        raise Unfit(f"{logical[-1]} columns have {scales[-1]} scales, not one for {width}")
    return logical
