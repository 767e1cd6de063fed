"""What the graph of heads is made from: orthonormal bases of what heads write and read.

The bases of some layers are a file, so that several jobs can measure layers, and weights may be
gone when heads of all layers are compared. It is an .npz of NumPy with arrays named
`component/layer/role/name`; equal bases give equal bytes.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.circuits.layer import Layer
from blockresearch.files import atomic

# Inputs of a head that can be followed.
PARTS = ("key", "value", "query")

WRITTEN = "written"


@dataclass(frozen=True)
class Block:
    """An attention block whose bases are in the file `path`."""

    component: str
    layer: int
    role: str
    path: Path

    def arrays(self, names: Iterable[str]) -> list[np.ndarray]:
        """The arrays [n, size, width] of `bases_of` of these names."""
        with np.load(self.path) as file:
            return [file[f"{self.component}/{self.layer}/{self.role}/{name}"] for name in names]


def bases_of(layer: Layer, parts: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays of a layer by their names in a file, float32.

    `written` [heads, size, out] and the `parts` that are followed [heads or groups, size, in] have
    orthonormal rows; `qk` and `ov` [heads, size, size] are those of `Factors`. A cross attention
    reads keys and values from another stack, so these have none.
    """
    found: dict[str, np.ndarray] = {}
    for attention in layer.attentions:
        factors = attention.factors
        sides = {"key": factors.k, "value": factors.v, "query": factors.q}
        own = {WRITTEN: factors.o} | {
            part: sides[part] for part in parts if part == "query" or attention.role == "self"
        }
        arrays = {name: [each.basis.T for each in some] for name, some in own.items()}
        arrays |= {"qk": factors.qk, "ov": factors.ov}
        start = f"{layer.component}/{layer.index}/{attention.role}"
        found |= {f"{start}/{name}": np.array(each, np.float32) for name, each in arrays.items()}
    return found


def write_bases(arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Write the arrays [n, size, width] of some layers, atomically."""
    named: dict[str, Any] = dict(arrays)
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **named)


def read_blocks(path: str | os.PathLike[str]) -> list[Block]:
    """The attention blocks of a file, in order."""
    with np.load(path) as file:
        places = dict.fromkeys(tuple(name.split("/")[:3]) for name in file.files)
    return [Block(component, int(layer), role, Path(path)) for component, layer, role in places]
