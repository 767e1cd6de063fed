"""What changes from step to step of a training run.

A step is a checkpoint, whose matrices are those of the same name and shape at other steps. What
lies at the same place of equal shards (by their hashes) has not changed: it is not read, and the
row of the step before stands for it, with a change of 0.
"""

import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.manifest import Manifest, manifest_json
from blockresearch.checkpoint.records import changed_tensors
from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.differences import Row, difference
from blockresearch.compare.heads import head_norms, head_size, query_heads
from blockresearch.compare.items import Item, items_of
from blockresearch.compare.matching import Pair
from blockresearch.compare.sides import sides_of
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.model_config import ModelConfig
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.spectra.metrics import spectral_metrics
from blockresearch.spectra.singular_values import singular_values
from blockresearch.tables.io import frame
from blockresearch.text import quoted
from blockresearch.weights.heads import PROJECTIONS
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import panels

log = logging.getLogger(__name__)

# Columns that say how far a matrix is from that of the step before; 0 if its bytes are the same.
SINCE_PREVIOUS = ("change_from_previous", "changed", "delta_storage_rank")


def changed_names(own: Manifest, before: Sequence[Manifest]) -> list[str]:
    """Names of the tensors of a step that must be read: `before` are the first step and the one
    just before, a single one for the second step, and none for the first."""
    known = manifest_json(before[-1]) if before else None
    return changed_tensors(manifest_json(own), known)


def measured_step(own: Checkpoint, before: Sequence[Checkpoint], threads: int) -> pd.DataFrame:
    """The rows of the table dynamics for the tensors of a step that changed since the step before.

    `before` as in `changed_names`. A matrix is measured on each of `threads` cores.
    """
    names = set(changed_names(own.manifest, [step.manifest for step in before]))
    items = [item for item in items_of(own.manifest) if item.tensor.name in names]
    earlier = [_by_name(step.manifest) for step in before]
    partners = list(zip(before, earlier, strict=True))
    order = sorted(items, key=_seconds, reverse=True)
    rows: dict[str, Row] = {}
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        jobs = {pool.submit(_row, item, own, partners): item for item in order}
        for done, job in enumerate(as_completed(jobs), 1):
            rows[jobs[job].name] = job.result()
            log.info("%d of %d: %s", done, len(jobs), quoted(jobs[job].name))
    return frame((rows[item.name] for item in items), "dynamics")


