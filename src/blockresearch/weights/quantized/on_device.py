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


def nibbles(raw: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    """The values (float32 [16]) that 4-bit codes [n, bytes] choose, low nibble first."""
    table = torch.from_numpy(values).to(raw.device)
    codes = torch.stack((raw & 15, raw >> 4), dim=-1).flatten(1)
    return torch.take(table, codes.to(torch.int64))


def columns(table: np.ndarray, width: int, like: torch.Tensor) -> torch.Tensor:
    """The entries of a table [n, groups] for every column of `like` [n, cols], float32."""
    cols = like.shape[1]
    rows = torch.from_numpy(np.ascontiguousarray(table, np.float32)).to(like.device)
    # Files may claim blocks of any size.
    return rows.repeat_interleave(min(width, cols), dim=1)[:, :cols]
