"""What to measure, cut into parts of about equal cost: the plan.

A part is a shard or, where a shard is costly, a group of its tensors. Parts are cut by predicted
cost alone, never by the machine at hand, so the jobs and their artifacts are the same everywhere.

The plan holds what determines the numbers of a part and nothing else (no commit, no date): the
content hash of its shard and its tensors' places, types, shapes and layouts. The digest of a part
changes exactly when its measurements may change.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from workflow.lib import matrices, naming
from workflow.lib.checkpoint import shard_files
from workflow.lib.spectrum import predicted_bytes, predicted_seconds

# Short enough that one large shard fills the cores as evenly as many small ones do, long enough
# that the start of a job (two seconds) does not count; more than MAX_PARTS would burden Snakemake.
PART_SECONDS = 15.0
MAX_PARTS = 400
VALUE_BYTES_PER_SECOND = 5e8
# Rounding one element to all low-bit formats.
ROUNDING_SECONDS = 6e-9
# Interpreter, libraries and the chunks of the value pass.
BASE_BYTES = 500 * 1024**2


def make_plan(manifest: Mapping[str, Any], part_seconds: float | None = None) -> dict[str, Any]:
    """The plan of a manifest: {"parts": [...]}, each of about `part_seconds`, with

    part, shard, size, sha256, tensors (name, dtype, shape, begin, end, layout), seconds (predicted
    time of one core), memory (predicted peak, bytes) and digest.
    """
    layouts = tensor_layouts(manifest)
    measured = [
        tensor | {"layout": layouts[tensor["name"]].kind}
        for tensor in manifest["tensors"]
        if layouts[tensor["name"]].kind in matrices.MEASURED
    ]
    target = part_seconds or max(PART_SECONDS, sum(map(seconds, measured)) / MAX_PARTS)
    parts = []
    for number, shard in enumerate(shard_files(manifest), 1):
        tensors = [
            {key: tensor[key] for key in ("name", "dtype", "shape", "begin", "end", "layout")}
            for tensor in measured
            if tensor["shard"] == shard.path
        ]
        for group_number, group in enumerate(groups(tensors, target), 1):
            part = {
                "part": f"{number:05d}-{group_number:03d}",
                "shard": shard.path,
                "size": shard.size,
                "sha256": shard.sha256,
                "tensors": group,
            }
            parts.append(
                part
                | {
                    "seconds": round(sum(map(seconds, group)), 1),
                    "memory": max(map(memory, group), default=BASE_BYTES),
                    "digest": digest(part),
                }
            )
    return {"parts": parts}


def tensor_layouts(manifest: Mapping[str, Any]) -> dict[str, matrices.Layout]:
    """Layout of each tensor of a manifest."""
    signatures = tensor_signatures(manifest)
    return matrices.layouts(signatures, naming.classify(signatures, manifest["config"]))


def tensor_signatures(manifest: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...], str]]:
    """(name, shape, dtype) of each tensor of a manifest."""
    return [(t["name"], tuple(t["shape"]), t["dtype"]) for t in manifest["tensors"]]


def groups(
    tensors: Iterable[Mapping[str, Any]], part_seconds: float
) -> list[list[Mapping[str, Any]]]:
    """Tensors of a shard in groups of about `part_seconds`, longest first into the emptiest group.

    One group at least, so that every shard has a part even when nothing in it is measured.
    """
    tensors = list(tensors)
    count = max(1, min(len(tensors), round(sum(map(seconds, tensors)) / part_seconds)))
    result: list[list[Mapping[str, Any]]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for tensor in sorted(tensors, key=lambda tensor: (-seconds(tensor), tensor["begin"])):
        lightest = loads.index(min(loads))
        result[lightest].append(tensor)
        loads[lightest] += seconds(tensor)
    return [sorted(group, key=lambda tensor: tensor["begin"]) for group in result]


def seconds(tensor: Mapping[str, Any]) -> float:
    """Predicted time of one core to measure `tensor`."""
    solves = matrices.matrices(tuple(tensor["shape"]), tensor["layout"])
    spectra = sum(predicted_seconds(matrix.rows, matrix.cols) for matrix in solves)
    rounding = ROUNDING_SECONDS * sum(matrix.rows * matrix.cols for matrix in solves)
    return spectra + rounding + (tensor["end"] - tensor["begin"]) / VALUE_BYTES_PER_SECOND


def memory(tensor: Mapping[str, Any]) -> int:
    """Predicted peak memory of one worker that measures `tensor`, bytes."""
    solves = matrices.matrices(tuple(tensor["shape"]), tensor["layout"])
    rows, cols = matrices.view(tuple(tensor["shape"]), tensor["layout"])
    sums = 64 * (rows + cols)
    return BASE_BYTES + sums + max((predicted_bytes(m.rows, m.cols) for m in solves), default=0)


def digest(part: Mapping[str, Any]) -> str:
    """Short hash of all that determines a part's measurements."""
    # A shard without a hash (read by hand) is identified by name and size alone.
    identity = {key: part[key] for key in ("sha256", "size", "tensors")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
