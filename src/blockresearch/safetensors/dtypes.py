"""The 22 element types of safetensors: sizes, stored codes and the numbers they stand for.

A *code* is the unsigned integer that the bits of one element spell. Types of at most 16 bits have
at most 65 536 codes, so one table (`code_values`) says everything about them; decoding is a lookup
(or, for BF16, a shift). No third-party float package is needed.

Formats: IEEE 754 (F16, F32, F64), bfloat16, OCP 8-bit floats (F8_E5M2, F8_E4M3) and OCP
microscaling formats (F8_E8M0, F6_E2M3, F6_E3M2, F4 = E2M1), and the FNUZ variants
(arXiv:2206.02915).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

Kind = Literal["float", "int", "bool", "complex"]

Raw = bytes | bytearray | memoryview | np.ndarray


@dataclass(frozen=True)
class Dtype:
    """A safetensors element type: its header name, bits per element and kind of number."""

    name: str
    bits: int
    kind: Kind


@dataclass(frozen=True)
class FloatLayout:
    """Fields of a binary float; `special` says which codes are not numbers.

    ``ieee``: the top exponent holds Inf and NaN. ``fn``: only all-ones is NaN, no Inf. ``fnuz``:
    the code of minus zero is the one NaN. ``finite``: every code is a number. ``scale``: an
    unsigned power of two, all-ones is NaN, and neither zero nor subnormals exist.
    """

    sign: int
    exponent: int
    mantissa: int
    bias: int
    special: Literal["ieee", "fn", "fnuz", "finite", "scale"]

    @property
    def min_normal(self) -> float:
        """Smallest normal number; the spacing of codes does not shrink below it."""
        return 2.0 ** ((0 if self.special == "scale" else 1) - self.bias)


DTYPES: dict[str, Dtype] = {
    dtype.name: dtype
    for dtype in (
        Dtype("BOOL", 8, "bool"),
        Dtype("U8", 8, "int"),
        Dtype("I8", 8, "int"),
        Dtype("U16", 16, "int"),
        Dtype("I16", 16, "int"),
        Dtype("U32", 32, "int"),
        Dtype("I32", 32, "int"),
        Dtype("U64", 64, "int"),
        Dtype("I64", 64, "int"),
        Dtype("F16", 16, "float"),
        Dtype("BF16", 16, "float"),
        Dtype("F32", 32, "float"),
        Dtype("F64", 64, "float"),
        Dtype("C64", 64, "complex"),
        Dtype("F8_E5M2", 8, "float"),
        Dtype("F8_E4M3", 8, "float"),
        Dtype("F8_E4M3FNUZ", 8, "float"),
        Dtype("F8_E5M2FNUZ", 8, "float"),
        Dtype("F8_E8M0", 8, "float"),
        Dtype("F6_E2M3", 6, "float"),
        Dtype("F6_E3M2", 6, "float"),
        Dtype("F4", 4, "float"),
    )
}

FLOAT_LAYOUTS: dict[str, FloatLayout] = {
    "F16": FloatLayout(1, 5, 10, 15, "ieee"),
    "BF16": FloatLayout(1, 8, 7, 127, "ieee"),
    "F32": FloatLayout(1, 8, 23, 127, "ieee"),
    "F64": FloatLayout(1, 11, 52, 1023, "ieee"),
    "F8_E5M2": FloatLayout(1, 5, 2, 15, "ieee"),
    "F8_E4M3": FloatLayout(1, 4, 3, 7, "fn"),
    "F8_E4M3FNUZ": FloatLayout(1, 4, 3, 8, "fnuz"),
    "F8_E5M2FNUZ": FloatLayout(1, 5, 2, 16, "fnuz"),
    "F8_E8M0": FloatLayout(0, 8, 0, 127, "scale"),
    "F6_E2M3": FloatLayout(1, 2, 3, 1, "finite"),
    "F6_E3M2": FloatLayout(1, 3, 2, 3, "finite"),
    "F4": FloatLayout(1, 2, 1, 1, "finite"),
}

_STORAGE = {
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<u2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}


def _known(dtype: Dtype | str) -> Dtype:
    if isinstance(dtype, Dtype):
        return dtype
    if dtype not in DTYPES:
        raise ValueError(f"unknown dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def nbytes(dtype: Dtype | str, numel: int) -> int:
    """Bytes that `numel` elements fill. Raises ValueError if the last byte would be part empty."""
    dtype = _known(dtype)
    size, rest = divmod(numel * dtype.bits, 8)
    if rest:
        raise ValueError(f"{numel} elements of {dtype.name} do not fill whole bytes")
    return size


def storage(dtype: Dtype | str) -> np.dtype:
    """NumPy type of one stored element (a little-endian code; plain bytes for 8 bits and fewer)."""
    return np.dtype(_STORAGE.get(_known(dtype).name, "u1"))


def _bytes_of(raw: Raw) -> np.ndarray:
    if isinstance(raw, np.ndarray):
        return np.ascontiguousarray(raw).reshape(-1).view(np.uint8)
    return np.frombuffer(raw, dtype=np.uint8)


def codes(raw: Raw, dtype: Dtype | str) -> np.ndarray:
    """One unsigned code per element, [numel], of the packed bytes `raw`.

    F4 holds two elements a byte, the first in the low nibble; F6 is a bit stream that starts at the
    lowest bit of the first byte (four elements in three bytes). Raises ValueError if `raw` ends
    inside an element.
    """
    dtype = _known(dtype)
    data = _bytes_of(raw)
    unit = 3 if dtype.bits == 6 else max(1, dtype.bits // 8)
    if len(data) % unit:
        raise ValueError(f"{len(data)} bytes do not hold a whole number of {dtype.name} elements")
    if dtype.bits == 4:
        return np.stack((data & 0xF, data >> 4), axis=1).reshape(-1)
    if dtype.bits == 6:
        a, b, c = data.reshape(-1, 3).T
        packed = (a & 0x3F, (a >> 6) | ((b & 0xF) << 2), (b >> 4) | ((c & 3) << 4), c >> 2)
        return np.stack(packed, axis=1).reshape(-1)
    return data.view(f"<u{unit}")


def whole_byte_elements(dtype: Dtype | str) -> int:
    """Fewest elements that fill whole bytes: 2 of F4, 4 of F6, else 1."""
    bits = _known(dtype).bits
    return 8 // math.gcd(8, bits)


@lru_cache(maxsize=len(DTYPES))
def code_values(dtype: Dtype | str) -> np.ndarray:
    """The number behind every code: float64 [2**bits], read-only, for types of at most 16 bits.

    NaN and ±Inf stand for the codes that have them; every finite value is exact. A BOOL code other
    than 0 counts as 1. Raises ValueError for wider types.
    """
    dtype = _known(dtype)
    if dtype.bits > 16:
        raise ValueError(f"{dtype.name} has too many codes for a table")
    code = np.arange(2**dtype.bits, dtype=np.int64)
    if dtype.kind == "float":
        values = _float_values(code, FLOAT_LAYOUTS[dtype.name])
    elif dtype.kind == "bool":
        values = (code > 0).astype(np.float64)
    else:
        values = code.astype(storage(dtype)).astype(np.float64)
    values.flags.writeable = False
    return values


def _float_values(code: np.ndarray, layout: FloatLayout) -> np.ndarray:
    mantissa = code & (2**layout.mantissa - 1)
    exponent = (code >> layout.mantissa) & (2**layout.exponent - 1)
    normal = (exponent > 0) | (layout.special == "scale")
    significand = mantissa + np.where(normal, 2**layout.mantissa, 0)
    power = np.where(normal, exponent, 1) - layout.bias - layout.mantissa
    values = np.ldexp(significand.astype(np.float64), power)
    negative = code >> (layout.exponent + layout.mantissa) == 1
    top = exponent == 2**layout.exponent - 1
    if layout.special == "ieee":
        values[top] = np.where(mantissa[top] == 0, np.inf, np.nan)
    elif layout.special == "fn":
        values[top & (mantissa == 2**layout.mantissa - 1)] = np.nan
    elif layout.special == "scale":
        values[top] = np.nan
    values[negative] *= -1.0
    if layout.special == "fnuz":
        values[2 ** (layout.exponent + layout.mantissa)] = np.nan
    return values


@lru_cache(maxsize=2 * len(DTYPES))
def _decode_table(name: str, out_dtype: str) -> np.ndarray:
    return code_values(name).astype(out_dtype)


def decode(raw: Raw, dtype: Dtype | str, out_dtype: type = np.float32) -> np.ndarray:
    """Numbers of the packed bytes `raw` as a new array [numel] of float32 or float64.

    Exact for every type of at most 16 bits, rounded to `out_dtype` for wider ones. C64 gives the
    complex type of the same precision. Raises ValueError if `raw` ends inside an element.
    """
    return numbers(codes(raw, dtype), dtype, out_dtype)


def numbers(code: np.ndarray, dtype: Dtype | str, out_dtype: type = np.float32) -> np.ndarray:
    """Numbers of codes [n] or [rows, cols], one for each element, in their shape.

    They are those that `decode` gives of packed bytes.
    """
    dtype = _known(dtype)
    out = np.dtype(out_dtype)
    if dtype.name == "BF16":
        values = np.left_shift(code, 16, dtype=np.uint32).view(np.float32)
        with np.errstate(invalid="ignore"):
            return values.astype(out, copy=False)
    if dtype.bits <= 16:
        return _decode_table(dtype.name, out.str)[code]
    if dtype.kind == "complex":
        out = np.result_type(out, np.complex64)
    with np.errstate(over="ignore", invalid="ignore"):
        return code.view(storage(dtype)).astype(out)
