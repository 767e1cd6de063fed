"""What a job needs of a machine, predicted from manifest and plan before anything runs.

Schedulers kill a job that takes more than it asked for and let one wait that asks for too much, so
memory and time follow from the shapes of the tensors. What is asked for grows with every attempt.

Everything here is also used while the Snakefile is parsed: it imports nothing but the standard
library and reads plain JSON values.
"""

import math
from collections.abc import Mapping
from typing import Any

MB = 1024**2
# Slower machines, shared disks, a start of Python and of Snakemake in every job.
TIME_FACTOR = 4
START_MINUTES = 5
MEMORY_FACTOR = 1.2
# Bytes per second, of a slow line and of a shared disk.
LINE = 5e6
DISK = 100e6
# Interpreter, pandas, matplotlib and the notebook's kernel.
BASE_MB = 1000
# Of the tables: bytes of memory for a matrix (all columns and its histogram), seconds to write it.
MATRIX_BYTES = 20_000
MATRIX_SECONDS = 1e-3
# Of merge, which keeps no histograms: 300 MB and 12 kB a tensor, measured up to 90,000 tensors.
MERGE_BASE_MB, MERGE_TENSOR_BYTES = 300, 12_000
# Of resolve_model, which does not know the tensors before it has run: enough for 140,000.
RESOLVE_MB = 700
# Of embedding_analysis: libraries and what does not grow with the table.
CLUSTER_BASE_MB = 430

Need = dict[str, int]


def need(seconds: float, memory: float = BASE_MB * MB, disk: float = 0, attempt: int = 1) -> Need:
    """Resources as executors name them: mem_mb, runtime (minutes) and disk_mb.

    `seconds`, `memory` and `disk` (bytes) are predictions; the margins are added here, and memory
    and time are multiplied by `attempt`.
    """
    return {
        "mem_mb": attempt * math.ceil(memory * MEMORY_FACTOR / MB),
        "runtime": attempt * math.ceil(START_MINUTES + TIME_FACTOR * seconds / 60),
        "disk_mb": math.ceil(disk / MB) + 100,
    }


def to_resolve(folder_bytes: int, attempt: int = 1) -> Need:
    """Of resolve_model: headers and plan in memory, the bytes of a local folder hashed."""
    return need(60 + folder_bytes / DISK, RESOLVE_MB * MB, attempt=attempt)


def to_download(size: int, attempt: int = 1) -> Need:
    """Of download: a file of `size` bytes on a slow line."""
    return need(size / LINE, BASE_MB * MB / 4, size, attempt)


def to_measure(part: Mapping[str, Any], attempt: int = 1) -> Need:
    """Of analyze: what the plan predicts for the part; disk for its shards where none is shared."""
    size = part["size"] + sum(other["size"] for other in part["companions"])
    return need(part["seconds"] + size / DISK, part["memory"], size, attempt)


def to_merge(plan: Mapping[str, Any], attempt: int = 1) -> Need:
    """Of merge: by the number of tensors."""
    tensors = _tensors(plan)
    memory = MERGE_BASE_MB * MB + MERGE_TENSOR_BYTES * tensors
    return need(MATRIX_SECONDS * tensors, memory, tables_bytes(plan), attempt)


def to_report(plan: Mapping[str, Any], attempt: int = 1) -> Need:
    """Of what reads the merged tables, notebooks among it: by the number of tensors."""
    tensors = _tensors(plan)
    memory = BASE_MB * MB + MATRIX_BYTES * tensors
    return need(MATRIX_SECONDS * tensors, memory, tables_bytes(plan), attempt)


def tables_bytes(plan: Mapping[str, Any]) -> int:
    """Bytes on disk of all results of a model, reports and pictures included."""
    return 20 * MB + 2 * MATRIX_BYTES * _tensors(plan)


def _tensors(plan: Mapping[str, Any]) -> int:
    return sum(len(part["tensors"]) for part in plan["parts"])


def to_cluster(elements: int, attempt: int = 1) -> Need:
    """Of embedding_analysis: the larger of the token tables in float32 and half of it again."""
    memory = CLUSTER_BASE_MB * MB + 6 * elements
    return need(clustering_seconds(elements), memory, attempt=attempt)


def clustering_seconds(elements: int) -> float:
    """Predicted seconds of one core for embedding_analysis of a table of so many elements.

    Small tables have all their neighbours searched, larger ones those of a sample.
    """
    return 4 + min(1.1e-6 * elements, 25 + 2e-7 * elements)


def to_list(models: int, attempt: int = 1) -> Need:
    """Of portal: one page for all models."""
    return need(0.1 * models, BASE_MB * MB, attempt=attempt)
