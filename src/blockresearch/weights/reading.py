"""A stored tensor as a grid of rows that can be read block by block, quantized ones dequantized.

Only `open_grid` turns the bytes of a weight into numbers: a plain tensor gives its codes as stored,
a quantized one float32 values by the formula of its scheme. Companions are small and read at once,
as are the codes of GPTQ and AWQ, whose rows run across the file.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from blockresearch.safetensors import dtypes
from blockresearch.safetensors.header import SafetensorsError
from blockresearch.safetensors.reader import read_bytes, read_chunks
from blockresearch.weights.grid import Grid
from blockresearch.weights.layout import TRANSPOSED_BYTES, Matrix
from blockresearch.weights.quantized.recognize import decoder
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight


def open_grid(weight: Weight, files: Mapping[str, Path]) -> Grid:
    """The grid of a weight; `files` are the shards by name.

    Raises Contradiction if companions contradict the scheme.
    """
    stored, scheme = weight.stored, weight.layout.scheme
    if scheme:
        source = Source(stored, scheme.shape, scheme.settings, weight.companions, files)
        try:
            return decoder(scheme.formula)(source)
        except SafetensorsError:
            raise
        except (ValueError, IndexError) as error:
            shapes = {role: list(other.shape) for role, other in weight.companions.items()}
            raise source.fail(f"its companions do not fit it: {json.dumps(shapes)}") from error
    shard, shape, dtype, begin = files[stored.shard], stored.shape, stored.dtype, stored.begin
    bits, unit = dtypes.DTYPES[dtype].bits, dtypes.whole_byte_elements(dtype)
    cols = shape[-1] if shape else 1

    def read(first: int, last: int) -> np.ndarray:
        # Rows of codes of less than a byte may begin and end inside one.
        low, high = first * cols // unit * unit, -(-last * cols // unit) * unit
        raw = read_bytes(shard, begin + low * bits // 8, begin + high * bits // 8)
        codes = dtypes.codes(raw, dtype)[first * cols - low : last * cols - low]
        return codes.reshape(last - first, cols)

    return Grid(shape, dtype, read)


def blocks(grid: Grid, matrix: Matrix, block_bytes: int) -> Iterator[np.ndarray]:
    """Consecutive rows of a matrix as arrays [n, cols] of the grid's codes, top to bottom.

    Memory: about `block_bytes`, for a transposed matrix TRANSPOSED_BYTES or one stored row.
    """
    starts = row_starts(matrix)
    grid = grid.with_cols(matrix.cols if matrix.stride == 1 else matrix.stride)
    if matrix.stride == 1:
        yield from _rows(grid, starts // matrix.cols, block_bytes)
        return
    top, columns = divmod(starts, matrix.stride)
    at_once = max(1, TRANSPOSED_BYTES // max(1, matrix.cols * grid.item_bytes))
    begin = int(top[0]) if len(top) else 0
    for first in range(0, matrix.rows, at_once):
        wanted = columns[first : first + at_once]
        low, high = int(wanted.min()), int(wanted.max()) + 1
        chosen = slice(low, high) if high - low == len(wanted) else wanted
        out: np.ndarray | None = None
        step = max(1, block_bytes // grid.row_bytes)
        for row in range(begin, begin + matrix.cols, step):
            block = grid.read(row, min(row + step, begin + matrix.cols))
            if out is None:
                out = np.empty((len(wanted), matrix.cols), block.dtype)
            out[:, row - begin : row - begin + len(block)] = block[:, chosen].T
        if out is not None:
            yield out


def row_starts(matrix: Matrix) -> np.ndarray:
    """Index of the first element of each row of a matrix, int64 [rows]."""
    place = np.array([matrix.first], np.int64)
    for count, step in matrix.steps or ((matrix.rows, matrix.cols),):
        place = (place[:, None] + np.arange(count, dtype=np.int64) * step).reshape(-1)
    return place


def _rows(grid: Grid, wanted: np.ndarray, block_bytes: int) -> Iterator[np.ndarray]:
    """The requested rows of a grid (ascending), read together with the rows between them."""
    step = max(1, block_bytes // grid.row_bytes)
    position, end = 0, len(wanted)
    while position < end:
        first = int(wanted[position])
        after = int(np.searchsorted(wanted, first + step))
        last = int(wanted[after - 1]) + 1
        block = grid.read(first, last)
        if last - first != after - position:
            block = block[wanted[position:after] - first]
        yield block
        position = after


# Bytes. Matrices up to this size are read once; larger ones again for each pass.
READ_BYTES = 8 * 2**20


@dataclass(frozen=True)
class TensorReader:
    """A weight ready to be read: its file and its grid."""

    weight: Weight
    shard: Path
    grid: Grid
    kept: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def chunks(self, begin: int, end: int, chunk_bytes: int) -> Iterator[np.ndarray]:
        """Bytes of the file in pieces, uint8 [n]; few (READ_BYTES) are read once for all passes."""
        if end - begin > READ_BYTES:
            yield from read_chunks(self.shard, begin, end, chunk_bytes)
            return
        if (begin, end) not in self.kept:
            self.kept.clear()
            self.kept[begin, end] = read_bytes(self.shard, begin, end)
        whole = self.kept[begin, end]
        yield from (whole[i : i + chunk_bytes] for i in range(0, len(whole), chunk_bytes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Logical shape."""
        return self.grid.shape

    def is_plain(self, matrix: Matrix) -> bool:
        """Whether a matrix is a range of whole bytes of the file."""
        unit = dtypes.whole_byte_elements(self.weight.stored.dtype)
        is_whole = matrix.first % unit == 0 == matrix.rows * matrix.cols % unit
        return matrix.contiguous and is_whole and not self.weight.is_quantized


