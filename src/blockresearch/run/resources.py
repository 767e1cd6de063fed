"""Resources of jobs, predicted from manifest and plan before anything runs.

Schedulers kill a job that uses more than it requested, and delay one that requests too much. So
memory and time follow from the sizes of tensors and tables. The request grows with every attempt.
The numbers are measured: tests/benchmarks/RESULTS.md, "Predicted and measured".

Everything here is also used while the Snakefile is parsed: it imports nothing but the standard
library and reads plain JSON values.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from blockresearch.checkpoint.layer_groups import tail_values
from blockresearch.checkpoint.records import (
    attention_tensors,
    mlp_tensors,
    token_tensors,
)
from blockresearch.files import Version, read_json, version

MB, KB = 1024**2, 1024

# Slower machines, shared disks, a start of Snakemake in every job.
TIME_FACTOR = 4

START_MINUTES = 5

MEMORY_FACTOR = 1.2

# Bytes per second, of a slow line and of a shared disk.
LINE = 5e6

DISK = 100e6

# Start of Python and its libraries in a job of analyze; the plan has the seconds of the tensors.
START_SECONDS = 1.4

# Of measure_shard if there is nothing to be done.
LOOK_MB, LOOK_SECONDS = 50, 0.3

# Of resolve_model: without a tensor, and for a byte of the shards' headers.
RESOLVE_MB, RESOLVE_SECONDS = 130, 0.7

HEADER_BYTES, HEADER_SECONDS = 32, 9e-7

# For file list and headers of a model on the hub to arrive.
HUB_SECONDS = 60

LONGEST_HEADER = 25_000_000  # longer ones are refused

# Those of a model on the hub are not known before: enough for 140,000 tensors.
UNKNOWN_HEADERS = 19_500_000

# Of embedding_analysis: libraries and what does not grow with the table.
CLUSTER_BASE_MB = 430

# Bytes of an element on disk, in most checkpoints.
BYTES_READ = 2

# Multiplications of float32 matrices on one core.
PRODUCTS_PER_SECOND = 2e10

# Of compare, beside one analysis for the spectrum of Δ: core seconds for each element (leading
# directions, codes and heads), and for each matrix.
COMPARED_ELEMENT_SECONDS, COMPARED_MATRIX_SECONDS = 1.5e-7, 0.015

# Of measure_step: its core seconds over those of analyzing a tensor, and more for each earlier step
# that it is compared with.
STEP_SHARE, CHANGE_SHARE = 1.2, 1.5

# Of survey_shard: libraries, a buffer for each thread, and seconds for a byte.
SURVEY_MB, SURVEY_THREAD_MB, SURVEY_SECONDS = 100, 35, 4e-9

# Of joining a comparison: libraries, and more for each singular value of the base.
JOIN_MB, JOIN_SECONDS, JOIN_VALUE_BYTES, JOIN_VALUE_SECONDS = 190, 2.0, 1200, 2e-5

# Elements of a token table for each thread of embedding_analysis, and its most threads: the path of
# K-means runs on one.
CLUSTER_THREAD_ELEMENTS, MOST_CLUSTER_THREADS = 16e6, 16

# Of merge, for a part: the start of reading it, again for every piece of a table.
PART_SECONDS = 0.01

Need = dict[str, int]


@dataclass(frozen=True)
class Size:
    """What the needs of a model's later jobs follow from.

    rows      tensors, or matrices where there are more: rows of the tables params and matrices
    values    singular values of all matrices
    parts     jobs of analyze
    tokens    rows of the token tables: embedding, and an untied output layer
    elements  of the larger token table
    attention  elements of all matrices of attention
    deepest   those of the layer that has the most
    products  multiplications for the graph of heads
    mlps      elements of all matrices of dense MLPs
    mlp       those of the largest one
    tails     singular values of the matrices with heavy tails
    """

    rows: int = 0
    values: int = 0
    parts: int = 0
    tokens: int = 0
    elements: int = 0
    attention: int = 0
    deepest: int = 0
    products: int = 0
    mlps: int = 0
    mlp: int = 0
    tails: int = 0


@dataclass(frozen=True)
class Job:
    """Peak memory in MB and core seconds of a job for a model without tensors, and what is added:

    for a row of the tables kB and milliseconds, for a token the same.
    """

    memory: float
    seconds: float
    row: tuple[float, float] = (0, 0)
    token: tuple[float, float] = (0, 0)


JOBS = {
    "merge": Job(200, 1.0, row=(10, 0.3)),
    "transformer_analysis": Job(155, 0.6, row=(7, 0.04)),
    "audit_model": Job(138, 0.7, row=(9, 0.16)),
    "findings": Job(160, 0.9, row=(9, 0.1), token=(3, 0.016)),
    "figures": Job(285, 2.5, token=(0.5, 0.02)),
    "00_setup": Job(200, 1.5, row=(8, 0.06)),
    "10_summary_stats": Job(350, 4.9, row=(7, 0.2)),
    "20_per_layer": Job(350, 5.2, row=(9, 0.15)),
    "30_embedding_output": Job(265, 3.3, row=(4, 0.05), token=(2.3, 0.035)),
    "model_page": Job(160, 0.9, row=(24, 0.5)),
}

# Those that a run of all results does not include.
ON_DEMAND = {
    "quantization_plan": Job(150, 0.8, row=(12, 1.5)),
    "training_plan": Job(150, 1.1, row=(12, 1.0)),
    "sparsity_plan": Job(150, 0.8, row=(12, 0.5)),
    "experts_plan": Job(150, 0.8, row=(12, 0.5)),
    "adapter_plan": Job(150, 1.0, row=(12, 1.0)),
    "repair_plan": Job(150, 1.0, row=(12, 0.5)),
    "outliers": Job(150, 0.8, row=(9, 0.2)),
    "suspects_plan": Job(150, 0.8, row=(12, 0.7)),
    "25_circuits": Job(350, 4.5, row=(3, 0.5)),
    "50_plans": Job(350, 4.0, row=(12, 1.0)),
}

# Those that need only what analyze measures.
BESIDE = ("merge", "transformer_analysis", "audit_model", "00_setup")


def need(seconds: float, memory: float, disk: float = 0, attempt: int = 1) -> Need:
    """Resources as executors name them: mem_mb, runtime (minutes) and disk_mb.

    `seconds`, `memory` and `disk` (bytes) are predictions; the margins are added here, and memory
    and time are multiplied by `attempt`. predicted_s is for the logger plugin, without margin.
    """
    return {
        "predicted_s": math.ceil(seconds),
        "mem_mb": attempt * math.ceil(memory * MEMORY_FACTOR / MB),
        "runtime": attempt * math.ceil(START_MINUTES + TIME_FACTOR * seconds / 60),
        "disk_mb": math.ceil(disk / MB) + 100,
    }


def size(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> Size:
    """The size of a model."""
    parts, tokens = plan["parts"], token_tensors(manifest)
    layers = _attention(manifest)
    mlps = [math.prod(tensor["shape"]) for tensor in mlp_tensors(manifest)]
    return Size(
        rows=sum(max(len(part["tensors"]), _matrices(part)) for part in parts),
        values=sum(part.get("singular_values", 0) for part in parts),
        parts=len(parts),
        tokens=sum(tensor["shape"][0] for tensor in tokens),
        elements=max((math.prod(tensor["shape"]) for tensor in tokens), default=0),
        attention=sum(sum(layer) for layer in layers),
        deepest=max(map(sum, layers), default=0),
        products=_products(layers),
        mlps=sum(mlps),
        mlp=max(mlps, default=0),
        tails=tail_values(manifest),
    )


def _attention(manifest: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Elements of the output projections, and of all other matrices of attention, by layer."""
    found: dict[tuple[str, int], list[int]] = {}
    for tensor in attention_tensors(manifest):
        role = tensor["role"]
        layer = found.setdefault((role["component"], role["layer_index"]), [0, 0])
        layer[role["block_type"] != "o_proj"] += math.prod(tensor["shape"])
    return [(written, read) for _, (written, read) in sorted(found.items())]


