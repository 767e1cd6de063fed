"""What is computed from the elements of one matrix, on a device.

Its bytes are copied once, if they fit (`weights.on_device.RESIDENT_BYTES`), and all passes run
there; what returns are counts, sums, singular values and a few rows. The results are those of
`elements.OnCpu`: counts and extremes bit for bit, sums and singular values up to rounding.
"""

from collections.abc import Iterator

import numpy as np
import torch

from blockresearch.measurement.elements import Rounded
from blockresearch.spectra import on_device as spectra
from blockresearch.spectra.singular_values import Spectrum
from blockresearch.values import on_device as values
from blockresearch.values.dequantized import sampled_rows
from blockresearch.values.distribution import Distribution
from blockresearch.values.rounding import on_device as rounding
from blockresearch.weights.on_device import DeviceMatrix


class OnDevice:
    """The elements of a matrix on a device; `kind` (cuda) ends the names of methods."""

    def __init__(self, matrix: DeviceMatrix, kind: str):
        self._matrix, self._kind = matrix, kind

    def distribution(self, sparsity_threshold: float) -> Distribution:
        """See `Elements`."""
        matrix = self._matrix
        return values.distribution_of(
            matrix.codes, matrix.dtype.name, matrix.rows, matrix.cols, sparsity_threshold
        )

    def spectrum(self, mode: str) -> Spectrum:
        """See `Elements`."""
        matrix = self._matrix
        return spectra.singular_values(matrix.panels, matrix.rows, matrix.cols, self._kind, mode)

    def rounded(self, absmax: float) -> Rounded:
        """See `Elements`."""
        kept: list[np.ndarray] = []
        wanted = sampled_rows(self._matrix.rows)

        def passing() -> Iterator[torch.Tensor]:
            first = 0
            for panel in self._matrix.panels():
                here = [row - first for row in wanted if first <= row < first + len(panel)]
                kept.append(panel[here].cpu().numpy())
                first += len(panel)
                yield panel

        errors = rounding.rounding_errors(passing(), absmax)
        return Rounded(errors, np.concatenate(kept) if kept else np.empty((0, 0)))
