"""Formulas of quantized storage on a device: what `unpack` does, for tensors of torch.

The arithmetic is that of the CPU, one operation in float32 after the other, so the values are equal
bit for bit. Tables of scales are small and come from the CPU.
"""

import numpy as np
import torch

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.on_device import decode


def byte_codes(raw: torch.Tensor, dtype: str) -> torch.Tensor:
    """The numbers of codes of one byte [n, cols], float32."""
    return decode(raw, dtypes.DTYPES[dtype], torch.float32)


def nibbles(raw: torch.Tensor, values: np.ndarray, high_first: bool = False) -> torch.Tensor:
    """The values (float32 [16]) that the 4-bit codes in rows of bytes choose, [n, 2·bytes]."""
    table = torch.tensor(values, dtype=torch.float32, device=raw.device)
    low, high = raw & 15, raw >> 4
    codes = torch.stack((high, low) if high_first else (low, high), dim=-1).flatten(1)
    return torch.take(table, codes.to(torch.int64))


def integers(raw: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """`count` unsigned integers of `bits` bits from each row of bytes: float32 [n, count]."""
    groups = -(-count // 8)
    missing = groups * bits - raw.shape[1]
    padded = torch.nn.functional.pad(raw, (0, max(missing, 0)))[:, : groups * bits]
    # Eight values fill `bits` bytes; int32 holds two of them.
    stream = padded.reshape(len(raw), groups, bits).to(torch.int32)
    values = []
    for place in range(8):
        byte, shift = divmod(place * bits, 8)
        value = stream[..., byte]
        if shift + bits > 8:
            value = value | stream[..., byte + 1] << 8
        values.append((value >> shift) & ((1 << bits) - 1))
    return torch.stack(values, dim=-1).flatten(1)[:, :count].to(torch.float32)


def columns(table: np.ndarray, width: int | np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """The entries of a table [n, groups] for every column of `like` [n, cols], float32.

    `width` is the size of a group, or the group of each column [cols].
    """
    cols = like.shape[1]
    if isinstance(width, np.ndarray):
        table, width = table[:, width], 1
    rows = torch.from_numpy(np.ascontiguousarray(table, np.float32)).to(like.device)
    # Files may claim blocks of any size.
    return rows.repeat_interleave(min(width, cols), dim=1)[:, :cols]