def open_tensor(files: Mapping[str, Path], weight: Weight) -> TensorReader:
    """A reader of a weight; `files` are the shards by name.

    Raises Contradiction if companions contradict the scheme.
    """
    return TensorReader(weight, files[weight.stored.shard], open_grid(weight, files))


def panels(source: TensorReader, matrix: Matrix, chunk_bytes: int) -> Iterator[np.ndarray]:
    """Rows of a matrix in order, [n, cols]: float64 for 64-bit types and integers, else float32."""
    dtype = source.grid.dtype
    number = panel_type(dtypes.DTYPES[dtype])
    if not source.is_plain(matrix):
        for block in blocks(source.grid, matrix, chunk_bytes):
            yield dtypes.numbers(block, dtype, number)
        return
    begin, end = extent(source.weight.stored, matrix)
    row_bits = matrix.cols * dtypes.DTYPES[dtype].bits
    panel_bytes = rows_at_once(row_bits, chunk_bytes * 8) * row_bits // 8
    for chunk in source.chunks(begin, end, panel_bytes):
        yield dtypes.decode(chunk, dtype, number).reshape(-1, matrix.cols)


def whole(
    source: TensorReader, matrix: Matrix, chunk_bytes: int, kind: type[np.floating]
) -> np.ndarray:
    """A matrix [rows, cols] as numbers of a `kind`, read in panels."""
    found, first = np.empty((matrix.rows, matrix.cols), kind), 0
    for panel in panels(source, matrix, chunk_bytes):
        found[first : first + len(panel)] = panel
        first += len(panel)
    return found


def panel_type(dtype: dtypes.Dtype) -> type[np.floating]:
    """The type of the numbers that stored elements become in panels."""
    is_wide = dtype.bits == 64 or (dtype.kind == "int" and dtype.bits > 16)
    return np.float64 if is_wide else np.float32


def rows_at_once(row_bits: int, panel_bits: int) -> int:
    """Rows of a panel of about `panel_bits`: it starts and ends on a whole byte, which for types
    of less than a byte may take several rows."""
    step = 1 if row_bits % 8 == 0 else 8
    return max(step, panel_bits // row_bits // step * step)


def extent(tensor: Stored, matrix: Matrix) -> tuple[int, int]:
    """Range of the file with the bytes of the matrix: (begin, end)."""
    bits = dtypes.DTYPES[tensor.dtype].bits
    begin = tensor.begin + matrix.first * bits // 8
    return begin, begin + matrix.rows * matrix.cols * bits // 8
