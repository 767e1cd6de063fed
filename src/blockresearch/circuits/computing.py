"""Where the large matrices of circuits are multiplied: on the CPU, or on a device.

Formulas are the same for both (`arrays`). Weights are read here for the CPU, and by `on_device` for
a device, which decodes the stored bytes itself. Heads stay on the CPU: their factors are small.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from blockresearch.arrays import arrays
from blockresearch.circuits.lens import Rows, RowsOnCpu
from blockresearch.weights.layout import Matrix
from blockresearch.weights.reading import TensorReader, panels, whole

# Bytes of a panel of a weight, and of a table of tokens, with whose panels threads compute.
PANEL_BYTES, TABLE_BYTES = 32 * 2**20, 8 * 2**20

Result = TypeVar("Result")


class Computing(arrays.Arrays, Protocol):
    """Arrays, and weights that are read to where they are."""

    def panels(self, source: TensorReader, matrix: Matrix) -> Iterator[arrays.Array]:
        """Rows of a matrix in order, [n, cols] float32; not to be overwritten."""

    def whole(self, source: TensorReader, matrix: Matrix) -> arrays.Array:
        """All of its rows, [rows, cols] float32."""

    def table(self, source: TensorReader, matrix: Matrix, threads: int) -> Rows:
        """A matrix whose rows belong to tokens, for several passes."""


class OnCpu(arrays.OnCpu):
    """See `Computing`."""

    def panels(self, source: TensorReader, matrix: Matrix) -> Iterator[np.ndarray]:
        """Rows [n, cols]; see `Computing`."""
        for panel in panels(source, matrix, PANEL_BYTES):
            yield panel.astype(np.float32, copy=False)

    def whole(self, source: TensorReader, matrix: Matrix) -> np.ndarray:
        """All rows [rows, cols]; see `Computing`."""
        return whole(source, matrix, PANEL_BYTES, np.float32)

    def table(self, source: TensorReader, matrix: Matrix, threads: int) -> Rows:
        """See `Computing`."""

        def read() -> Iterator[np.ndarray]:
            for panel in panels(source, matrix, TABLE_BYTES):
                yield panel.astype(np.float32, copy=False)

        return RowsOnCpu(read, threads)


ON_CPU = OnCpu()


def computed(device: str, name: str, work: Callable[[Computing], Result]) -> Result:
    """The result of `work` on a device, or on the CPU if that fails; a warning then has the `name`
    of what is measured."""
    if device == "cpu":
        return work(ON_CPU)
    from blockresearch.circuits.on_device import compute
    from blockresearch.lane import attempt

    return attempt(device, name, lambda held: compute(held, work), lambda: work(ON_CPU))
