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
from blockresearch.compare.items import Item, items_of
from blockresearch.compare.matching import Pair
from blockresearch.compare.sides import sides_of
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.spectra.metrics import spectral_metrics
from blockresearch.spectra.singular_values import singular_values
from blockresearch.tables.io import frame
from blockresearch.text import quoted
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
        row |= _state(stream, item)
        changes = [_change(item, own, step, items) for step, items in before]
    except Contradiction as error:
        log.warning("%s", error)
        return row
    if not before:
        return row | {"change_from_first": 0.0, "cosine_to_first": 1.0}
    first, previous = changes[0], changes[-1]
    return row | {
        "change_from_first": first.get("relative_change"),
        "cosine_to_first": first.get("cosine"),
        "change_from_previous": previous.get("relative_change"),
        "changed": previous.get("changed"),
        "delta_storage_rank": previous.get("delta_storage_rank"),
    }


def _state(stream: Callable[[], Iterator[np.ndarray]], item: Item) -> Row:
    """Norm, and what follows from the singular values; missing if an element is not finite."""
    total = sum(float(np.sum(np.square(panel, dtype=np.float64))) for panel in stream())
    if not math.isfinite(total):
        return {}
    row: Row = {"frobenius_norm": math.sqrt(total)}
    if not item.has_spectrum:
        return row
    values = singular_values(stream, *item.shape).values
    metrics = spectral_metrics(values, *item.shape)
    return row | {name: metrics[name] for name in ("spectral_norm", "stable_rank", "alpha")}


def _change(item: Item, own: Checkpoint, step: Checkpoint, items: dict[str, Item]) -> Row:
    """The difference to the same matrix of an earlier step; empty if that has none of its shape."""
    earlier = items.get(item.name)
    if earlier is None or earlier.shape != item.shape:
        return {}
    readers = step.open(earlier.tensor.name), own.open(item.tensor.name)
    sides = sides_of(Pair("matched", earlier, item), *readers, None)
    return difference(sides, item.has_spectrum)
