"""The two sides of a pair: what is read of each, so that rows and columns correspond."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from blockresearch.compare.matching import Pair
from blockresearch.compare.vocabulary import SharedRows
from blockresearch.measurement.elements import PANEL_BYTES
from blockresearch.weights.layout import Matrix
from blockresearch.weights.reading import TensorReader, panels

if TYPE_CHECKING:
    import torch

Panels = Callable[[], Iterator[np.ndarray]]

Rows = TypeVar("Rows", np.ndarray, "torch.Tensor")

# A pair is read about ten times. Up to so many elements it stays decoded meanwhile.
KEPT_ELEMENTS = 2**21


@dataclass(frozen=True)
class Side:
    """One side of a pair: how its rows are read, and the type that its values were rounded to.

    panels   yields the rows from top to bottom, float32 or float64 [n, cols]
    dtype    stored type; None if the values are dequantized, so their step is unknown
    stored   where these rows and no others lie; None if some are chosen, or in other rows
    """

    panels: Panels
    dtype: str | None
    stored: tuple[TensorReader, Matrix] | None = None


@dataclass(frozen=True)
class Sides:
    """Both sides of a pair, read as matrices of the same shape, or with `is_flat` as one column.

    rows, cols   shape of what is compared
    index        the row of the base at each row, int64 [rows]; None if they are all, in order
    is_flat      the sides have the same elements in different shapes
    device       where its matrices are multiplied: one that `resolve_device` returns
    name         of the pair, for the log
    """

    base: Side
    other: Side
    rows: int
    cols: int
    index: np.ndarray | None = None
    is_flat: bool = False
    device: str = "cpu"
    name: str = ""

    @property
    def both(self) -> tuple[Side, Side]:
        """The base and the other side."""
        return self.base, self.other

    def deltas(self) -> Iterator[np.ndarray]:
        """Δ = other - base in panels [n, cols] of the wider of both types."""
        for a, b in aligned(self.base.panels(), self.other.panels()):
            yield np.subtract(b, a, dtype=np.result_type(a, b))


def sides_of(
    pair: Pair,
    base: TensorReader,
    other: TensorReader,
    shared: SharedRows | None,
    device: str = "cpu",
) -> Sides:
    """How the sides of a matched pair are read; `shared` are the rows of the same tokens."""
    assert pair.base is not None and pair.other is not None
    sources = (base, pair.base.matrix), (other, pair.other.matrix)
    is_flat = pair.status == "reshaped"
    chosen = None if is_flat else _rows_of(pair, shared)
    if is_flat:
        streams = [_flat(*source) for source in sources]
        rows, cols, index = pair.base.numel, 1, None
    elif chosen:
        streams = [_selected(*source, rows) for source, rows in zip(sources, chosen, strict=True)]
        rows, cols, index = len(chosen[0]), pair.base.matrix.cols, chosen[0]
    else:
        streams = [_panels(*source) for source in sources]
        rows, cols, index = *pair.base.shape, None
    if rows * cols <= KEPT_ELEMENTS:
        streams = [_kept(stream) for stream in streams]
    first, second = (
        Side(stream, _stored_type(source[0]), None if is_flat or chosen else source)
        for stream, source in zip(streams, sources, strict=True)
    )
    return Sides(first, second, rows, cols, index, is_flat, device, pair.either.name)


def aligned(*streams: Iterator[Rows]) -> Iterator[tuple[Rows, ...]]:
    """Panels [n, cols] of streams of rows, cut so that all have the same rows.

    Raises ValueError if one stream has more rows than another.
    """
    rests: list[Any] = [()] * len(streams)
    while True:
        rests = [
            rest if len(rest) else next(stream, rest)
            for rest, stream in zip(rests, streams, strict=True)
        ]
        count = min(map(len, rests))
        if not count:
            break
        yield tuple(rest[:count] for rest in rests)
        rests = [rest[count:] for rest in rests]
    if any(map(len, rests)):
        raise ValueError("the sides have different numbers of rows.")


def _rows_of(pair: Pair, rows: SharedRows | None) -> tuple[np.ndarray, np.ndarray] | None:
    """The rows of each side that are compared; None if they are all, in the same order."""
    assert pair.base is not None and pair.other is not None
    if not pair.base.is_token_table or not pair.other.is_token_table:
        return None
    heights = pair.base.matrix.rows, pair.other.matrix.rows
    if rows is None or not rows.by_text:
        if heights[0] == heights[1]:
            return None
        first = np.arange(min(heights))
        return first, first
    # Rows beyond the vocabulary have no token, and those of one number are compared.
    kept = (rows.base < heights[0]) & (rows.other < heights[1])
    mine, theirs = rows.base[kept], rows.other[kept]
    if heights[0] == heights[1] and np.array_equal(mine, theirs):
        return None
    return mine, theirs


def _kept(stream: Panels) -> Panels:
    """The same panels, decoded on the first use only; they must not be changed."""
    panels: list[np.ndarray] = []

    def again() -> Iterator[np.ndarray]:
        if not panels:
            panels.extend(stream())
        return iter(panels)

    return again


def _stored_type(source: TensorReader) -> str | None:
    return None if source.weight.is_quantized else source.weight.stored.dtype


def _panels(source: TensorReader, matrix: Matrix) -> Panels:
    return lambda: panels(source, matrix, PANEL_BYTES)


def _flat(source: TensorReader, matrix: Matrix) -> Panels:
    return lambda: (panel.reshape(-1, 1) for panel in panels(source, matrix, PANEL_BYTES))


def _selected(source: TensorReader, matrix: Matrix, index: np.ndarray) -> Panels:
    """Chosen rows of a matrix, in the given order; rows that follow each other are read at once."""
    at_once = max(1, PANEL_BYTES // (8 * matrix.cols))

    def stream() -> Iterator[np.ndarray]:
        for first in range(0, len(index), at_once):
            wanted = index[first : first + at_once]
            starts = np.flatnonzero(np.diff(wanted, prepend=wanted[0] - 2) != 1)
            for run in np.split(wanted, starts[1:]):
                yield from panels(source, _between(matrix, *run[[0, -1]]), PANEL_BYTES)

    return stream


def _between(matrix: Matrix, first: int, last: int) -> Matrix:
    """The rows from `first` to `last` of the matrix of a table."""
    step = matrix.steps[0][1] if matrix.steps else matrix.cols
    rows = int(last - first) + 1
    steps = ((rows, step),) if matrix.steps else ()
    return replace(matrix, rows=rows, first=matrix.first + int(first) * step, steps=steps)
