"""Pairs of 4-bit floats (E2M1) in a byte with scales along the rows: what MXFP4 and NVFP4 share."""

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.scheme import Found, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import e2m1, nibbles, scale_columns


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

    return Grid(shape, "F32", read)


def _per_row(source: Source, role: str, rows: int) -> np.ndarray:
    """A scale for the whole tensor, or one per expert, as a column [rows or 1, 1]."""
    values = source.values(role).reshape(-1, 1)
    if not len(values) or rows % len(values):
        raise source.fail(f"{len(values)} values of {role} do not fit {rows} rows")
    return np.repeat(values, rows // len(values), axis=0)


def packed_shape(found: Found, width: int) -> tuple[int, ...]:
    """Logical shape of codes packed along the rows with a scale for `width` columns; or Unfit."""
    _, shape, dtype = found.owner
    logical = shape if dtype == "F4" else (*shape[:-1], 2 * shape[-1])
    scales = found.shape("scale")
    if len(scales) != len(shape) or scales[:-1] != shape[:-1] or not scales[-1]:
        raise Unfit(f"scales of shape {list(scales)} do not fit 4-bit codes of {list(shape)}")
    if logical[-1] != scales[-1] * width:
        raise Unfit(f"{logical[-1]} columns have {scales[-1]} scales, not one for {width}")
    return logical
