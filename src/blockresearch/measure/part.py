"""Measure the tensors of parts: values, matrices, singular values.

The results are rows of the tables params, matrices, spectra and histograms, without the columns
for its role (block type, layer …) and origin. `merge` adds those, so that a better name never
causes a new measurement.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.plan import Part
from blockresearch.device import slot
from blockresearch.safetensors import dtypes
from blockresearch.safetensors.reader import unchanged
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.spectra.metrics import Rounding, spectral_metrics
from blockresearch.spectra.singular_values import Spectrum, singular_values
from blockresearch.text import quoted
from blockresearch.values.dequantized import RowSample, find_codes
from blockresearch.values.distribution import Distribution
from blockresearch.values.rounding.errors import rounding_errors
from blockresearch.values.rows_and_columns import TILE_BYTES
from blockresearch.weights.adapters.change import read_change
from blockresearch.weights.adapters.delta import Delta
from blockresearch.weights.layout import Matrix, matrices, whole
from blockresearch.weights.quantized.source import Contradiction
from blockresearch.weights.reading import TensorReader, blocks, extent, open_tensor, panels
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight

log = logging.getLogger(__name__)

NOT_FINITE = "none: the matrix has NaN or infinite elements"

NOT_REQUESTED = "none: not requested"

TABLES = ("params", "matrices", "spectra", "histograms")

# Columns that depend on the smallest singular values: missing if those are not refined (mode rank).
SMALL_END = ("condition_number", "bottom_decile_energy", "storage_rank", "storage_rank_min")

# Panels that are decoded stay in the cache.
PANEL_BYTES = 2**20


@dataclass(frozen=True)
class Settings:
    """Settings that the numbers depend on (the first three) and how they are computed.

    `spectra` is full, rank, sketch or none (see `singular_values`); sketch applies to the matrices
    whose full spectrum would take more than `sketch_above` predicted seconds of one core.
    """

    sparsity_threshold: float
    spectra: str = "full"
    sketch_above: float = 60.0
    device: str = "cpu"
    chunk_bytes: int = 32 * 1024**2


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


def measure_part(files: Mapping[str, Path], part: Part, settings: Settings) -> Rows:
    """Measure every tensor of `part`.

    `files` has the paths of its shard and of the shards with companions of its tensors.
    """
    sizes = {files[content.shard]: content.size for content in part.shards}
    with unchanged(sizes):
        return _measure_tensors(files, part, settings)


def measure_parts(
    files: Mapping[str, Path], parts: Iterable[Part], settings: Settings, threads: int
) -> Iterator[tuple[Part, Rows]]:
    """Measure parts on `threads` cores, one part per core; yield each part with its rows.

    Parts start in the order given. `files` has the paths of all shards that they are read from.
    """
    # Two single-threaded solvers are faster than one on two threads.
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        waiting = {pool.submit(measure_part, files, part, settings): part for part in parts}
        try:
            yield from ((waiting[done], done.result()) for done in as_completed(waiting))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _measure_tensors(files: Mapping[str, Path], part: Part, settings: Settings) -> Rows:
    rows = Rows()
    for number, weight in enumerate(part.weights, 1):
        started = time.perf_counter()
        rows.extend(measure_tensor(files, weight, settings))
        log.info(
            "%d/%d %s %s %s: %.2f s",
            number,
            len(part.weights),
            quoted(weight.name),
            weight.stored.dtype,
            list(weight.stored.shape),
            time.perf_counter() - started,
        )
    return rows


def measure_tensor(files: Mapping[str, Path], weight: Weight, settings: Settings) -> Rows:
    """Measure one tensor.

    A quantized weight whose companions contradict it is not measured: its only row is one of
    spectra, whose method states the reason. Memory: one chunk for the values; for the spectra
    `cost.predicted_bytes`.
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
    distribution = values(source, view, settings)
    numbers = summary_row(distribution)
    storage = {
        "quantisation": weight.layout.scheme.method if weight.layout.scheme else None,
        "bits_per_weight": 8 * weight.stored_bytes / numel if numel else None,
    }
    solved = [
        measure_matrix(
            source, matrix, (distribution, numbers) if matrix == view else None, settings
        )
        for matrix in parts
    ]
    result = Rows(
        params=[
            {
                "param_name": weight.name,
                "shape": json.dumps(list(weight.stored.shape)),
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
    known: tuple[Distribution, dict[str, Any]] | None,
    settings: Settings,
) -> Measured:
    """Values and spectrum of one matrix of a tensor.

    `known`: its distribution and summary, if already computed.
    A matrix with NaN or infinite elements has no singular values: they and everything computed
    from them are missing.
    """
    stored = source.weight.stored
    if known is None:
        distribution = values(source, matrix, settings)
        numbers = summary_row(distribution)
    else:
        distribution, numbers = known
    if numbers["finite_count"] != numbers["numel"]:
        return _measured(stored, matrix, numbers, None, NOT_FINITE, {})
    metrics: dict[str, Any] = {}
    spectrum = None
    if settings.spectra != "none":
        spectrum = _spectrum(source, matrix, settings)
        metrics = spectral_metrics(
            spectrum.values,
            matrix.rows,
            matrix.cols,
            # The step of the stored codes of a dequantized weight is unknown here.
            None if source.weight.is_quantized else _rounding(distribution),
            numbers["min"] == numbers["max"],
        )
        if settings.spectra == "rank":
            metrics |= dict.fromkeys(SMALL_END)
    if dtypes.DTYPES[source.grid.dtype].kind == "float":
        sample = RowSample(matrix.rows)
        metrics |= rounding_errors(
            sample.passing(panels(source, matrix, PANEL_BYTES)),
            numbers["absmax"] or 0.0,
        )
        if not source.weight.is_quantized:
            metrics |= _former_codes(sample)
    if spectrum is None:
        return _measured(stored, matrix, numbers, None, NOT_REQUESTED, metrics)
    return _measured(
        source.weight.stored, matrix, numbers, spectrum.values, spectrum.method, metrics
    )


def _former_codes(sample: RowSample) -> dict[str, Any]:
    found = find_codes(sample.rows())
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


def _spectrum(source: TensorReader, matrix: Matrix, settings: Settings) -> Spectrum:
    mode = settings.spectra
    if mode == "sketch" and predicted_seconds(matrix.rows, matrix.cols) <= settings.sketch_above:
        mode = "full"
    with slot(settings.device) as device:
        return singular_values(
            lambda: panels(source, matrix, PANEL_BYTES),
            matrix.rows,
            matrix.cols,
            device=device,
            mode=mode,
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


def values(source: TensorReader, matrix: Matrix, settings: Settings) -> Distribution:
    """Exact value statistics of one matrix of a tensor, read in chunks."""
    distribution = Distribution(
        source.grid.dtype, matrix.rows, matrix.cols, settings.sparsity_threshold
    )

    def pieces() -> Iterator[np.ndarray]:
        if not source.is_plain(matrix):
            return blocks(source.grid, matrix, settings.chunk_bytes)
        begin, end = extent(source.weight.stored, matrix)
        return source.chunks(begin, end, _whole_elements(settings.chunk_bytes))

    for piece in pieces():
        distribution.update(piece)
    if distribution.needs_second_pass():
        for piece in pieces():
            distribution.update_second_pass(piece)
    return distribution


def _whole_elements(chunk_bytes: int) -> int:
    """A chunk size that cuts no element (three bytes hold four of six bits) and no tile, so that
    sums are the same for every size."""
    return max(1, chunk_bytes // (3 * TILE_BYTES)) * 3 * TILE_BYTES
