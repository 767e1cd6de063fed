"""Arrays and weights on a device, of which a lane is held while they are used."""

from collections.abc import Iterator
from functools import partial

import torch

from blockresearch.arrays import on_device
from blockresearch.circuits.lens_on_device import RowsOnDevice
from blockresearch.lane import Lane
from blockresearch.weights.layout import Matrix
from blockresearch.weights.on_device import DeviceMatrix
from blockresearch.weights.reading import TensorReader


class OnDevice(on_device.OnDevice):
    """See `computing.Computing`."""

    def __init__(self, held: Lane):
        super().__init__(held.device)
        self._lane = held

    def panels(self, source: TensorReader, matrix: Matrix) -> Iterator[torch.Tensor]:
        """See `computing.Computing`."""
        yield from _floats(DeviceMatrix(self._lane, source, matrix))

    def whole(self, source: TensorReader, matrix: Matrix) -> torch.Tensor:
        """See `computing.Computing`."""
        return torch.cat(list(self.panels(source, matrix)))

    def table(self, source: TensorReader, matrix: Matrix, threads: int) -> RowsOnDevice:
        """See `computing.Computing`; threads have nothing to do."""
        there = DeviceMatrix(self._lane, source, matrix)
        return RowsOnDevice(partial(_floats, there), self._lane.device)


def _floats(matrix: DeviceMatrix) -> Iterator[torch.Tensor]:
    for panel in matrix.panels():
        yield panel.float()
