"""The bytes of one quantized weight: its codes and its companions, wherever they lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_bytes

PathOf = Callable[[str], Path]

Entry = Mapping[str, Any]  # a tensor of the plan: name, dtype, shape, begin, end …


class Contradiction(SafetensorsError):
    """The data of a quantized weight and its companions do not fit each other; `rule` says how."""

    def __init__(self, where: str, rule: str):
        super().__init__(f"{where}: {rule}.")
        self.rule = rule


@dataclass(frozen=True)
class Source:
    """One quantized weight: its entry, and where its file and its companions' files lie."""

    entry: Entry
    path_of: PathOf
    shard: Path

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.entry["scheme"]["settings"]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.entry["scheme"]["shape"])

    def rows(self, row_bytes: int) -> Callable[[int, int], np.ndarray]:
        """Reads the bytes of rows of the owner: uint8 [n, row_bytes]."""
        begin = self.entry["begin"]

        def read(first: int, last: int) -> np.ndarray:
            raw = read_bytes(self.shard, begin + first * row_bytes, begin + last * row_bytes)
            return raw.reshape(last - first, row_bytes)

        return read

    def words(self) -> np.ndarray:
        """The whole owner as little-endian words of 32 bits, uint32 in its shape."""
        raw = read_bytes(self.shard, self.entry["begin"], self.entry["end"])
        return raw.view("<u4").reshape(self.entry["shape"])

    def has(self, role: str) -> bool:
        return role in self.entry["scheme"]["companions"]

    def raw(self, role: str) -> tuple[np.ndarray, str, tuple[int, ...]]:
        """Bytes (uint8), type and shape of a companion."""
        companion = self.entry["scheme"]["companions"][role]
        path = self.path_of(companion["shard"])
        raw = read_bytes(path, companion["begin"], companion["end"])
        return raw, companion["dtype"], tuple(companion["shape"])

    def codes(self, role: str) -> np.ndarray:
        """A companion as stored integers, in its shape."""
        raw, dtype, shape = self.raw(role)
        return raw.view(dtypes.storage(dtype)).reshape(shape)

    def values(self, role: str, read_as: str | None = None) -> np.ndarray:
        """A companion as float32 in its shape; `read_as` is what its U8 codes are codes of."""
        raw, dtype, shape = self.raw(role)
        dtype = read_as if read_as and dtype == "U8" else dtype
        return dtypes.decode(raw, dtype, np.float32).reshape(shape)

    def group_of_column(self, cols: int, width: int, groups: int) -> int | np.ndarray:
        """Group of each column [cols], or its width where groups are just consecutive columns.

        Raises Contradiction if `g_idx` names other groups than 0 to `groups` - 1.
        """
        if not self.has("g_idx"):
            return width
        index = self.codes("g_idx").reshape(-1).astype(np.int64)
        if len(index) != cols or (index >= groups).any() or (index < -1).any():
            raise self.fail(f"g_idx does not name groups 0 to {groups - 1} for {cols} columns")
        # -1 throughout is an unused g_idx.
        if (index == -1).all() or np.array_equal(index, np.arange(cols) // width):
            return width
        return index

    def fail(self, rule: str) -> Contradiction:
        """The error that says what of the data contradicts the scheme."""
        return Contradiction(f"{self.shard}: tensor {self.entry['name']!r}", rule)
