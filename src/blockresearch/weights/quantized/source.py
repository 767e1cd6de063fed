"""How shapes and types of codes and companions settle the settings of a quantization scheme.

One function for each kind of storage: from the tensors of a candidate to (method, formula, logical
shape, settings) as `quantised.Scheme` keeps them, or Unfit with what contradicts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_bytes

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype

POWERS = {"U8", "F8_E8M0"}  # scales that are powers of two: 2^(code - 127)

Settings = tuple[str, str, tuple[int, ...], dict[str, Any]]


class Unfit(ValueError):
    """Shapes or settings that contradict the scheme; the message is the reason in coverage.csv."""


class Found(NamedTuple):
    """The tensors of one candidate: codes and companions by role, as (name, shape, dtype)."""

    owner: Tensor
    by_role: dict[str, Tensor]
    config: Mapping[str, Any]

    def shape(self, role: str) -> tuple[int, ...]:
        return self.by_role[role][1]

    def dtype(self, role: str) -> str | None:
        return self.by_role[role][2] if role in self.by_role else None


class Contradiction(SafetensorsError):
    """The data of a quantized weight and its companions do not fit each other; `rule` says how."""

    def __init__(self, where: str, rule: str):
        super().__init__(f"{where}: {rule}.")
        self.rule = rule


PathOf = Callable[[str], Path]

Entry = Mapping[str, Any]  # a tensor of the plan: name, dtype, shape, begin, end …


@dataclass(frozen=True)
class _Source:
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
        """The whole owner as little-endian words of 32 bits, in its shape."""
        raw = read_bytes(self.shard, self.entry["begin"], self.entry["end"])
        return raw.view("<u4").reshape(self.entry["shape"])

    def has(self, role: str) -> bool:
        return role in self.entry["scheme"]["companions"]

    def raw(self, role: str) -> tuple[np.ndarray, str, tuple[int, ...]]:
        """Bytes, type and shape of a companion."""
        companion = self.entry["scheme"]["companions"][role]
        path = self.path_of(companion["shard"])
        raw = read_bytes(path, companion["begin"], companion["end"])
        return raw, companion["dtype"], tuple(companion["shape"])

    def codes(self, role: str) -> np.ndarray:
        """A companion as stored integers."""
        raw, dtype, shape = self.raw(role)
        return raw.view(dtypes.storage(dtype)).reshape(shape)

    def values(self, role: str, powers: bool = False) -> np.ndarray:
        """A companion as float32; with `powers`, U8 codes are exponents of two."""
        raw, dtype, shape = self.raw(role)
        dtype = "F8_E8M0" if powers and dtype in POWERS else dtype
        return dtypes.decode(raw, dtype, np.float32).reshape(shape)

    def fail(self, rule: str) -> Contradiction:
        return Contradiction(f"{self.shard}: tensor {self.entry['name']!r}", rule)


def _group_of_column(source: _Source, cols: int, width: int, groups: int) -> int | np.ndarray:
    """Group of each column, or its width where groups are just consecutive columns."""
    index = source.codes("g_idx").reshape(-1).astype(np.int64)
    if len(index) != cols or (index >= groups).any() or (index < -1).any():
        raise source.fail(f"g_idx does not name groups 0 to {groups - 1} for {cols} columns")
    # -1 throughout is an unused g_idx.
    if (index == -1).all() or np.array_equal(index, np.arange(cols) // width):
        return width
    return index
