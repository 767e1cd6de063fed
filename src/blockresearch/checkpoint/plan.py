"""What to measure, cut into parts of about equal cost: the plan.

A part is a shard or, where a shard is costly, a group of its tensors. Parts are cut by predicted
cost alone, never by the machine at hand, so the jobs and their artifacts are the same everywhere.

The plan holds what determines the numbers of a part and nothing else (no commit, no date): the
content hash of its shard and its tensors' places, types, shapes and layouts; of a quantized tensor
its scheme, with the companions and the shards they lie in. The digest of a part changes exactly
when its measurements may change.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from blockresearch.checkpoint.cost import BASE_BYTES, Costed, memory, seconds, solves
from blockresearch.checkpoint.manifest import shard_files, tensor_layouts
from blockresearch.weights.adapters import planned_delta
from blockresearch.weights.layout import MEASURED, Layout

# Short enough that one large shard fills the cores as evenly as many small ones do, long enough
# that the start of a job (two seconds) does not count; more than MAX_PARTS would burden Snakemake.
PART_SECONDS = 15.0

MAX_PARTS = 400


def make_plan(manifest: Mapping[str, Any], part_seconds: float | None = None) -> dict[str, Any]:
    """The plan of a manifest: {"parts": [...]}, each of about `part_seconds`, with

    part, shard, size, sha256, companions (further shards that are read: shard, size, sha256),
    tensors (name, dtype, shape, begin, end, layout …, see `entry`), matrices and singular_values
    (how many), seconds (predicted time of one core), memory (predicted peak, bytes) and digest.
    """
    layouts = tensor_layouts(manifest)
    asked = set(manifest.get("asked", layouts))
    by_name = {tensor["name"]: tensor for tensor in manifest["tensors"]}
    adapter = manifest.get("adapter")
    by_shard: dict[str, list[Costed]] = {}
    for tensor in manifest["tensors"]:
        if layouts[tensor["name"]].kind in MEASURED and tensor["name"] in asked:
            planned = entry(tensor, layouts[tensor["name"]], by_name)
            delta = None if adapter is None else planned_delta(tensor, by_name, adapter)
            if delta is not None:
                planned["delta"] = delta
            by_shard.setdefault(tensor["shard"], []).append((seconds(planned), planned))
    whole = sum(cost for some in by_shard.values() for cost, _ in some)
    target = part_seconds or max(PART_SECONDS, whole / MAX_PARTS)
    files = {file.path: file for file in shard_files(manifest)}
    parts = []
    for number, shard in enumerate(files.values(), 1):
        if "asked" in manifest and shard.path not in by_shard:
            continue
        for group_number, group in enumerate(groups(by_shard.get(shard.path, []), target), 1):
            tensors = [tensor for _, tensor in group]
            others = sorted({s for tensor in tensors for s in shards_read(tensor)} - {shard.path})
            part = {
                "part": f"{number:05d}-{group_number:03d}",
                "shard": shard.path,
                "size": shard.size,
                "sha256": shard.sha256,
                "companions": [
                    {"shard": name, "size": files[name].size, "sha256": files[name].sha256}
                    for name in others
                ],
                "tensors": tensors,
            }
            parts.append(
                part
                | {
                    **_spectra(tensors),
                    "seconds": round(sum(cost for cost, _ in group), 1),
                    "memory": max(map(memory, tensors), default=BASE_BYTES),
                    "digest": digest(part),
                }
            )
    return {"parts": parts}


def entry(
    tensor: Mapping[str, Any],
    layout: Layout,
    by_name: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """A tensor as a part lists it: place and type, layout, and the scheme of a quantized one."""
    planned = {key: tensor[key] for key in ("name", "dtype", "shape", "begin", "end")}
    planned |= layout.data()
    if layout.scheme:
        place = ("name", "shard", "dtype", "shape", "begin", "end")
        planned["scheme"] = {
            "method": layout.scheme.method,
            "formula": layout.scheme.formula,
            "shape": list(layout.scheme.shape),
            "settings": layout.scheme.settings,
            "companions": {
                role: {key: by_name[name][key] for key in place}
                for role, name in sorted(layout.scheme.companions.items())
            },
        }
    return planned


def shards_read(tensor: Mapping[str, Any]) -> list[str]:
    """Shards of the companions and factors that a planned tensor is read with."""
    companions = tensor["scheme"]["companions"].values() if "scheme" in tensor else ()
    factors = [tensor["delta"]["lora_A"]] if "delta" in tensor else []
    return [other["shard"] for other in (*companions, *factors)]


def groups(tensors: list[Costed], part_seconds: float) -> list[list[Costed]]:
    """Tensors of a shard in groups of about `part_seconds`, longest first into the emptiest group.

    One group at least, so that every shard has a part even when nothing in it is measured.
    """
    whole = sum(cost for cost, _ in tensors)
    count = max(1, min(len(tensors), round(whole / part_seconds)))
    result: list[list[Costed]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for cost, tensor in sorted(tensors, key=lambda pair: (-pair[0], pair[1]["begin"])):
        lightest = loads.index(min(loads))
        result[lightest].append((cost, tensor))
        loads[lightest] += cost
    return [sorted(group, key=lambda pair: pair[1]["begin"]) for group in result]


def shards_of(part: Mapping[str, Any]) -> list[str]:
    """The shards that a part is read from: its own, then those of its companions."""
    return [part["shard"], *(other["shard"] for other in part["companions"])]


def _spectra(tensors: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found = [(min(shape), count) for tensor in tensors for shape, count in solves(tensor).items()]
    return {
        "matrices": sum(count for _, count in found),
        "singular_values": sum(length * count for length, count in found),
    }


def digest(part: Mapping[str, Any]) -> str:
    """Short hash of all that determines a part's measurements."""
    # A shard without a hash (read by hand) is identified by name and size alone.
    identity = {key: part[key] for key in ("sha256", "size", "tensors", "companions")}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
