"""Stored bytes as codes and numbers on a device: what `dtypes` does, for tensors of torch.

Torch has few unsigned integers, so codes of 16, 32 and 64 bits are signed integers with the same
bits; those of at most 8 bits are uint8.
"""

from functools import cache

import torch

from blockresearch.safetensors.dtypes import Dtype, code_values

_CODES = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}

# Types of which torch reads the bits as they are.
_VIEWS = {
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
}


def codes(raw: torch.Tensor, dtype: Dtype) -> torch.Tensor:
    """One code per element, [numel], of packed bytes `raw` (uint8 [n], whole elements)."""
    if dtype.bits == 4:
        return torch.stack((raw & 0xF, raw >> 4), dim=1).reshape(-1)
    if dtype.bits == 6:
        a, b, c = raw.reshape(-1, 3).unbind(1)
        packed = (a & 0x3F, (a >> 6) | ((b & 0xF) << 2), (b >> 4) | ((c & 3) << 4), c >> 2)
        return torch.stack(packed, dim=1).reshape(-1)
    return raw.view(_CODES[dtype.bits])


def unsigned(code: torch.Tensor) -> torch.Tensor:
    """Codes of at most 16 bits as numbers ≥ 0, for look-ups and counts: int32."""
    wide = code.to(torch.int32)
    return wide & 0xFFFF if code.dtype == torch.int16 else wide


def decode(code: torch.Tensor, dtype: Dtype, number: torch.dtype) -> torch.Tensor:
    """Numbers of codes [...] as `number` (float32 or float64), rounded where it is narrower.

    C64 gives the modulus. It may be a view of `code`.
    """
    if dtype.name == "C64":
        return code.view(torch.complex64).to(torch.complex128).abs().to(number)
    if dtype.name in _VIEWS:
        return code.view(_VIEWS[dtype.name]).to(number)
    if dtype.name == "U32":
        return (code.to(torch.int64) & 0xFFFFFFFF).to(number)
    if dtype.name == "U64":
        # Both halves are exact, so that their sum is rounded once.
        high, low = (code >> 32) & 0xFFFFFFFF, code & 0xFFFFFFFF
        return (high.to(torch.float64) * 2.0**32 + low.to(torch.float64)).to(number)
    return look_up(_values(dtype, number, code.device), code)


def look_up(table: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """The entries of a table [n] that codes of at most 16 bits [...] choose."""
    return torch.take(table, unsigned(code).to(torch.int64))


@cache
def _values(dtype: Dtype, number: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(code_values(dtype), dtype=number, device=device)
