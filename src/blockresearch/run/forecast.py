"""Predicted cost of analyzing a model, from its manifest and plan.

Times are for one core of the machine on which the cost model was measured. P parts on c cores take
at least the time of the longest part, and at least the sum divided by c. Shards are measured while
others arrive, so the shorter one of downloading and measuring counts for one shard only.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockresearch.checkpoint.cost import seconds as measuring_seconds
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import Manifest, SourceFile, manifest_json
from blockresearch.checkpoint.plan import Part, plan_json
from blockresearch.checkpoint.records import changed_tensors, fetched_bytes, file_key
from blockresearch.results import REPORTS
from blockresearch.run import circuit_resources, resources
from blockresearch.run.circuit_resources import Cost
from blockresearch.run.resources import (
    JOBS,
    START_SECONDS,
    Size,
    clustering_memory,
    clustering_seconds,
    clustering_threads,
    tables_bytes,
)


@dataclass(frozen=True)
class Profile:
    """A way to run.

    cores    that measure at once
    shards   on the disk at once with keep_weights: false; None if weights are kept
    alone    each job has its own memory
    batches  a core measures the parts of a batch one after the other, as profiles/slurm groups them
    """

    cores: int
    shards: int | None = None
    alone: bool = False
    batches: bool = False


PROFILES = {
    "default, 8 cores": Profile(8),
    "default, 64 cores": Profile(64),
    "low disk, 8 cores": Profile(8, shards=4),
    "slurm, 200 jobs": Profile(200, alone=True, batches=True),
    "slurm, part = job": Profile(200, alone=True),
}


def profiles() -> dict[str, Profile]:
    """Ways to run by name: on this machine first, then those of `PROFILES`."""
    cores = os.cpu_count() or 1
    return {f"this machine, {cores} core{'s'[: cores != 1]}": Profile(cores), **PROFILES}


# Bytes per second of a fast connection.
LINE = 100e6

# Jobs of a model beside its parts, shards, downloads and resources.JOBS: tokens, portal, glossary
# and the target.
OTHER_JOBS = 4

ASSUMED = (
    f"Assumes cores as in the benchmarks, {LINE / 1e6:.0f} MB/s of bandwidth and no queue.",
    "A GPU (profile gpu) computes the matrix products and saves time that is not predicted here.",
)


def forecast(manifest: Manifest, parts: Sequence[Part]) -> dict[str, Any]:
    """Size, parameters by block type, bytes by dtype, jobs; for each profile time, memory, disk;
    for each rule of circuits, which run on request, jobs, time and memory on one core.

    bytes, download, memory and disk are in bytes, seconds in core seconds, those of a profile as
    they pass.
    """
    described = manifest_json(manifest)
    size = resources.size(described, plan_json(parts))
    fetched = [file.fetched_bytes for file in fetched_files(manifest)]
    shards = {part.content.shard for part in parts}
    seconds = [START_SECONDS + part.seconds for part in parts]
    return {
        "model": manifest.model,
        "commit": manifest.commit,
        "bytes": manifest.totals.bytes,
        "parameters": manifest.totals.parameters,
        "tensors": manifest.totals.tensors,
        "shards": len(manifest.shards),
        "parameters_by_block": parameters_by_block(manifest),
        "bytes_by_dtype": bytes_by_dtype(manifest),
        "jobs": len(parts) + len(shards) + len(fetched) + len(JOBS) + OTHER_JOBS,
        "parts": len(parts),
        "seconds": sum(seconds),
        "longest_part": max(seconds, default=0.0),
        "download": sum(fetched),
        "disk": sum(fetched) + tables_bytes(size),
        "profiles": {
            name: _with_profile(profile, parts, size, fetched)
            for name, profile in profiles().items()
        },
        "circuits": {
            job: {
                "jobs": len(costs),
                "seconds": sum(cost.seconds for cost in costs),
                "longest": max(cost.seconds for cost in costs),
                "memory": max(cost.memory for cost in costs),
            }
            for job, costs in circuit_costs(described, size).items()
        },
    }


def circuit_costs(manifest: Mapping[str, Any], size: Size) -> dict[str, list[Cost]]:
    """What the jobs of each rule of circuits take on one core, from a manifest (JSON)."""
    return {
        "circuits_part": [
            circuit_resources.measuring_layers(group) for group in layer_groups(manifest)
        ],
        "circuits": [circuit_resources.finding_circuits(size)],
        "heavy_tails": [circuit_resources.fitting_tails(size)],
        "directions": [circuit_resources.naming_directions(size)],
        **{
            job: [Cost(resources.seconds(job, size), resources.memory(job, size))]
            for job in ("outliers", "25_circuits")
        },
    }


def comparison_line(other: str, base: str, sides: Sequence[Sequence[Part]]) -> str:
    """What comparing two models takes, as text; `sides` are the parts of both."""
    plans = [plan_json(parts)["parts"] for parts in sides]
    found = {cores: resources.comparing(plans, cores) for cores in sorted({os.cpu_count() or 1, 8})}
    each = ", ".join(
        f"{duration(cost.seconds)} and {amount(cost.memory)} on {cores} core{'s'[: cores != 1]}"
        for cores, cost in found.items()
    )
    cost = next(iter(found.values()))
    return (
        f"{other} compared with {base}\n"
        f"  {amount(cost.size)} are read, {duration(cost.work)} of one core: {each}"
    )


def training_lines(steps: Sequence[tuple[Manifest, Sequence[Part]]]) -> Iterable[str]:
    """What following a training run takes, as text; `steps` are manifests and parts in order."""
    found = [_step(steps, place) for place in range(len(steps))]
    files = {
        file_key(file): fetched_bytes(file)
        for manifest, _ in steps
        if not manifest.is_folder
        for file in manifest_json(manifest)["files"]
        if file["role"] == "shard"
    }
    size, work = (sum(each) for each in zip(*found, strict=True))
    taken = ", ".join(
        f"{duration(size / resources.DISK + work / cores)} on {cores} core{'s'[: cores != 1]}"
        for cores in sorted({os.cpu_count() or 1, 8})
    )
    yield f"training run of {len(steps)} steps"
    yield (
        f"  {amount(size)} are read, {duration(work)} of one core: {taken}; "
        f"download and disk {amount(sum(files.values()))}"
    )
    for (manifest, _), (own, seconds) in zip(steps, found, strict=True):
        yield f"    {manifest.name}: {amount(own)}, {duration(seconds)} of one core"


def _step(steps: Sequence[tuple[Manifest, Sequence[Part]]], place: int) -> tuple[int, float]:
    """Bytes that a step reads of itself and of those that it is compared with, and core seconds."""
    manifest, parts = steps[place]
    before = manifest_json(steps[place - 1][0]) if place else None
    names = set(changed_tensors(manifest_json(manifest), before))
    weights = [w for part in parts for w in part.weights if w.stored.name in names]
    # The first step, and the one before unless that is the first.
    compared = min(place, 2)
    size = (1 + compared) * sum(weight.stored_bytes for weight in weights)
    share = resources.STEP_SHARE + compared * resources.CHANGE_SHARE
    return size, START_SECONDS + share * sum(map(measuring_seconds, weights))


def _with_profile(
    profile: Profile, parts: Sequence[Part], size: Size, fetched: list[int]
) -> dict[str, float]:
    download = sum(fetched) / LINE
    jobs = job_seconds(parts, profile.batches)
    threads = clustering_threads(size.elements, profile.cores, sum(jobs))
    cluster = clustering_seconds(size.elements, threads)
    measure = max(cluster, elapsed([*jobs, *[cluster] * threads], profile.cores))
    both = max(download, measure) + min(download, measure) / max(len(fetched), 1)
    reports = reports_seconds(size, in_turn=profile.alone)
    memory = sorted((part.memory for part in parts), reverse=True)
    others = [
        clustering_memory(size.elements),
        *(resources.memory(job, size) for job in JOBS),
    ]
    at_once = 1 if profile.alone else profile.cores
    weights = sorted(fetched, reverse=True)[: profile.shards]
    return {
        "download": download,
        "measure": measure,
        "reports": reports,
        "seconds": both + reports,
        "memory": max(sum(memory[:at_once]), *others),
        "disk": sum(weights) + tables_bytes(size),
    }


def fetched_files(manifest: Manifest) -> list[SourceFile]:
    """The files that are downloaded by separate jobs; none of a local folder."""
    if manifest.is_folder:
        return []
    return [file for file in manifest.files_of("shard", "tokenizer") if file.fetched_bytes]


def job_seconds(parts: Iterable[Part], batches: bool) -> list[float]:
    """Seconds of the jobs that measure: of the parts, or of their `batches`."""
    found: dict[str, float] = {}
    for part in parts:
        # A batch is named by all but the last digit: up to ten parts of a shard.
        job = part.part[:-1] if batches else part.part
        found[job] = found.get(job, 0.0) + START_SECONDS + part.seconds
    return list(found.values())


def elapsed(seconds: list[float], cores: int) -> float:
    """Seconds for jobs on `cores`: the bound from below."""
    return max(max(seconds, default=0.0), sum(seconds) / cores)


def reports_seconds(size: Size, in_turn: bool) -> float:
    """Seconds from the last part to the last page: all jobs `in_turn`, or the longest chain."""
    seconds = {job: resources.seconds(job, size) for job in JOBS}
    if in_turn:
        return sum(seconds.values())
    notebooks = max(took for job, took in seconds.items() if job in REPORTS)
    chain = ("merge", "transformer_analysis", "model_page")
    return notebooks + sum(seconds[job] for job in chain)


def parameters_by_block(manifest: Manifest) -> dict[str, int]:
    """Elements once unpacked by block type, most first; companions of quantized ones left out."""
    found: Counter[str] = Counter()
    for tensor in manifest.tensors:
        if tensor.layout.kind != "companion":
            found[tensor.role.block_type] += math.prod(tensor.logical_shape)
    return dict(found.most_common())


def bytes_by_dtype(manifest: Manifest) -> dict[str, int]:
    """Stored bytes by the dtype of the file, most first."""
    found: Counter[str] = Counter()
    for tensor in manifest.tensors:
        found[tensor.dtype] += tensor.nbytes
    return dict(found.most_common())


def lines(forecast: Mapping[str, Any]) -> Iterable[str]:
    """A forecast as text."""
    commit = f" at {forecast['commit']}" if forecast["commit"] else ""
    yield f"{forecast['model']}{commit}"
    yield (
        f"  {forecast['parameters']:,} parameters in {forecast['tensors']:,} tensors, "
        f"{forecast['shards']} shard{'s' * (forecast['shards'] != 1)}, {amount(forecast['bytes'])}"
    )
    whole = max(sum(forecast["parameters_by_block"].values()), 1)
    for block, count in forecast["parameters_by_block"].items():
        yield f"    {block:<20}{count:>20,}{100 * count / whole:>7.1f} %"
    stored = ", ".join(
        f"{name} {amount(size)}" for name, size in forecast["bytes_by_dtype"].items()
    )
    yield f"  stored as {stored}"
    yield (
        f"  {forecast['jobs']} jobs, {forecast['parts']} of them measure: "
        f"{duration(forecast['seconds'])} of one core, the longest "
        f"{duration(forecast['longest_part'])}"
    )
    yield f"  download {amount(forecast['download'])}, disk {amount(forecast['disk'])}"
    columns = ("download", "measure", "reports", "in all", "memory", "disk")
    yield f"  {'profile':<24}" + "".join(f"{column:>12}" for column in columns)
    for name, cost in forecast["profiles"].items():
        times = (duration(cost[key]) for key in ("download", "measure", "reports", "seconds"))
        memory = amount(cost["memory"]) + (
            "/job" if name in PROFILES and PROFILES[name].alone else ""
        )
        cells = (*times, memory, amount(cost["disk"]))
        yield f"  {name:<24}" + "".join(f"{cell:>12}" for cell in cells)
    yield "  with circuits in analyses, in seconds of one core:"
    yield f"  {'':<24}" + "".join(
        f"{column:>12}" for column in ("jobs", "in all", "longest", "memory")
    )
    for job, cost in forecast["circuits"].items():
        cells = (str(cost["jobs"]), duration(cost["seconds"]), duration(cost["longest"]))
        yield f"  {job:<24}" + "".join(f"{cell:>12}" for cell in (*cells, amount(cost["memory"])))
    yield from (f"  {sentence}" for sentence in ASSUMED)


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
