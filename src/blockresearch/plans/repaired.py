"""The repaired model of a repair plan: the files of the fine-tune with W₀ + Δ* in place of W.

Each shard of the fine-tune is copied, and the elements of the repaired matrices in the copy are
replaced. So headers, names, types and all other bytes stay as they are. Values are rounded to the
type that they are stored in, to the nearest, ties to even; what that changes is measured. Matrices
that are stored quantized, or in a type that is not written, stay.

One stored tensor is in memory at a time, one Δ of it (float32), and its Gram matrix.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from blockresearch.checkpoint.borrow import borrowed
from blockresearch.checkpoint.manifest import Tensor
from blockresearch.compare.checkpoint import Checkpoint, Lent, Source
from blockresearch.compare.items import Item
from blockresearch.compare.matching import Pair
from blockresearch.compare.sides import sides_of
from blockresearch.files import atomic
from blockresearch.plans.changes import items_by_place
from blockresearch.plans.factors import ROWS, low_rank
from blockresearch.plans.repair import Repair
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.writer import WRITTEN, encoded, rounded
from blockresearch.weights.reading import row_starts

# Files of a local folder that loaders read beside those of the manifest.
BESIDE = (
    *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt"),
    *("preprocessor_config.json", "processor_config.json"),
)

# Roles of files that are copied as they are.
COPIED = ("index", "config", "tokenizer")


@dataclass(frozen=True)
class Outcome:
    """A matrix as it was written.

    norm    ‖W' − W₀‖ of what was written
    error   ‖W' − (W₀ + Δ*)‖, by rounding to the stored type
    """

    name: str
    rank: int
    norm: float
    error: float


def write_repaired(
    repairs: Sequence[Repair], base: Source, other: Lent, folder: str | os.PathLike[str]
) -> tuple[list[Outcome], list[str]]:
    """Write the repaired model to `folder`, shard by shard; the matrices that were written, and the
    names of those that stay because of how they are stored."""
    items = tuple(items_by_place(side.manifest) for side in (base, other))
    stays = [each.name for each in repairs if not _is_written(items[1][each.other])]
    by_shard: dict[str, list[Repair]] = {shard.path: [] for shard in other.manifest.shards}
    for each in repairs:
        item = items[1][each.other]
        if _is_written(item):
            by_shard[item.tensor.shard].append(each)
    outcomes: list[Outcome] = []
    for shard in other.manifest.shards:
        own = by_shard[shard.path]
        with (
            borrowed(other.manifest, [shard], other.weights, other.folder) as files,
            base.reading(each.base[0] for each in own) as mine,
            atomic(Path(folder, shard.path)) as copy,
        ):
            shutil.copyfile(files[shard.path], copy)
            theirs = Checkpoint(other.manifest, files)
            for name, group in groupby(own, lambda each: each.other[0]):
                tensor = other.manifest.by_name[name]
                codes = _read(copy, tensor)
                for each in group:
                    places = items[0][each.base], items[1][each.other]
                    outcomes.append(_repair(each, *places, mine, theirs, codes))
                with copy.open("rb+") as file:
                    file.seek(tensor.begin)
                    file.write(codes.tobytes())
    _copy_others(other, Path(folder))
    return outcomes, stays


def _read(shard: Path, tensor: Tensor) -> np.ndarray:
    """The codes of a tensor, unsigned integers [elements]."""
    codes = f"<u{DTYPES[tensor.dtype].bits // 8}"
    return np.fromfile(shard, codes, tensor.numel, offset=tensor.begin)


def _is_written(item: Item) -> bool:
    return item.tensor.layout.scheme is None and item.tensor.dtype in WRITTEN


def _repair(
    each: Repair,
    base_item: Item,
    item: Item,
    base: Checkpoint,
    other: Checkpoint,
    codes: np.ndarray,
) -> Outcome:
    """Replace a matrix in the codes of its tensor."""
    tensor = item.tensor
    readers = base.open(base_item.tensor.name), other.open(tensor.name)
    sides = sides_of(Pair("matched", base_item, item), *readers, None)
    delta = np.concatenate([panel.astype(np.float32) for panel in sides.deltas()])
    left, right = low_rank(delta, each.rank) if each.rank else (None, None)
    starts = row_starts(item.matrix)
    across = np.arange(item.matrix.cols, dtype=np.int64) * item.matrix.stride
    norm = error = 0.0
    first = 0
    for rows in _blocks(sides.base.panels()):
        last = first + len(rows)
        kept = 0 if left is None else left[first:last] @ right
        wanted = rows + kept
        written = rounded(wanted.astype(np.float32), tensor.dtype)
        raw = np.frombuffer(encoded(written, tensor.dtype), codes.dtype).reshape(written.shape)
        codes[starts[first:last, None] + across] = raw
        norm += float(np.square(written - rows).sum())
        error += float(np.square(written - wanted).sum())
        first = last
    return Outcome(each.name, each.rank, norm**0.5, error**0.5)


def _blocks(panels: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Rows in blocks, float64."""
    for panel in panels:
        for start in range(0, len(panel), ROWS):
            yield panel[start : start + ROWS].astype(np.float64)


def _copy_others(other: Lent, folder: Path) -> None:
    """Copy index, config and tokenizer, and from a local folder the files BESIDE them."""
    manifest = other.manifest
    known = manifest.files_of(*COPIED)
    with borrowed(manifest, known, other.weights, other.folder) as files:
        beside = BESIDE if manifest.is_folder else ()
        places = {name: Path(manifest.model_path, name) for name in beside} | dict(files)
        for name, place in places.items():
            if place.is_file():
                with atomic(folder / name) as copy:
                    shutil.copyfile(place, copy)