def joined(manifests: Sequence[Manifest], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The table dynamics of all steps, from those that `measured_step` made of each."""
    before, known, found = None, None, []
    for position, (manifest, table) in enumerate(zip(manifests, tables, strict=True)):
        if before is not None and known is not None:
            same = {tensor.name for tensor in manifest.tensors}
            same -= set(changed_tensors(manifest_json(manifest), manifest_json(before)))
            kept = known[known["param_name"].isin(same)].assign(is_read=False)
            kept[list(SINCE_PREVIOUS[:2])] = 0.0
            kept["head_changes_from_previous"] = kept["head_norms"].map(_zeros, na_action="ignore")
            kept["delta_storage_rank"] = kept["delta_storage_rank"].mask(
                kept["spectral_norm"].notna(), 0
            )
            table = pd.concat([table, kept], ignore_index=True)
        places = {tensor.name: place for place, tensor in enumerate(manifest.tensors)}
        table = table.sort_values("param_name", key=lambda own: own.map(places), kind="stable")
        label = step_label(manifest)
        table = table.assign(step=label, position=position, step_number=number_in(label))
        before, known = manifest, table
        found.append(table)
    return pd.concat(found, ignore_index=True)


def heads_of_run(manifests: Sequence[Manifest], dynamics: pd.DataFrame) -> pd.DataFrame:
    """The table dynamics_heads, from the lists of the heads of each matrix in that of all steps."""
    found = []
    of_heads = dynamics[dynamics["head_norms"].notna()]
    for position, manifest in enumerate(manifests):
        heads = ModelConfig(manifest.config).heads
        if heads is None:
            continue
        layers: dict[tuple, dict[str, list]] = {}
        own = of_heads[of_heads["position"] == position].astype(object)
        for row in own.where(own.notna(), None).to_dict("records"):
            place = row["component"], row["layer_index"], row["role"]
            layers.setdefault(place, {})[row["projection"][0]] = _numbers_of_heads(row)
        label = step_label(manifest)
        about = {"step": label, "position": position, "step_number": number_in(label)}
        found += [about | row for row in query_heads(layers, heads)]
    return frame(found, "dynamics_heads")


def step_label(manifest: Manifest) -> str:
    """What a step is called: its revision, or its folder."""
    return manifest.revision or manifest.name.removeprefix("local--")


def number_in(label: str) -> int | None:
    """The number at the end of a step's name: 1000 of step1000 and of checkpoint-1000."""
    digits = re.search(r"[0-9]{1,15}$", label)
    return int(digits[0]) if digits else None


def _by_name(manifest: Manifest) -> dict[str, Item]:
    return {item.name: item for item in items_of(manifest)}


def _seconds(item: Item) -> float:
    return predicted_seconds(*item.shape) if item.has_spectrum else 0.0


def _row(item: Item, own: Checkpoint, before: Sequence[tuple[Checkpoint, dict[str, Item]]]) -> Row:
    """The row of one matrix; a tensor that contradicts itself has no numbers."""
    role = item.tensor.role
    row: Row = {
        "param_name": item.tensor.name,
        "slice": item.matrix.slice,
        "component": role.component,
        "layer_index": role.layer_index,
        "block_type": role.block_type,
        "projection": item.projection or None,
        "role": role.role,
        "expert_index": item.expert,
        "rows": item.matrix.rows,
        "cols": item.matrix.cols,
        "is_read": True,
    }
    try:
        reader = own.open(item.tensor.name)
        stream = partial(panels, reader, item.matrix, PANEL_BYTES)
        size = head_size(item, ModelConfig(own.manifest.config).heads)
        row |= _state(stream, item, size)
        changes = [_change(item, own, step, items, size) for step, items in before]
    except Contradiction as error:
        log.warning("%s", error)
        return row
    if not before:
        nothing: Row = {"change_from_first": 0.0, "cosine_to_first": 1.0}
        if "head_norms" in row:
            nothing["head_changes_from_first"] = _zeros(row["head_norms"])
        return row | nothing
    first, previous = changes[0], changes[-1]
    return row | {
        "change_from_first": first.get("relative_change"),
        "cosine_to_first": first.get("cosine"),
        "head_changes_from_first": first.get("head_changes"),
        "change_from_previous": previous.get("relative_change"),
        "changed": previous.get("changed"),
        "delta_storage_rank": previous.get("delta_storage_rank"),
        "head_changes_from_previous": previous.get("head_changes"),
    }


def _state(stream: Callable[[], Iterator[np.ndarray]], item: Item, size: int) -> Row:
    """Norms of the matrix and of its heads of `size` rows, and what follows from the singular
    values; missing if an element is not finite."""
    total = sum(float(np.sum(np.square(panel, dtype=np.float64))) for panel in stream())
    if not math.isfinite(total):
        return {}
    row: Row = {"frobenius_norm": math.sqrt(total)}
    if size:
        row["head_norms"] = head_norms(stream(), size, PROJECTIONS[item.projection]).tolist()
    if not item.has_spectrum:
        return row
    values = singular_values(stream, *item.shape).values
    metrics = spectral_metrics(values, *item.shape)
    return row | {name: metrics[name] for name in ("spectral_norm", "stable_rank", "alpha")}


def _change(
    item: Item, own: Checkpoint, step: Checkpoint, items: dict[str, Item], size: int
) -> Row:
    """The difference to the same matrix of an earlier step, and in `head_changes` that of each of
    its heads of `size` rows; empty if that step has none of its shape."""
    earlier = items.get(item.name)
    if earlier is None or earlier.shape != item.shape:
        return {}
    readers = step.open(earlier.tensor.name), own.open(item.tensor.name)
    sides = sides_of(Pair("matched", earlier, item), *readers, None)
    found = difference(sides, item.has_spectrum)
    if not size or found["not_finite"]:
        return found
    by_columns = PROJECTIONS[item.projection]
    norms = head_norms(sides.base.panels(), size, by_columns)
    deltas = head_norms(sides.deltas(), size, by_columns)
    changes = np.divide(deltas, norms, out=np.full(len(norms), np.nan), where=norms > 0)
    return found | {"head_changes": changes.tolist()}


def _zeros(numbers: Sequence[float]) -> list[float]:
    """As many zeros: no head changed."""
    return [0.0] * len(numbers)


def _numbers_of_heads(row: Row) -> list[Row]:
    """The numbers of each head of a matrix, from the lists of its row."""
    lists = {
        "norm": row["head_norms"],
        "change_from_first": row["head_changes_from_first"],
        "change_from_previous": row["head_changes_from_previous"],
    }
    return [
        {name: numbers[head] for name, numbers in lists.items() if numbers is not None}
        for head in range(len(row["head_norms"]))
    ]
