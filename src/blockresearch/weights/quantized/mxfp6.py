"""MXFP6: 6-bit floats (E2M3), four in three bytes, with a power of two for 32 columns.

    P.weight_packed  U8 [out, 3 · in / 4]
    P.weight_scale   U8 [out, in / 32]

W = E2M3[code] · 2^(scale - 127), lowest bits first.

Source: compressed-tensors compressors/mxfp6 (0.20.0).
"""

import numpy as np

from blockresearch.safetensors.dtypes import code_values
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.scheme import POWERS, Format, Found, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import scale_columns, unpack_bits

WIDTH = 32


def open_float6(source: Source) -> Grid:
    """The weights [..., out, in] as float32."""
    cols = source.shape[-1]
    scales = source.values("scale", read_as="F8_E8M0").reshape(-1, cols // WIDTH)
    table = code_values("F6_E2M3").astype(np.float32)
    read_codes = source.rows(cols * 3 // 4)

    def read(first: int, last: int) -> np.ndarray:
        values = table[unpack_bits(read_codes(first, last), 6, cols)]
        return scale_columns(values, scales[first:last], WIDTH)

    return Grid(source.shape, "F32", read)


def read_float6(found: Found) -> Settings:
    """Settings by shapes. Raises Unfit if the scales do not fit codes of 6 bits."""
    shape, scales = found.owner[1], found.shape("scale")
    if found.dtype("scale") not in POWERS or scales[:-1] != shape[:-1] or len(scales) < 2:
        raise Unfit(f"scales of shape {list(scales)} do not fit 6-bit codes of {list(shape)}")
    cols = scales[-1] * WIDTH
    if not cols or shape[-1] * 4 != cols * 3:
        raise Unfit(f"{shape[-1]} bytes a row with {scales[-1]} scales are not of 6 bits")
    return "mxfp6", "float6", (*shape[:-1], cols), {}


FORMATS = (
    Format(
        "_packed",
        frozenset({"U8"}),
        {"scale": "_scale"},
        {},
        read_float6,
        frozenset({"compressed-tensors"}),
    ),
)

FORMULAS = {"float6": open_float6}
