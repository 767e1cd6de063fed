"""Arrays and weights on a device, of which a lane is held while they are used.

Many jobs of one core take turns on a device, so each gives its memory back before the next one.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch

from blockresearch.arrays import on_device
from blockresearch.circuits.lens_on_device import RowsOnDevice
from blockresearch.lane import Lane
from blockresearch.weights.layout import Matrix
from blockresearch.weights.on_device import DeviceMatrix
from blockresearch.weights.reading import TensorReader

Result = TypeVar("Result")


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


def compute(held: Lane, work: Callable[[OnDevice], Result]) -> Result:
    """The result of `work` with a lane of a device, whose memory is free afterwards."""
    try:
        return work(OnDevice(held))
    finally:
        if held.stream is not None:
            torch.cuda.empty_cache()


def _floats(matrix: DeviceMatrix) -> Iterator[torch.Tensor]:
    for panel in matrix.panels():
        yield panel.float()
