"""A stored tensor as the headers describe it: name, type, shape, and where its bytes lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored tensor.

    name      as in the header
    shard     its file, relative to the model's folder
    dtype     safetensors name, e.g. BF16
    shape     as stored
    begin     first byte in the file
    end       one past its last byte
    """

    name: str
    shard: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.end - self.begin

    @property
    def numel(self) -> int:
        """Elements as stored."""
        return math.prod(self.shape)


def place_of(tensor: Stored) -> Stored:
    """The tensor without the additional fields of a subclass, so that places compare equal."""
    return Stored(tensor.name, tensor.shard, tensor.dtype, tensor.shape, tensor.begin, tensor.end)


def stored_json(tensor: Stored) -> dict[str, Any]:
    """The tensor as manifest and plan keep it."""
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "shard": tensor.shard,
        "begin": tensor.begin,
        "end": tensor.end,
    }


def stored_from_json(entry: Mapping[str, Any], shard: str | None = None) -> Stored:
    """The tensor of an entry of a manifest or plan; `shard` if the entry does not name it."""
    return Stored(
        entry["name"],
        entry["shard"] if shard is None else shard,
        entry["dtype"],
        tuple(entry["shape"]),
        entry["begin"],
        entry["end"],
    )
