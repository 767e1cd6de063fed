"""What is computed from the elements of one matrix: values, singular values, rounding errors.

There are two forms with the same methods and the same numbers: compiled loops and LAPACK on the CPU
(here), and torch on a device (`on_device`). Small matrices always take the CPU, because a device
would need longer to start than to compute.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from blockresearch.measurement.settings import Settings
from blockresearch.safetensors import dtypes
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.spectra.singular_values import Spectrum, singular_values
from blockresearch.values.dequantized import RowSample
from blockresearch.values.distribution import Distribution
from blockresearch.values.rounding.errors import rounding_errors
from blockresearch.values.rows_and_columns import TILE_BYTES
from blockresearch.weights.layout import Matrix
from blockresearch.weights.reading import TensorReader, blocks, extent, panels

Result = TypeVar("Result")

# Panels that are decoded stay in the cache.
PANEL_BYTES = 2**20

# Elements up to which a matrix is computed on the CPU.
SMALL_ELEMENTS = 2**16


@dataclass(frozen=True)
class Rounded:
    """Rounding errors of all low-bit formats by ROUNDING, and sampled rows (float [k, cols])."""

    errors: dict[str, float | None]
    sample: np.ndarray


@dataclass(frozen=True)
class Computed:
    """What was computed of one matrix; None if it is not defined or was not requested."""

    distribution: Distribution
    spectrum: Spectrum | None = None
    rounded: Rounded | None = None


class Elements(Protocol):
    """The elements of one matrix, ready to be computed with."""

    def distribution(self, sparsity_threshold: float) -> Distribution:
        """The exact statistics of the values."""

    def spectrum(self, mode: str) -> Spectrum:
        """The singular values of a finite matrix."""

    def rounded(self, absmax: float) -> Rounded:
        """The rounding errors of a finite matrix of floats whose largest |w| is `absmax`."""


def compute(source: TensorReader, matrix: Matrix, settings: Settings) -> Computed:
    """Everything about one matrix of a tensor, on the device of the settings.

    A matrix with NaN or infinite elements has values only.
    """

    def everything(elements: Elements) -> Computed:
        distribution = elements.distribution(settings.sparsity_threshold)
        if not distribution.is_finite():
            return Computed(distribution)
        spectrum = None
        if settings.spectra != "none":
            spectrum = elements.spectrum(_mode(matrix, settings))
        if dtypes.DTYPES[source.grid.dtype].kind != "float":
            return Computed(distribution, spectrum)
        return Computed(distribution, spectrum, elements.rounded(distribution.absmax()))

    return _on_its_device(everything, source, matrix, settings)


def compute_values(source: TensorReader, matrix: Matrix, settings: Settings) -> Distribution:
    """The exact statistics of the values of one matrix of a tensor."""

    def only_values(elements: Elements) -> Distribution:
        return elements.distribution(settings.sparsity_threshold)

    return _on_its_device(only_values, source, matrix, settings)


def _on_its_device(
    work: Callable[[Elements], Result], source: TensorReader, matrix: Matrix, settings: Settings
) -> Result:
    """The result of `work`; if a device fails, that of the CPU, with a warning."""

    def here() -> Result:
        return work(OnCpu(source, matrix, settings.chunk_bytes))

    if settings.device == "cpu" or matrix.rows * matrix.cols <= SMALL_ELEMENTS:
        return here()
    from blockresearch.lane import attempt
    from blockresearch.measurement.on_device import OnDevice
    from blockresearch.weights.on_device import DeviceMatrix

    return attempt(
        settings.device,
        source.weight.name,
        lambda held: work(OnDevice(DeviceMatrix(held, source, matrix), held.kind)),
        here,
    )


def _mode(matrix: Matrix, settings: Settings) -> str:
    is_cheap = predicted_seconds(matrix.rows, matrix.cols) <= settings.sketch_above
    return "full" if settings.spectra == "sketch" and is_cheap else settings.spectra


@dataclass(frozen=True)
class OnCpu:
    """The elements of a matrix for the CPU, read again for each pass.

    Memory: one chunk for the values; for the spectrum `cost.predicted_bytes`.
    """

    source: TensorReader
    matrix: Matrix
    chunk_bytes: int

    def distribution(self, sparsity_threshold: float) -> Distribution:
        """See `Elements`."""
        grid, matrix = self.source.grid, self.matrix
        found = Distribution(grid.dtype, matrix.rows, matrix.cols, sparsity_threshold)
        for piece in self._pieces():
            found.update(piece)
        if found.needs_second_pass():
            for piece in self._pieces():
                found.update_second_pass(piece)
        return found

    def _pieces(self) -> Iterator[np.ndarray]:
        """The codes of all elements, row after row."""
        source, matrix = self.source, self.matrix
        if not source.is_plain(matrix):
            return blocks(source.grid, matrix, self.chunk_bytes)
        begin, end = extent(source.weight.stored, matrix)
        chunks = source.chunks(begin, end, _whole_elements(self.chunk_bytes))
        return (dtypes.codes(chunk, source.grid.dtype) for chunk in chunks)

    def spectrum(self, mode: str) -> Spectrum:
        """See `Elements`."""
        return singular_values(self._panels, self.matrix.rows, self.matrix.cols, mode)

    def rounded(self, absmax: float) -> Rounded:
        """See `Elements`."""
        sample = RowSample(self.matrix.rows)
        return Rounded(rounding_errors(sample.passing(self._panels()), absmax), sample.rows())

    def _panels(self) -> Iterator[np.ndarray]:
        return panels(self.source, self.matrix, PANEL_BYTES)


def _whole_elements(chunk_bytes: int) -> int:
    """A chunk size that cuts no element (three bytes hold four of six bits) and no tile, so that
    sums are the same for every size."""
    return max(1, chunk_bytes // (3 * TILE_BYTES)) * 3 * TILE_BYTES
