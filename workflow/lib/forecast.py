"""What the analysis of a model will take, told from its manifest and plan before it is started.

Times are those of the plan: seconds of one core of the machine the cost model was measured on. The
work of P parts on c cores takes at least the longest of them, and at least the sum divided by c.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from workflow.lib import dag, naming, needs
from workflow.lib.plan import tensor_layouts, tensor_signatures

# Profile -> cores that measure at once, parts that one job measures in turn.
PROFILES = {
    "default, 8 cores": (8, 1),
    "default, 64 cores": (64, 1),
    "slurm, 200 jobs": (200, 8),
}
# Bytes per second of a good line, and seconds of merge and reports for a model.
LINE = 100e6
REPORTS_SECONDS = 60.0
# Jobs of a model beside its parts and downloads: resolve, merge, tokens, tables, pictures, pages.
OTHER_JOBS = 12


def forecast(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Size, parameters by block type, bytes by dtype, jobs, and for each profile time and memory.

    bytes, download and disk are in bytes, seconds in core seconds, memory in bytes.
    """
    parts = plan["parts"]
    total = sum(part["seconds"] for part in parts)
    peak = max((part["memory"] for part in parts), default=0)
    used = manifest["files"]
    download = sum(map(dag.fetched_bytes, used)) if manifest["model_id"] else 0
    tokens = [math.prod(tensor["shape"]) for tensor in dag.token_tensors(manifest)]
    clustering = needs.clustering_seconds(max(tokens, default=0))
    return {
        "model": manifest["model"],
        "commit": manifest["commit"],
        **{key: manifest["totals"][key] for key in ("bytes", "parameters", "tensors")},
        "shards": sum(file["role"] == "shard" for file in used),
        "parameters_by_block": parameters_by_block(manifest),
        "bytes_by_dtype": bytes_by_dtype(manifest),
        "jobs": len(parts) + (len(used) if download else 0) + OTHER_JOBS,
        "parts": len(parts),
        "seconds": total,
        "longest_part": max((part["seconds"] for part in parts), default=0.0),
        "download": download,
        "disk": download + needs.tables_bytes(plan),
        "profiles": {
            name: {
                "seconds": download / LINE
                + elapsed([part["seconds"] for part in parts], cores, in_turn)
                + max(clustering, REPORTS_SECONDS),
                "memory": peak * (1 if in_turn > 1 else min(cores, max(len(parts), 1))),
            }
            for name, (cores, in_turn) in PROFILES.items()
        },
    }


def elapsed(seconds: list[float], cores: int, in_turn: int) -> float:
    """Seconds for parts on `cores`, `in_turn` consecutive ones to a job: the bound from below."""
    jobs = [sum(seconds[start : start + in_turn]) for start in range(0, len(seconds), in_turn)]
    return max(max(jobs, default=0.0), sum(jobs) / cores)


def parameters_by_block(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Elements once unpacked by block type, most first; companions of quantised ones left out."""
    roles = naming.classify(tensor_signatures(manifest), manifest["config"])
    layouts = tensor_layouts(manifest)
    found: Counter[str] = Counter()
    for tensor in manifest["tensors"]:
        layout = layouts[tensor["name"]]
        if layout.kind != "companion":
            shape = layout.scheme.shape if layout.scheme else tensor["shape"]
            found[roles[tensor["name"]].block_type] += math.prod(shape)
    return dict(found.most_common())


def bytes_by_dtype(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Stored bytes by the dtype of the file, most first."""
    found: Counter[str] = Counter()
    for tensor in manifest["tensors"]:
        found[tensor["dtype"]] += tensor["end"] - tensor["begin"]
    return dict(found.most_common())


def lines(told: Mapping[str, Any]) -> Iterable[str]:
    """A forecast as text for people."""
    commit = f" at {told['commit']}" if told["commit"] else ""
    yield f"{told['model']}{commit}"
    yield (
        f"  {told['parameters']:,} parameters in {told['tensors']:,} tensors, "
        f"{told['shards']} shards, {amount(told['bytes'])}"
    )
    whole = max(sum(told["parameters_by_block"].values()), 1)
    for block, count in told["parameters_by_block"].items():
        yield f"    {block:<20}{count:>20,}{100 * count / whole:>7.1f} %"
    stored = ", ".join(f"{name} {amount(size)}" for name, size in told["bytes_by_dtype"].items())
    yield f"  stored as {stored}"
    yield (
        f"  {told['jobs']} jobs, {told['parts']} of them measure: {duration(told['seconds'])} of "
        f"one core, the longest {duration(told['longest_part'])}"
    )
    yield f"  download {amount(told['download'])}, disk {amount(told['disk'])}"
    for name, cost in told["profiles"].items():
        memory = f"memory {amount(cost['memory'])}" + (" a job" if "jobs" in name else "")
        yield f"  {name:<20}{duration(cost['seconds']):>10}   {memory}"


def amount(size: float) -> str:
    """Bytes with the unit that fits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def duration(seconds: float) -> str:
    """Seconds with the unit that fits."""
    for unit, length, enough in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < enough * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"