def _products(layers: Sequence[tuple[int, int]]) -> int:
    """Multiplications of bases: what is written times keys and values of each later layer.

    Queries take as many rows as outputs have columns, and the width is unknown here but near the
    root of the output projection.
    """
    total = before = 0
    for written, read in layers:
        total += before * max(read - written, 0) // max(math.isqrt(written), 1)
        before += written
    return total


def size_of(manifest: str | None, plan: str | None) -> Size:
    """The size of the model of these files, looked up once as long as they stay the same."""
    if manifest is None or plan is None:
        return Size()
    return _size_of(version(manifest), version(plan))


@cache
def _size_of(manifest: Version, plan: Version) -> Size:
    return size(read_json(manifest[0]), read_json(plan[0]))


def _matrices(part: Mapping[str, Any]) -> int:
    return part.get("matrices", 0)  # plans of earlier versions do not say it


def to_resolve(files: Iterable[str], attempt: int = 1) -> Need:
    """Of resolve_model: headers and plan in memory; `files` of a local folder are hashed."""
    shards = [path for path in files if path.endswith(".safetensors")]
    headers = header_bytes(shards) if shards else UNKNOWN_HEADERS
    waiting = sum(map(os.path.getsize, shards)) / DISK if shards else HUB_SECONDS
    memory, seconds = resolve_memory(headers), resolve_seconds(headers)
    return need(waiting + seconds, memory, attempt=attempt)


