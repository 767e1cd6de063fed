"""The elements of a matrix on a device, decoded there.

A plain tensor goes over as stored bytes, and so does a quantized weight whose formula a device has
(`grid.Packed`). Everything else is read, regrouped and decoded on the CPU, and goes over as codes,
or as the float32 values of a dequantized weight.
"""

from collections.abc import Iterator

import numpy as np
import torch

from blockresearch.lane import Lane
from blockresearch.safetensors import on_device
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.reader import read_into
from blockresearch.weights.layout import Matrix
from blockresearch.weights.reading import TensorReader, blocks, extent, panel_type, rows_at_once

# Elements of a panel, but at least a row.
PANEL_ELEMENTS = 2**24

# Matrices of so many bytes stay on the device for all passes; larger ones are copied for each.
RESIDENT_BYTES = 2 * 2**30


class DeviceMatrix:
    """One matrix [rows, cols] of a tensor, for any number of passes in panels of whole rows."""

    def __init__(self, lane: Lane, source: TensorReader, matrix: Matrix):
        self.rows, self.cols = matrix.rows, matrix.cols
        self.dtype = DTYPES[source.grid.dtype]
        double = panel_type(self.dtype) == np.float64
        self.number = torch.float64 if double else torch.float32
        self._lane, self._source, self._matrix = lane, source, matrix
        self._packed = source.grid.packed if matrix.contiguous else None
        self._kept: list[tuple[int, torch.Tensor]] | None = None

    def codes(self) -> Iterator[torch.Tensor]:
        """Rows from top to bottom as codes [n, cols], see `safetensors.on_device`."""
        for first, raw in self._pieces():
            if self._packed:
                values = self._packed.decode(raw.reshape(-1, self._packed.row_bytes), first)
                yield values.view(torch.int32)
            elif self._source.is_plain(self._matrix):
                yield on_device.codes(raw, self.dtype).reshape(-1, self.cols)
            else:
                code = raw if self.dtype.bits <= 8 else on_device.codes(raw, self.dtype)
                yield code.reshape(-1, self.cols)

    def panels(self) -> Iterator[torch.Tensor]:
        """The same rows as numbers [n, cols], float32 or float64 as those of `reading.panels`.

        They may share memory with what is kept: not to be overwritten.
        """
        for code in self.codes():
            yield on_device.decode(code, self.dtype, self.number)

    def _pieces(self) -> Iterator[tuple[int, torch.Tensor]]:
        """First row and bytes (uint8 [n]) of each panel, as copied."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[tuple[int, torch.Tensor]] = []
        total = 0
        for first, raw in self._copied():
            total += len(raw)
            kept = [*kept, (first, raw)] if total <= RESIDENT_BYTES else []
            yield first, raw
        if total <= RESIDENT_BYTES:
            self._kept = kept

    def _copied(self) -> Iterator[tuple[int, torch.Tensor]]:
        source, matrix, send = self._source, self._matrix, self._lane.send
        if self._packed:
            packed, top = self._packed, matrix.first // max(1, self.cols)
            step = max(1, PANEL_ELEMENTS // max(1, self.cols))
            for row in range(top, top + self.rows, step):
                count = min(step, top + self.rows - row)
                begin = packed.begin + row * packed.row_bytes
                yield row, send(_reading(source.shard, begin), count * packed.row_bytes)
        elif source.is_plain(matrix):
            begin, end = extent(source.weight.stored, matrix)
            row_bits = max(1, self.cols * self.dtype.bits)
            step = rows_at_once(row_bits, PANEL_ELEMENTS * self.dtype.bits) * row_bits // 8
            for start in range(begin, end, step):
                row = (start - begin) * 8 // row_bits
                yield row, send(_reading(source.shard, start), min(step, end - start))
        else:
            row = 0
            for block in blocks(source.grid, matrix, PANEL_ELEMENTS * source.grid.item_bytes):
                yield row, self._lane.send_array(block)
                row += len(block)


def _reading(path, begin: int):
    return lambda view, position: read_into(view, path, begin + position)
