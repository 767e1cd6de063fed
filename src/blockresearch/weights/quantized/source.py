"""The bytes of one quantized weight: its codes and its companions, wherever they lie."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_bytes
from blockresearch.weights.stored import Stored


class Contradiction(SafetensorsError):
    """The data of a quantized weight and its companions do not fit each other; `rule` says how."""

    def __init__(self, where: str, rule: str):
        super().__init__(f"{where}: {rule}.")
        self.rule = rule


@dataclass(frozen=True)
class Source:
    """One quantized weight as it lies in files.

    stored      the codes
    shape       logical shape, as far as headers give it
    settings    what the scheme has read off names, types, shapes and the configuration
    companions  scales, zero points … by their role in the scheme
    files       shards by name
    """

    stored: Stored
    shape: tuple[int, ...]
    settings: Mapping[str, Any]
    companions: Mapping[str, Stored]
    files: Mapping[str, Path]

    @property
    def shard(self) -> Path:
        """The file of the codes."""
        return self.files[self.stored.shard]

    def rows(self, row_bytes: int) -> Callable[[int, int], np.ndarray]:
        """Reads the bytes of rows of the owner: uint8 [n, row_bytes]."""
        begin = self.stored.begin

        def read(first: int, last: int) -> np.ndarray:
            raw = read_bytes(self.shard, begin + first * row_bytes, begin + last * row_bytes)
            return raw.reshape(last - first, row_bytes)

        return read

    def words(self) -> np.ndarray:
        """The whole owner as little-endian words of 32 bits: uint32 [*shape]."""
        raw = read_bytes(self.shard, self.stored.begin, self.stored.end)
        return raw.view("<u4").reshape(self.stored.shape)

    def has(self, role: str) -> bool:
        """Whether the weight has a companion of this role."""
        return role in self.companions

    def raw(self, role: str) -> np.ndarray:
        """The bytes of a companion, uint8 [bytes]."""
        companion = self.companions[role]
        return read_bytes(self.files[companion.shard], companion.begin, companion.end)

    def codes(self, role: str) -> np.ndarray:
        """A companion as stored integers [*shape]. Raises Contradiction for another type."""
        companion = self.companions[role]
        if dtypes.DTYPES[companion.dtype].kind != "int":
            raise self._odd(companion, "integers")
        return self.raw(role).view(dtypes.storage(companion.dtype)).reshape(companion.shape)

    def values(self, role: str, read_as: str | None = None) -> np.ndarray:
        """A companion as float32 [*shape]; codes of type U8 are read as those of `read_as`.

        Raises Contradiction for truth values and complex numbers.
        """
        companion = self.companions[role]
        if dtypes.DTYPES[companion.dtype].kind not in ("float", "int"):
            raise self._odd(companion, "real numbers")
        dtype = read_as if read_as and companion.dtype == "U8" else companion.dtype
        return dtypes.decode(self.raw(role), dtype, np.float32).reshape(companion.shape)

    def _odd(self, companion: Stored, kind: str) -> Contradiction:
        leaf = companion.name.rpartition(".")[2]
        return self.fail(f"its companion {leaf} is stored as {companion.dtype}, not as {kind}")

    def group_of_column(self, cols: int, width: int, groups: int) -> int | np.ndarray:
        """Group of each column [cols], or its width where groups are just consecutive columns.

        Raises Contradiction if `g_idx` names other groups than 0 to `groups` - 1.
        """
        if not self.has("g_idx"):
            return width
        index = self.codes("g_idx").reshape(-1).astype(np.int64)
        # -1 throughout is an unused g_idx.
        if len(index) == cols and (index == -1).all():
            return width
        if len(index) != cols or index.min() < 0 or index.max() >= groups:
            raise self.fail(f"g_idx does not name groups 0 to {groups - 1} for {cols} columns")
        return width if np.array_equal(index, np.arange(cols) // width) else index

    def fail(self, rule: str) -> Contradiction:
        """The error that says what of the data contradicts the scheme."""
        return Contradiction(f"{self.shard}: tensor {self.stored.name!r}", rule)
