"""Measure the tensors of parts: values, matrices, singular values.

The results are rows of the tables params, matrices, spectra and histograms, without the columns
for its role (block type, layer …) and origin. `merge` adds those, so that a better name never
causes a new measurement.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.plan import Part
from blockresearch.measurement.elements import Computed, compute, compute_values
from blockresearch.measurement.settings import TABLES, Settings
from blockresearch.safetensors.reader import unchanged
from blockresearch.spectra.metrics import Rounding, spectral_metrics
from blockresearch.text import quoted
from blockresearch.values.dequantized import find_codes
from blockresearch.values.distribution import Distribution
from blockresearch.weights.adapters.change import read_change
from blockresearch.weights.adapters.delta import Delta
from blockresearch.weights.layout import Matrix, matrices, whole
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, open_tensor
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight

log = logging.getLogger(__name__)

NOT_FINITE = "none: the matrix has NaN or infinite elements"

NOT_REQUESTED = "none: not requested"

# Columns that depend on the smallest singular values: missing if those are not refined (mode rank).
SMALL_END = ("condition_number", "bottom_decile_energy", "storage_rank", "storage_rank_min")


@dataclass
class Rows:
    """Rows per table, in the order measured."""

    params: list[dict[str, Any]] = field(default_factory=list)
    matrices: list[dict[str, Any]] = field(default_factory=list)
    spectra: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[dict[str, Any]] = field(default_factory=list)

    def extend(self, other: "Rows") -> None:
        """Append the rows of `other`, table by table."""
        for table in TABLES:
            getattr(self, table).extend(getattr(other, table))


def measure_part(
    files: Mapping[str, Path], part: Part, settings: Settings, threads: int = 1
) -> Rows:
    """Measure every tensor of `part`, on `threads` cores, one tensor per core.

    `files` has the paths of its shard and of the shards with companions of its tensors.
    """
    with _workers(threads) as pool:
        return _measure(files, part, settings, pool.map)


def _measure(
    files: Mapping[str, Path], part: Part, settings: Settings, apply: Callable[..., Iterable]
) -> Rows:
    """The rows of a part; `apply` is map, or what does the same on several cores."""
    sizes = {files[content.shard]: content.size for content in part.shards}
    rows = Rows()
    with unchanged(sizes):
        measured = apply(lambda weight: _logged(files, weight, settings), part.weights)
        for number, (line, found) in enumerate(measured, 1):
            rows.extend(found)
            log.info("%d/%d %s", number, len(part.weights), line)
    return rows


def measure_parts(
    files: Mapping[str, Path], parts: Iterable[Part], settings: Settings, threads: int
) -> Iterator[tuple[Part, Rows]]:
    """Measure parts on `threads` cores, one part per core; yield each part with its rows.

    Parts start in the order given. `files` has the paths of all shards that they are read from.
    """
    with _workers(threads) as pool:
        waiting = {pool.submit(_measure, files, part, settings, map): part for part in parts}
        yield from ((waiting[done], done.result()) for done in as_completed(waiting))


@contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool; work that has not begun when the block ends early is given up."""
    # Two single-threaded solvers are faster than one on two threads.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _logged(files: Mapping[str, Path], weight: Weight, settings: Settings) -> tuple[str, Rows]:
    """What the log says of a measured tensor, and its rows."""
    started = time.perf_counter()
    rows = measure_tensor(files, weight, settings)
    stored, seconds = weight.stored, time.perf_counter() - started
    return f"{quoted(weight.name)} {stored.dtype} {list(stored.shape)}: {seconds:.2f} s", rows


def measure_tensor(files: Mapping[str, Path], weight: Weight, settings: Settings) -> Rows:
    """Measure one tensor.

    A quantized weight whose companions contradict it is not measured: its only row is one of
    spectra, whose method states the reason.
    """
    try:
        source = open_tensor(files, weight)
    except Contradiction as error:
        log.warning("%s", error)
        return Rows(
            spectra=[{"param_name": weight.name, "slice": "", "method": f"none: {error.rule}"}]
        )
    numel = math.prod(source.shape)
    # A scheme may give the shape in the data of a companion, so it is that of the open tensor.
    view = whole(source.shape, weight.layout)
    parts = matrices(source.shape, weight.layout)
    content = content_hash(source, settings.chunk_bytes)
    if parts == (view,):
        found = compute(source, view, settings)
        distribution = found.distribution
        numbers = summary_row(distribution)
        solved = [measure_matrix(source, view, found, numbers)]
    else:
        distribution = compute_values(source, view, settings)
        numbers = summary_row(distribution)
        solved = [
            measure_matrix(source, matrix, compute(source, matrix, settings)) for matrix in parts
        ]
    storage = {
        "quantisation": weight.layout.scheme.method if weight.layout.scheme else None,
        "bits_per_weight": 8 * weight.stored_bytes / numel if numel else None,
    }
    result = Rows(
        params=[
            {
                "param_name": weight.name,
                "shape": list(weight.stored.shape),
                "rows": view.rows,
                "cols": view.cols,
                "dtype": weight.stored.dtype,
                "nbytes": weight.stored.nbytes,
                "content": content,
                **storage,
                **numbers,
                **(solved[0].metrics if parts == (view,) else {}),
            }
        ],
        matrices=[{**matrix.row, **storage} for matrix in solved],
        spectra=[matrix.spectrum for matrix in solved],
    )
    histogram = distribution.histogram()
    if histogram is not None:
        codes, counts = histogram
        result.histograms.append(
            {
                "param_name": weight.name,
                "dtype": weight.stored.dtype,
                "codes": codes.tolist(),
                "counts": counts.tolist(),
            }
        )
    for expert, delta in read_change(weight.change, files.__getitem__) if weight.change else ():
        change = measure_delta(delta, expert, weight.stored, settings)
        result.matrices.append(change.row)
        result.spectra.append(change.spectrum)
    _sort_by_expert(result)
    return result


