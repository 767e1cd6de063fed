"""Measure the tensors of one part: values, matrices, singular values.

The results are rows of the tables params, matrices, spectra and histograms, without the columns
that say what a tensor is in the model (block type, layer …) or where it came from: those are added
by `merge`, so that a better name never costs a new measurement.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workflow.lib import dtypes, matrices
from workflow.lib.device import slot
from workflow.lib.distribution import Distribution
from workflow.lib.matrices import Matrix
from workflow.lib.quantization_error import quantization_errors
from workflow.lib.safetensors_file import read_chunks
from workflow.lib.spectral_metrics import spectral_metrics
from workflow.lib.spectrum import Spectrum, predicted_seconds, singular_values, storage_rank

log = logging.getLogger(__name__)

TABLES = ("params", "matrices", "spectra", "histograms")
# What values of the small end decide: not known where they are not refined (mode rank).
SMALL_END = ("condition_number", "bottom_decile_energy")
PANEL_BYTES = 2**20
"""Panels of the rounding pass stay in the cache."""


@dataclass(frozen=True)
class Settings:
    """What the numbers depend on (near_zero, spectra, sketch_above) and how they are computed.

    `spectra` is full, rank, sketch or none (see `spectrum.singular_values`); sketch holds for the
    matrices whose full spectrum would take more than `sketch_above` predicted seconds of one core.
    """

    near_zero: float = 1e-6
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


def measure_part(shard: Path, part: Mapping[str, Any], settings: Settings) -> Rows:
    """Measure every tensor of `part` (see `plan.make_plan`) from the file `shard`."""
    rows = Rows()
    tensors = part["tensors"]
    for number, tensor in enumerate(tensors, 1):
        started = time.perf_counter()
        rows.extend(measure_tensor(shard, tensor, settings))
        log.info(
            "%d/%d %s %s %s: %.2f s",
            number,
            len(tensors),
            tensor["name"],
            tensor["dtype"],
            tensor["shape"],
            time.perf_counter() - started,
        )
    return rows


def measure_tensor(shard: Path, tensor: Mapping[str, Any], settings: Settings) -> Rows:
    """Measure one tensor (name, dtype, shape, begin, end, layout) of the file `shard`.

    Memory: one chunk for the values; for the spectra what `spectrum.predicted_bytes` says.
    """
    shape, dtype, layout = tuple(tensor["shape"]), tensor["dtype"], tensor["layout"]
    rows, cols = matrices.view(shape, layout)
    whole = values(shard, tensor, Matrix("", 0, rows, cols), settings)
    solved = [
        measure_matrix(shard, tensor, matrix, whole if layout == "matrix" else None, settings)
        for matrix in matrices.matrices(shape, layout)
    ]
    result = Rows(
        params=[
            {
                "param_name": tensor["name"],
                "shape": json.dumps(list(shape)),
                "rows": rows,
                "cols": cols,
                "dtype": dtype,
                "nbytes": tensor["end"] - tensor["begin"],
                **summary(whole),
                **top(whole),
                **(solved[0].metrics if layout == "matrix" else {}),
            }
        ],
        matrices=[matrix.row for matrix in solved],
        spectra=[matrix.spectrum for matrix in solved],
    )
    histogram = whole.histogram()
    if histogram is not None:
        codes, counts = histogram
        result.histograms.append(
            {
                "param_name": tensor["name"],
                "dtype": dtype,
                "codes": codes.tolist(),
                "counts": counts.tolist(),
            }
        )
    return result


@dataclass(frozen=True)
class Measured:
    """One measured matrix: its rows of the tables matrices and spectra, its spectral metrics."""

    row: dict[str, Any]
    spectrum: dict[str, Any]
    metrics: dict[str, Any]


def measure_matrix(
    shard: Path,
    tensor: Mapping[str, Any],
    matrix: Matrix,
    known: Distribution | None,
    settings: Settings,
) -> Measured:
    """Values and spectrum of one matrix of a tensor; `known` saves the value pass where it is had.

    A matrix with NaN or infinite elements has no singular values: they and all that follows from
    them are missing.
    """
    distribution = known or values(shard, tensor, matrix, settings)
    numbers = summary(distribution)
    found: np.ndarray | None = None
    method, precision = "none: the matrix has NaN or infinite elements", None
    metrics: dict[str, Any] = {}
    if numbers["finite_count"] == numbers["numel"]:
        if settings.spectra == "none":
            method = "none: not asked for"
        else:
            spectrum = _spectrum(shard, tensor, matrix, settings)
            found, method, precision = spectrum.values, spectrum.method, "float64"
            metrics = spectral_metrics(found, matrix.rows, matrix.cols)
            bound = distribution.storage_bound()
            if bound is not None and settings.spectra != "rank" and metrics["rank"] is not None:
                metrics["storage_rank"] = storage_rank(found, bound)
            if settings.spectra == "rank":
                metrics |= dict.fromkeys(SMALL_END)
        if dtypes.DTYPES[tensor["dtype"]].kind == "float":
            metrics |= quantization_errors(
                panels(shard, tensor, matrix, min(PANEL_BYTES, settings.chunk_bytes)),
                numbers["absmax"],
            )
    key = {
        "param_name": tensor["name"],
        "slice": matrix.slice,
        "rows": matrix.rows,
        "cols": matrix.cols,
    }
    rank = metrics.get("rank")
    ratio = None if rank is None else rank / min(matrix.rows, matrix.cols)
    return Measured(
        row={
            **key,
            "dtype": tensor["dtype"],
            "rank_ratio": ratio,
            **numbers,
            **top(distribution),
            **metrics,
        },
        spectrum={
            **key,
            "method": method,
            "precision": precision,
            "singular_values": None if found is None else found.tolist(),
        },
        metrics=metrics,
    )


def _spectrum(
    shard: Path, tensor: Mapping[str, Any], matrix: Matrix, settings: Settings
) -> Spectrum:
    mode = settings.spectra
    if mode == "sketch" and predicted_seconds(matrix.rows, matrix.cols) <= settings.sketch_above:
        mode = "full"
    with slot(settings.device) as device:
        return singular_values(
            lambda: panels(shard, tensor, matrix, settings.chunk_bytes),
            matrix.rows,
            matrix.cols,
            device=device,
            mode=mode,
        )


def top(distribution: Distribution) -> dict[str, Any]:
    """The largest |w| and their places as the tables keep them."""
    found = distribution.top()
    return {
        "top_values": [value for _, _, value in found],
        "top_rows": [row for row, _, _ in found],
        "top_cols": [col for _, col, _ in found],
    }


def values(
    shard: Path, tensor: Mapping[str, Any], matrix: Matrix, settings: Settings
) -> Distribution:
    """Exact value statistics of one matrix of a tensor, read in chunks."""
    distribution = Distribution(
        tensor["dtype"], matrix.rows, matrix.cols, near_zero=settings.near_zero
    )
    begin, end = extent(tensor, matrix)
    for chunk in read_chunks(shard, begin, end, _whole_elements(settings.chunk_bytes)):
        distribution.update(chunk)
    return distribution


def summary(distribution: Distribution) -> dict[str, Any]:
    """Summary of a distribution with the names that the tables use."""
    return distribution.summary()


def panels(
    shard: Path, tensor: Mapping[str, Any], matrix: Matrix, chunk_bytes: int
) -> Iterator[np.ndarray]:
    """Consecutive row panels of a matrix, float64 for 64-bit types and integers, else float32."""
    begin, end = extent(tensor, matrix)
    bits = dtypes.DTYPES[tensor["dtype"]].bits
    kind = dtypes.DTYPES[tensor["dtype"]].kind
    wide = bits == 64 or (kind == "int" and bits > 16)
    row_bits = matrix.cols * bits
    # A panel starts and ends on a whole byte, which for sub-byte types may take several rows.
    step = 1 if row_bits % 8 == 0 else 8
    per_panel = max(step, chunk_bytes * 8 // row_bits // step * step)
    for chunk in read_chunks(shard, begin, end, per_panel * row_bits // 8):
        panel = dtypes.decode(chunk, tensor["dtype"], np.float64 if wide else np.float32)
        yield panel.reshape(-1, matrix.cols)


def extent(tensor: Mapping[str, Any], matrix: Matrix) -> tuple[int, int]:
    """Bytes of the file that hold the matrix: (begin, end)."""
    bits = dtypes.DTYPES[tensor["dtype"]].bits
    begin = tensor["begin"] + matrix.first * bits // 8
    return begin, begin + matrix.rows * matrix.cols * bits // 8


def _whole_elements(chunk_bytes: int) -> int:
    """A chunk size that cuts no element: a multiple of 48 bytes fits types of 4 … 64 bits."""
    return max(48, chunk_bytes // 48 * 48)


def measured_names(parts: Iterable[Mapping[str, Any]]) -> set[str]:
    """Names of all tensors that the parts of a plan measure."""
    return {tensor["name"] for part in parts for tensor in part["tensors"]}
