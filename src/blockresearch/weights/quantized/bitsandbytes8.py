"""bitsandbytes LLM.int8: one scale for each row.

    P.weight         I8 [out, in]
    P.SCB            F32 [out]
    P.weight_format  optional, U8: 0 for rows; other values are layouts of old kernels, not decoded

W = code · SCB / 127.

Source: bitsandbytes functional.int8_vectorwise_dequant.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from blockresearch.weights.grid import Grid, Packed
from blockresearch.weights.quantized.scheme import Format, Found, NotDecoded, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import scale_columns

if TYPE_CHECKING:
    import torch


def open_rows(source: Source) -> Grid:
    """The weights [out, in] as float32."""
    rows, cols = source.shape
    scales = source.values("scb").reshape(rows, 1) / np.float32(127)
    read_codes = source.rows(cols)

    def read(first: int, last: int) -> np.ndarray:
        values = read_codes(first, last).view(np.int8).astype(np.float32)
        return scale_columns(values, scales[first:last], cols)

    def decode(raw: "torch.Tensor", first: int) -> "torch.Tensor":
        from blockresearch.weights.quantized import on_device

        values = on_device.byte_codes(raw, "I8")
        return values * on_device.columns(scales[first : first + len(raw)], cols, values)

    return Grid((rows, cols), "F32", read, Packed(source.stored.begin, cols, decode))


def read_rows(found: Found) -> Settings:
    """Settings of codes.

    Raises Unfit if there is not one scale for each row, NotDecoded if weight_format is not 0.
    """
    shape = found.owner[1]
    if len(shape) != 2 or math.prod(found.shape("scb")) != shape[0]:
        raise Unfit(f"SCB of shape {list(found.shape('scb'))} does not fit {list(shape)}")
    if any(found.integers("format") or ()):
        raise NotDecoded("a layout of LLM.int8 other than rows")
    return "bitsandbytes int8", "bitsandbytes8", shape, {}


FORMATS = (
    Format(
        ".weight",
        frozenset({"I8"}),
        {"scb": ".SCB"},
        {"format": ".weight_format"},
        read_rows,
        frozenset({"bitsandbytes"}),
    ),
)

FORMULAS = {"bitsandbytes8": open_rows}
