"""The factors of an adapter plan, from the weights of both sides, in a file of PEFT.

Of each matrix the leading right singular vectors V of Δ are the eigenvectors of its Gram matrix on
the shorter side (float64). With Δ V = U Σ the factors are B = U √Σ [rows, r] and
A = √Σ Vᵀ [r, cols], whose columns and rows have the same sizes. Their product is the best
approximation of rank r (Eckart and Young 1936).

One Δ is in memory at a time (float32, decoded), and its Gram matrix.
"""

import math
import os
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
from scipy.linalg import eigh

from blockresearch.compare.checkpoint import Checkpoint, Source
from blockresearch.compare.items import Item
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.plans.adapter import Adapter, Module, Piece
from blockresearch.plans.changes import Place, change, items_by_place
from blockresearch.safetensors.writer import WRITTEN, Written, rounded, write_tensors
from blockresearch.weights.layout import whole
from blockresearch.weights.reading import panels, row_starts

# Prefix of the names of all tensors in an adapter.
PREFIX = "base_model.model."

# Rows of Δ that are multiplied at once.
ROWS = 1024

# Type in which a module is stored as a whole if its type is none that is written.
OTHERWISE = "F32"


def write_factors(
    adapter: Adapter,
    base: Source,
    other: Source,
    dtype: str,
    path: str | os.PathLike[str],
) -> dict[str, float]:
    """Write factors of type `dtype` (F32 or BF16), and the modules that are stored as a whole.

    Returns ‖Δ − B A‖ / ‖Δ‖ of each module with the factors as they are written.
    """
    tensors: dict[str, Written] = {}
    for module in adapter.modules:
        name, count = _name(module, adapter), module.rank * max(module.experts, 1)
        tensors[f"{name}.lora_A.weight"] = Written(dtype, (count, module.cols))
        tensors[f"{name}.lora_B.weight"] = Written(dtype, (module.rows, count))
    whole_ones = [pair for own in adapter.saved.values() for pair in own.items()]
    for name, source in whole_ones:
        stored = other.manifest.by_name[source]
        is_written = stored.layout.scheme is None and stored.dtype in WRITTEN
        form = stored.dtype if is_written else OTHERWISE
        tensors[f"{PREFIX}{name}"] = Written(form, stored.logical_shape)
    errors: dict[str, float] = {}

    def values() -> Iterator[np.ndarray]:
        items = tuple(items_by_place(side.manifest) for side in (base, other))
        # Shards that are not in place are downloaded for one group.
        for _, group in groupby(adapter.modules, lambda module: _shard(module, base)):
            modules = list(group)
            pieces = [piece for module in modules for piece in module.pieces]
            with (
                base.reading(piece.base[0] for piece in pieces) as mine,
                other.reading(piece.other[0] for piece in pieces) as theirs,
            ):
                for module in modules:
                    a, b, errors[module.name] = _factors(module, mine, theirs, items, dtype)
                    yield a
                    yield b
        for _, source in whole_ones:
            tensor = other.manifest.by_name[source]
            view = whole(tensor.logical_shape, tensor.layout)
            with other.reading([source]) as theirs:
                yield from panels(theirs.open(source), view, PANEL_BYTES)

    write_tensors(path, tensors, values())
    return errors


def _name(module: Module, adapter: Adapter) -> str:
    """Where PEFT keeps the factors. Of two parameters of a module it wraps the first one first."""
    if not module.experts:
        return f"{PREFIX}{module.name}"
    parent, _, parameter = module.name.rpartition(".")
    others = {each.name for each in adapter.modules}
    is_inner = parameter == "gate_up_proj" and f"{parent}.down_proj" in others
    return f"{PREFIX}{parent}{'.base_layer' if is_inner else ''}"


def low_rank(delta: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """B [rows, rank] and A [rank, cols], float64, of the best approximation B A of Δ."""
    if delta.shape[0] < delta.shape[1]:
        a, b = low_rank(delta.T, rank)
        return b.T, a.T
    n = delta.shape[1]
    gram = np.zeros((n, n))
    for first in range(0, len(delta), ROWS):
        block = delta[first : first + ROWS].astype(np.float64)
        gram += block.T @ block
    _, vectors = eigh(gram, overwrite_a=True, subset_by_index=(n - rank, n - 1))
    vectors = vectors[:, ::-1]
    image = delta @ vectors
    sizes = np.sqrt(np.maximum(np.linalg.norm(image, axis=0), np.finfo(np.float32).tiny))
    return image / sizes, sizes[:, None] * vectors.T


def _factors(
    module: Module,
    base: Checkpoint,
    other: Checkpoint,
    items: tuple[Mapping[Place, Item], ...],
    dtype: str,
) -> tuple[np.ndarray, np.ndarray, float]:
    """A and B of a module as they are written, float32, and their error.

    Of a parameter of experts A is [experts · rank, cols], expert by expert, and B
    [rows, rank · experts], direction by direction.
    """
    experts = max(module.experts, 1)
    a = np.zeros((experts, module.rank, module.cols), np.float32)
    b = np.zeros((module.rows, module.rank, experts), np.float32)
    starts = dict(zip(module.ranks, np.cumsum([0, *module.ranks.values()]), strict=False))
    lost = total = 0.0
    for number, piece in enumerate(module.pieces):
        item = items[0][piece.base]
        delta = change(item, items[1][piece.other], base, other)
        left, right = (rounded(each, dtype) for each in low_rank(delta, piece.rank))
        expert, key = piece.expert or (0, str(number))
        own = slice(starts[key], starts[key] + piece.rank)
        a[expert, own] = right
        b[_rows(item, piece, module), own, expert] = left
        for start in range(0, len(delta), ROWS):
            block = delta[start : start + ROWS].astype(np.float64)
            total += float(np.square(block).sum())
            block -= left[start : start + ROWS].astype(np.float64) @ right
            lost += float(np.square(block).sum())
    shapes = (-1, module.cols), (module.rows, -1)
    return a.reshape(shapes[0]), b.reshape(shapes[1]), math.sqrt(lost / total)


def _rows(item: Item, piece: Piece, module: Module) -> Any:
    """The rows of a module [out, in] that are those of a piece of it."""
    if item.is_whole:
        # Of experts that are stored one by one, gate comes before up.
        first = piece.rows if piece.expert and piece.expert[1] == "up_proj" else 0
        return slice(first, first + piece.rows) if module.experts else slice(None)
    if module.experts:
        return row_starts(item.matrix) // piece.cols % module.rows
    starts, matrix = row_starts(item.matrix), item.matrix
    return starts // piece.cols if matrix.stride == 1 else starts % matrix.stride


def _shard(module: Module, base: Source) -> str:
    return base.manifest.by_name[module.pieces[0].base[0]].shard
