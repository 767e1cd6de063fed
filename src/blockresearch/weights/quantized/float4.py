"""MXFP4 and NVFP4: pairs of E2M1 codes with scales along the rows."""

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.source import POWERS, Found, Settings, Unfit, _Source
from blockresearch.weights.quantized.unpack import e2m1, nibbles, scale_columns


def _float4(source: _Source) -> Grid:
    """MXFP4 and NVFP4: E2M1 codes, low nibble first, scales along rows, perhaps one for all."""
    shape, width = source.shape, source.settings["width"]
    cols = shape[-1]
    scales = source.values("scale", powers=True).reshape(-1, cols // width)
    if source.has("global_scale"):
        scales = scales / _per_row(source, "global_scale", len(scales))
    elif source.has("scale_2"):
        scales = scales * _per_row(source, "scale_2", len(scales))
    read_codes = source.rows(cols // 2)

    def read(first: int, last: int) -> np.ndarray:
        values = nibbles(read_codes(first, last), e2m1())
        return scale_columns(values, scales[first:last], width)

    return Grid(shape, "F32", read)


def _per_row(source: _Source, role: str, rows: int) -> np.ndarray:
    """A scale for the whole tensor, or one per expert, as a column [rows or 1, 1]."""
    values = source.values(role).reshape(-1, 1)
    if not len(values) or rows % len(values):
        raise source.fail(f"{len(values)} values of {role} do not fit {rows} rows")
    return np.repeat(values, rows // len(values), axis=0)


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