def _sort_by_expert(rows: Rows) -> None:
    """Put the rows of one tensor in the order of `merge`, experts first to last, in both tables."""
    experts = [row["expert_index"] for row in rows.matrices]
    places = sorted(range(len(experts)), key=lambda i: -1 if experts[i] is None else experts[i])
    rows.matrices = [rows.matrices[place] for place in places]
    rows.spectra = [rows.spectra[place] for place in places]


@dataclass(frozen=True)
class Measured:
    """One measured matrix: its rows of the tables matrices and spectra, its spectral metrics."""

    row: dict[str, Any]
    spectrum: dict[str, Any]
    metrics: dict[str, Any]


def measure_matrix(
    source: TensorReader,
    matrix: Matrix,
    found: Computed,
    numbers: dict[str, Any] | None = None,
) -> Measured:
    """Values and spectrum of one matrix of a tensor, from what was computed of its elements.

    `numbers`: the summary of its distribution, if already computed. A matrix with NaN or infinite
    elements has no singular values: they and everything computed from them are missing.
    """
    stored, distribution, spectrum = source.weight.stored, found.distribution, found.spectrum
    numbers = numbers or summary_row(distribution)
    if numbers["finite_count"] != numbers["numel"]:
        return _measured(stored, matrix, numbers, None, NOT_FINITE, {})
    metrics: dict[str, Any] = {}
    if spectrum is not None:
        metrics = spectral_metrics(
            spectrum.values,
            matrix.rows,
            matrix.cols,
            # The step of the stored codes of a dequantized weight is unknown here.
            None if source.weight.is_quantized else _rounding(distribution),
            numbers["min"] == numbers["max"],
        )
        if spectrum.mode == "rank":
            metrics |= dict.fromkeys(SMALL_END)
    if found.rounded is not None:
        metrics |= found.rounded.errors
        if not source.weight.is_quantized:
            metrics |= _former_codes(found.rounded.sample)
    if spectrum is None:
        return _measured(stored, matrix, numbers, None, NOT_REQUESTED, metrics)
    return _measured(stored, matrix, numbers, spectrum.values, spectrum.method, metrics)


def _former_codes(sample: np.ndarray) -> dict[str, Any]:
    found = find_codes(sample)
    if found is None:
        return {}
    return {
        "coded_bits": found.bits,
        "coded_group": found.group or None,
        "coded_format": found.format,
    }


def _rounding(distribution: Distribution) -> Rounding | None:
    typical, most = distribution.storage_bound(), distribution.rounding_norm()
    return None if typical is None or most is None else Rounding(typical, most)


def measure_delta(delta: Delta, expert: int | None, tensor: Stored, settings: Settings) -> Measured:
    """The change that an adapter makes to a weight, as a matrix next to its factors."""
    rows, cols = delta.shape
    matrix = Matrix(rows, cols, expert=expert, piece="delta")
    distribution = Distribution("F32", rows, cols, settings.sparsity_threshold)
    for block in delta.blocks(settings.chunk_bytes):
        distribution.update(block)
    numbers = summary_row(distribution)
    if numbers["finite_count"] != numbers["numel"]:
        return _measured(tensor, matrix, numbers, None, NOT_FINITE, {})
    found = delta.singular_values()
    metrics = spectral_metrics(found, rows, cols, is_constant=numbers["min"] == numbers["max"])
    return _measured(tensor, matrix, numbers, found, "factored", metrics)


def _measured(
    tensor: Stored,
    matrix: Matrix,
    numbers: Mapping[str, Any],
    found: np.ndarray | None,
    method: str,
    metrics: dict[str, Any],
) -> Measured:
    key = {
        "param_name": tensor.name,
        "slice": matrix.slice,
        "rows": matrix.rows,
        "cols": matrix.cols,
    }
    side = min(matrix.rows, matrix.cols)
    ratios = {
        f"{name}_ratio": metrics[name] / side
        for name in ("rank", "resolved_rank")
        if metrics.get(name) is not None
    }
    return Measured(
        row={
            **key,
            "expert_index": matrix.expert,
            "piece": matrix.piece or None,
            "dtype": tensor.dtype,
            **ratios,
            **numbers,
            **metrics,
        },
        spectrum={
            **key,
            "method": method,
            "precision": None if found is None else "float64",
            "singular_values": None if found is None else found.tolist(),
        },
        metrics=metrics,
    )


def summary_row(distribution: Distribution) -> dict[str, Any]:
    """Summary of a distribution and its largest |w| with their positions, as in the tables."""
    found = distribution.top()
    return {
        **distribution.summary(),
        "top_values": [value for _, _, value in found],
        "top_rows": [row for row, _, _ in found],
        "top_cols": [col for _, col, _ in found],
    }


def content_hash(source: TensorReader, chunk_bytes: int) -> str:
    """First 16 hex digits of the SHA-256 of a tensor's stored bytes."""
    digest = hashlib.sha256()
    stored = source.weight.stored
    for chunk in source.chunks(stored.begin, stored.end, chunk_bytes):
        digest.update(chunk.data)
    return digest.hexdigest()[:16]
