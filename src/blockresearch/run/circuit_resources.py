"""Resources of the jobs of circuits, predicted from manifest and plan as in `resources`.

They were measured beside what the jobs take: tests/benchmarks/RESULTS.md, "Jobs of circuits,
predicted and measured".
"""

import math
from dataclasses import dataclass

from blockresearch.checkpoint.layer_groups import LayerGroup
from blockresearch.run.resources import (
    BYTES_READ,
    DISK,
    MB,
    PRODUCTS_PER_SECOND,
    START_SECONDS,
    Need,
    Size,
    need,
)

# Of jobs that read weights for circuits: libraries.
CIRCUITS_MB = 265

# Of directions: the usual size of a head; libraries with a panel, scores of a thread, and a token.
HEAD_SIZE = 64

LENS_MB, LENS_THREAD_MB, LENS_TOKEN_BYTES = 370, 20, 1000

# Of heavy_tails, for a singular value: bytes as a table and as arrays, and seconds of its samples.
SPECTRA_VALUE_BYTES, FIT_SECONDS = 32, 1.5e-5


@dataclass(frozen=True)
class Cost:
    """Seconds that pass on the cores of a job, and its peak memory in bytes, without margins."""

    seconds: float
    memory: float


def measuring_layers(group: LayerGroup) -> Cost:
    """Of circuits_part on one core."""
    return Cost(START_SECONDS + group.seconds, CIRCUITS_MB * MB + group.memory)


def finding_circuits(model: Size, threads: int = 1) -> Cost:
    """Of circuits: the inputs of some layers, and for each thread what one layer writes, with its
    cosines."""
    memory = CIRCUITS_MB * MB + 4 * model.deepest * (threads + 2)
    return Cost(START_SECONDS + model.products / PRODUCTS_PER_SECOND / threads, memory)


def fitting_tails(model: Size, threads: int = 1) -> Cost:
    """Of heavy_tails: all singular values, and samples of fits."""
    memory = CIRCUITS_MB * MB + SPECTRA_VALUE_BYTES * model.values
    return Cost(START_SECONDS + FIT_SECONDS * model.tails / threads, memory)


def naming_directions(model: Size, threads: int = 1) -> Cost:
    """Of directions: a panel of tokens, with its scores for each thread, tokens with their texts,
    and all directions; scores of all directions with all tokens."""
    width = model.elements / max(model.tokens, 1)
    directions = model.attention / max(width * HEAD_SIZE, 1) + 8 * model.mlps / max(model.mlp, 1)
    memory = LENS_TOKEN_BYTES * model.tokens + 16 * directions * width
    memory += (LENS_MB + LENS_THREAD_MB * threads) * MB
    work = 2 * directions * model.elements
    return Cost(START_SECONDS + work / PRODUCTS_PER_SECOND / threads, memory)


def to_measure_layers(group: LayerGroup | None, attempt: int = 1) -> Need:
    """Of circuits_part."""
    if group is None:
        return need(60, 1000 * MB, attempt=attempt)
    size = sum(BYTES_READ * math.prod(tensor["shape"]) for tensor in group.tensors)
    cost = measuring_layers(group)
    return need(cost.seconds + size / DISK, cost.memory, size, attempt)


def to_find_circuits(model: Size, threads: int, attempt: int = 1) -> Need:
    """Of circuits on `threads` cores."""
    cost = finding_circuits(model, threads)
    return need(cost.seconds, cost.memory, 3 * model.attention, attempt)


def to_fit_tails(model: Size, threads: int, attempt: int = 1) -> Need:
    """Of heavy_tails on `threads` cores."""
    cost = fitting_tails(model, threads)
    return need(cost.seconds, cost.memory, attempt=attempt)


def to_name_directions(model: Size, threads: int, attempt: int = 1) -> Need:
    """Of directions on `threads` cores."""
    cost = naming_directions(model, threads)
    return need(cost.seconds, cost.memory, attempt=attempt)