def resolve_memory(headers: int) -> float:
    """Predicted peak bytes of resolve_model for so many bytes of headers."""
    return RESOLVE_MB * MB + HEADER_BYTES * headers


def resolve_seconds(headers: int) -> float:
    """Predicted core seconds of resolve_model for so many bytes of headers."""
    return RESOLVE_SECONDS + HEADER_SECONDS * headers


def header_bytes(shards: Iterable[str]) -> int:
    """Length of the headers of local shards, from the first 8 bytes of each."""
    return sum(map(_header_bytes, shards))


def _header_bytes(path: str) -> int:
    """Nothing for what the job will refuse."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError:
        return 0
    return length if length <= min(LONGEST_HEADER, os.path.getsize(path)) else 0


def to_download(size: int, attempt: int = 1) -> Need:
    """Of download: a file of `size` bytes on a slow line."""
    return need(size / LINE, 250 * MB, size, attempt)


def to_measure(part: Mapping[str, Any] | None, attempt: int = 1, threads: int = 1) -> Need:
    """Of analyze: what the plan predicts for the part, `threads` tensors at once; disk for its
    shards where none is shared."""
    if part is None:
        return need(60, 1000 * MB, attempt=attempt)
    size = part["size"] + sum(other["size"] for other in part["companions"])
    seconds = START_SECONDS + part["seconds"] / threads + size / DISK
    return need(seconds, threads * part["memory"], size, attempt)


def seconds_beside(parts: Iterable[Mapping[str, Any]], model: Size) -> float:
    """Predicted core seconds of the jobs that do not wait for the embedding."""
    measure = sum(START_SECONDS + part["seconds"] for part in parts)
    return measure + sum(seconds(job, model) for job in BESIDE)


def to_measure_shard(
    parts: Sequence[Mapping[str, Any]], threads: int, downloads: bool, attempt: int = 1
) -> Need:
    """Of measure_shard: measure the `parts` of a shard, `threads` of them at once, perhaps after
    downloading it.

    Without parts it only looks if the shard is in place.
    """
    if not parts:
        return need(LOOK_SECONDS, LOOK_MB * MB, attempt=attempt)
    size = parts[0]["size"] + sum(other["size"] for part in parts for other in part["companions"])
    longest = max(part["seconds"] for part in parts)
    measure = max(longest, sum(part["seconds"] for part in parts) / threads)
    memory = sorted((part["memory"] for part in parts), reverse=True)[:threads]
    arrive = size / (LINE if downloads else DISK)
    return need(START_SECONDS + arrive + measure, sum(memory), size, attempt)


def to_make(job: str, model: Size, attempt: int = 1) -> Need:
    """Of a job of JOBS or ON_DEMAND."""
    return need(seconds(job, model), memory(job, model), tables_bytes(model), attempt)


def memory(job: str, model: Size) -> float:
    """Predicted peak memory of a job of JOBS or ON_DEMAND, bytes."""
    known = (JOBS | ON_DEMAND)[job]
    found = known.memory * MB + KB * (known.row[0] * model.rows + known.token[0] * model.tokens)
    if job == "merge" and model.rows:
        # Rows as text, and spectra while they are put in order, a piece at a time.
        text, spectra = min(model.rows, 500), min(model.rows, 1000)
        found += 300 * KB * text + 28 * model.values / model.rows * spectra
    return found


def seconds(job: str, model: Size) -> float:
    """Predicted core seconds of a job of JOBS or ON_DEMAND."""
    known = (JOBS | ON_DEMAND)[job]
    found = known.seconds + known.row[1] * model.rows / 1000 + known.token[1] * model.tokens / 1000
    if job == "merge":
        found += PART_SECONDS * model.parts + 2.5e-7 * model.values
    return found


def tables_bytes(model: Size) -> int:
    """Bytes on disk of all results of a model, parts and merged, reports and pictures included."""
    return 20 * MB + 20 * KB * model.rows + 16 * model.values + KB * model.tokens


def to_cluster(model: Size, threads: int, attempt: int = 1) -> Need:
    """Of embedding_analysis on `threads` cores."""
    memory = clustering_memory(model.elements)
    return need(clustering_seconds(model.elements, threads), memory, attempt=attempt)


def clustering_threads(elements: int, cores: int, work: float = 0.0) -> int:
    """Cores of embedding_analysis for a table of so many elements: of those that it keeps busy, the
    number with which it and `work` core seconds beside it end first, on `cores`."""
    share = max(elements / CLUSTER_THREAD_ELEMENTS, 1)
    most = min(2 ** math.ceil(math.log2(share)), MOST_CLUSTER_THREADS, cores)

    def end(threads: int) -> float:
        seconds = clustering_seconds(elements, threads)
        return max(seconds, (work + threads * seconds) / cores)

    return min(range(1, most + 1), key=end)


def clustering_memory(elements: int) -> float:
    """Predicted peak bytes of embedding_analysis: float32 for each element fits, too."""
    return CLUSTER_BASE_MB * MB + 3.5 * elements


def clustering_seconds(elements: int, threads: int = 1) -> float:
    """Predicted seconds of embedding_analysis of a table of so many elements on `threads` cores.

    Imports and the path of K-means run on one core. Small tables have all their neighbors searched,
    larger ones those of a sample.
    """
    alone, shared = 3 + min(2e-7 * elements, 5), min(4e-7 * elements, 9) + 1.1e-7 * elements
    return alone + shared / threads


@dataclass(frozen=True)
class Comparing:
    """What comparing two models takes: bytes that are read, core seconds, seconds that pass on some
    threads, and peak memory in bytes on them."""

    size: int
    work: float
    seconds: float
    memory: int


def comparing(sides: Iterable[Iterable[Mapping[str, Any]]], threads: int) -> Comparing:
    """What a comparison takes whose sides have these parts if all matrices changed: both are read,
    and Δ is solved as one of them is. Raises ValueError without a part."""
    listed = [list(side) for side in sides]
    parts = [part for side in listed for part in side]
    work = sum(map(_compared_seconds, parts)) / 2
    longest = max(part["seconds"] for part in parts)
    memory = sorted((part["memory"] for part in parts), reverse=True)[:threads]
    size = sum(sum({part["shard"]: part["size"] for part in side}.values()) for side in listed)
    seconds = START_SECONDS + size / DISK + max(longest, work / threads)
    return Comparing(size, work, seconds, sum(memory))


def _compared_seconds(part: Mapping[str, Any]) -> float:
    """Core seconds of comparing a part with one like it."""
    shapes = [(own["layout"].get("scheme") or own)["shape"] for own in part["tensors"]]
    elements = sum(map(math.prod, shapes))
    matrices = COMPARED_MATRIX_SECONDS * _matrices(part)
    return part["seconds"] + COMPARED_ELEMENT_SECONDS * elements + matrices


def to_compare(
    sides: Iterable[Iterable[Mapping[str, Any]]], threads: int, attempt: int = 1
) -> Need:
    """Of what compares; `sides` are the parts of both. Without plans as much as an unknown part."""
    listed = [list(side) for side in sides]
    if not any(listed):
        return need(60, 1000 * MB, attempt=attempt)
    found = comparing(listed, threads)
    return need(found.seconds, found.memory, found.size, attempt)


def to_survey(size: int, threads: int, downloads: bool, attempt: int = 1) -> Need:
    """Of survey_shard for a shard of so many bytes, perhaps after downloading it."""
    seconds = START_SECONDS + size / (LINE if downloads else DISK) + SURVEY_SECONDS * size
    return need(seconds, (SURVEY_MB + SURVEY_THREAD_MB * threads) * MB, size, attempt)


def to_join(base: Size, attempt: int = 1) -> Need:
    """Of joining what compare_part has measured: rows with all their singular values."""
    seconds = JOIN_SECONDS + JOIN_VALUE_SECONDS * base.values
    return need(seconds, JOIN_MB * MB + JOIN_VALUE_BYTES * base.values, 100 * MB, attempt)


def to_list(models: int, attempt: int = 1) -> Need:
    """Of portal and glossary: pages for all models."""
    return need(1 + 0.01 * models, 120 * MB + 500 * KB * models, attempt=attempt)


def to_store(models: int, attempt: int = 1) -> Need:
    """Of adding models to a store."""
    return need(1 + 0.1 * models, 400 * MB, attempt=attempt)
