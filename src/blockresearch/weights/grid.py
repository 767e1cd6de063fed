"""A stored tensor as rows that can be read block by block."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from blockresearch.safetensors import dtypes

if TYPE_CHECKING:
    import torch

Read = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Packed:
    """The rows of a quantized weight before its formula, for a device that has it.

    They follow each other in the file of the codes from `begin` on, `row_bytes` each.
    `decode(raw, first)` gives the rows from `first` on: float32 [n, cols] of uint8 [n, row_bytes],
    both on a device, the same values as `Grid.read`.
    """

    begin: int
    row_bytes: int
    decode: "Callable[[torch.Tensor, int], torch.Tensor]"


@dataclass(frozen=True)
class Grid:
    """A tensor of logical `shape` as [rows, cols], the last dimension being the columns.

    `read(begin, end)` gives those rows as an array [end - begin, cols] of stored codes of `dtype`,
    a safetensors type (F32 for a dequantized weight). `packed`: how a device decodes it, if it can.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Read
    packed: Packed | None = None

    @property
    def rows(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def cols(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        return max(1, self.cols * self.item_bytes)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element as `read` gives it."""
        return max(1, dtypes.DTYPES[self.dtype].bits // 8)

    def with_cols(self, cols: int) -> "Grid":
        """The same elements in rows of `cols`, a multiple of the present columns."""
        times = cols // max(1, self.cols)
        if times == 1:
            return self

        def read(first: int, last: int) -> np.ndarray:
            return self.read(first * times, last * times).reshape(last - first, cols)

        return Grid((math.prod(self.shape) // cols, cols), self.dtype, read)
