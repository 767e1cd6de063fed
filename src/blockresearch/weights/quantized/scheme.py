"""What a file of a quantization scheme offers to the registry, and what it works on.

A scheme is one file in this folder. It holds the layout and its source in its docstring, the rows
FORMATS (which tensors make up a weight, and the function that reads its settings off their names,
types, shapes and the configuration) and FORMULAS (the functions that decode it).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.settings import config_groups
from blockresearch.weights.quantized.source import Source

Tensor = tuple[str, tuple[int, ...], str]  # name, shape, safetensors dtype

INTEGERS = frozenset({"U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"})

# How the reasons begin of weights whose companions cannot belong to them, by shape and by content.
DOES_NOT_FIT = "quantized storage that does not fit its scheme"

CONTRADICTORY = "contradictory"

FLOAT8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})

MAX_SMALL_VALUES = 4096

POWERS = frozenset({"U8", "F8_E8M0"})  # scales that are powers of two: 2^(code - 127)

Settings = tuple[str, str, tuple[int, ...], dict[str, Any]]


class Unfit(ValueError):
    """Shapes or settings contradict the scheme; the message is the reason in coverage.csv."""


class NotDecoded(ValueError):
    """The storage is sound, and no code here decodes it; the message names it."""


ReadSmall = Callable[[str], bytes]


class Found(NamedTuple):
    """The tensors of one candidate: codes and companions by role, as (name, shape, dtype).

    `stem` is the owner's name without the ending of its codes, `config` the settings of
    quantization, `read_small` returns the bytes of a tensor (None if only headers are at hand).
    """

    owner: Tensor
    by_role: dict[str, Tensor]
    config: Mapping[str, Any]
    stem: str = ""
    read_small: ReadSmall | None = None

    @property
    def module(self) -> str:
        """Name of the module: the stem without `.weight`, of a bare parameter its own."""
        return self.stem.removesuffix(".weight")

    @property
    def stated(self) -> list[Mapping[str, Any]]:
        """What `config_groups` states about the weights of this module, [] without any."""
        names = (self.module, self.module.rpartition(".")[0], self.stem)
        return [group["weights"] for group in config_groups(self.config, names)]

    def shape(self, role: str) -> tuple[int, ...]:
        return self.by_role[role][1]

    def dtype(self, role: str) -> str | None:
        return self.by_role[role][2] if role in self.by_role else None

    def integers(self, role: str) -> list[int] | None:
        """The values of a small companion of integers, None if its bytes are not at hand."""
        if role not in self.by_role or self.read_small is None:
            return None
        name, shape, dtype = self.by_role[role]
        kind = DTYPES[dtype]
        if kind.kind != "int" or math.prod(shape) > MAX_SMALL_VALUES:
            return None
        return np.frombuffer(self.read_small(name), dtypes.storage(dtype)).tolist()


class Format(NamedTuple):
    """One way in which a scheme lies in a file.

    `codes` is how the name of the codes ends and `dtypes` what types they have. `needed` and
    `optional` are the endings, by role, that stand in its place in the names of companions.
    `read` returns (method, formula, logical shape, settings); it raises Unfit or NotDecoded.
    `methods` are the values of `quant_method` that define this layout: under these, or if the
    config states none, sizes that do not fit contradict the config.
    """

    codes: str
    dtypes: frozenset[str]
    needed: dict[str, str]
    optional: dict[str, str]
    read: Callable[[Found], Settings]
    methods: frozenset[str] = frozenset()
    least_dimensions: int = 2


class SchemeFile(Protocol):
    """A row of the registry: a module of this folder."""

    @property
    def FORMATS(self) -> tuple[Format, ...]: ...

    @property
    def FORMULAS(self) -> dict[str, Callable[[Source], Grid]]: ...


@dataclass(frozen=True)
class Scheme:
    """How one weight is stored.

    `method` is what tables call it, `formula` a key of a scheme's FORMULAS. `shape` is the logical
    shape in the model's orientation as far as headers tell. `companions` maps roles to names.
    """

    method: str
    formula: str
    shape: tuple[int, ...]
    companions: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)
