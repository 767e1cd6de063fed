"""How much rounding a matrix to a low-bit format loses, from the weights alone (round to nearest).

For each format the signal-to-quantization-noise ratio, 20·log10(‖W‖_F / ‖W - Q(W)‖_F) in decibels,
and the largest |w - Q(w)|. W is read in row panels; the rows are the output channels, and groups
and blocks run along a row (the last of a row may be shorter).

Each record of LOW_BIT_FORMATS has a file in `formats`, whose function `add_errors` adds up the
errors of the 128 weights of a group. Each is compiled into a loop over all groups. `on_device` does
the same with their functions `errors`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from blockresearch.compiled import compiled, inlined
from blockresearch.tables.schemas import LOW_BIT_FORMATS, ROUNDING
from blockresearch.values.rounding import formats
from blockresearch.values.rounding.grids import (
    BLOCK,
    GROUP,
    Group,
    from_bits,
    larger,
    size_bits,
)

# Groups whose largest |w| is below this, while that of the matrix is about 1, are skipped: the
# reciprocals of their scales overflow float32, and they change no sum.
TINY = np.float32(1e-30)

# Blocks of a group.
BLOCKS = GROUP // BLOCK

# Groups whose squares are added in float32.
FLUSH_AFTER = 32


def rounding_errors(panels: Iterable[np.ndarray], absmax: float) -> dict[str, float | None]:
    """Signal-to-noise ratio (dB) and largest error (unit of w) of every format, by ROUNDING.

    `panels` are finite float32 or float64 C arrays [r, cols] that make up the matrix from top to
    bottom; `absmax` is the largest |w|. The ratio is None if nothing is lost (largest error 0), and
    both are None for a matrix of zeros.
    """
    if not 0 < absmax < math.inf:
        return dict.fromkeys(ROUNDING)
    scale = Scale(absmax)
    energy, sums = Sums(), {name: Sums() for name in LOW_BIT_FORMATS}
    padded = np.empty((0, 0), dtype=np.float32)
    for panel in panels:
        rows, cols = panel.shape
        if len(padded) < rows:
            # Every format represents the zeros after a short group exactly.
            padded = np.zeros((rows, -(-cols // GROUP) * GROUP), dtype=np.float32)
            blocks = np.empty((rows, padded.shape[1] // BLOCK), dtype=np.float32)
            groups = np.empty((rows, padded.shape[1] // GROUP), dtype=np.float32)
        scaled = padded[:rows]
        number = np.float64 if scale.is_wide or panel.dtype == np.float64 else np.float32
        np.multiply(panel, scale.factor, out=scaled[:, :cols], dtype=number, casting="same_kind")
        find_peaks(scaled, blocks, groups)
        energy.add(add_squares, scaled, blocks, groups, scale.matrix_peak)
        for name, own in sums.items():
            own.add(LOOPS[name], scaled, blocks, groups, scale.matrix_peak)
    return scale.summary(energy.totals()[0], {name: own.totals() for name, own in sums.items()})


class Scale:
    """The power of two that brings weights up to `absmax` to [-1, 1]; no error changes but by it.

    `factor` is that power, `matrix_peak` (float32) the largest scaled |w|. `is_wide`: the product
    needs float64.
    """

    def __init__(self, absmax: float):
        self._exponent = math.frexp(absmax)[1]
        self.matrix_peak = np.float32(math.ldexp(absmax, -self._exponent))
        self.factor = math.ldexp(1.0, min(-self._exponent, 1023))
        self.is_wide = abs(self._exponent) > 100

    def summary(
        self, signal: float, found: Mapping[str, tuple[float, float]]
    ) -> dict[str, float | None]:
        """The numbers of `rounding_errors`, of the sum of all squared scaled weights, and of the
        sum of squared errors and the largest error of each format."""
        result: dict[str, float | None] = dict.fromkeys(ROUNDING)
        for name, (noise, largest) in found.items():
            result[f"{name}_max_error"] = math.ldexp(largest, self._exponent)
            if noise > 0:
                result[f"{name}_sqnr_db"] = 10 * math.log10(signal / noise)
        return result


class Sums:
    """The squared errors of one format, added up in one fixed order, and the largest error.

    One number for each place in a group: `squares` (float32) of the last `pending` groups, `sums`
    (float64) of the groups before, `largest` the bits (uint32) of the largest |error|.
    """

    def __init__(self) -> None:
        self.squares = np.zeros(GROUP, dtype=np.float32)
        self.sums = np.zeros(GROUP)
        self.largest = np.zeros(GROUP, dtype=np.uint32)
        self.pending = 0

    def add(self, loop: Callable, *panel_and_peaks: Any) -> None:
        """Add the errors of one panel; see `loop_over_groups`."""
        state = self.squares, self.sums, self.largest, self.pending
        self.pending = loop(*panel_and_peaks, *state)

    def totals(self) -> tuple[float, float]:
        """The sum of all squared errors and the largest error."""
        flush(self.squares, self.sums)
        return math.fsum(self.sums), float(self.largest.max().view(np.float32))


@compiled
def find_peaks(panel, blocks, groups):
    """Set `blocks` and `groups` to the largest |w| of each block of 16 and group of 128 weights.

    `panel` is [r, cols] of whole groups, `blocks` [≥ r, cols / 16], `groups` [≥ r, cols / 128].
    """
    for i in range(panel.shape[0]):
        for block in range(blocks.shape[1]):
            bits = np.uint32(0)
            for j in range(BLOCK):
                bits = max(bits, size_bits(panel[i, block * BLOCK + j]))
            blocks[i, block] = from_bits(bits)
        for group in range(groups.shape[1]):
            peak = np.float32(0)
            for block in range(BLOCKS):
                peak = larger(peak, blocks[i, group * BLOCKS + block])
            groups[i, group] = peak


def loop_over_groups(add_errors: Callable) -> Callable:
    """The compiled loop that adds the errors of one format for a panel to its `Sums`.

    The loop takes the panel [r, whole groups], the largest |w| of its blocks, of its groups and of
    the matrix, and the four fields of `Sums`; it returns the new `pending`. Every sum has one fixed
    order, and the compiler may not reorder it: always the same bits, however the matrix is cut into
    panels.
    """

    # The error model of NumPy has no exception for a division by zero, which no loop needs.
    @compiled(error_model="numpy")
    def add_panel(panel, blocks, groups, matrix_peak, squares, sums, largest, pending):
        scales = np.empty(GROUP, dtype=np.float32)
        for i in range(panel.shape[0]):
            row_peak = groups[i].max()
            if row_peak < TINY:
                continue
            for number in range(groups.shape[1]):
                peak = groups[i, number]
                if peak < TINY:
                    continue
                values = panel[i, number * GROUP : (number + 1) * GROUP]
                block_peaks = blocks[i, number * BLOCKS : (number + 1) * BLOCKS]
                group = Group(values, scales, block_peaks, peak, row_peak, matrix_peak)
                add_errors(group, squares, largest)
                pending += 1
                if pending == FLUSH_AFTER:
                    flush(squares, sums)
                    pending = 0
        return pending

    return add_panel


@compiled
def flush(squares, sums):
    """Move sums of a few squares (float32) to those in float64."""
    for j in range(GROUP):
        sums[j] += np.float64(squares[j])
        squares[j] = 0


@inlined
def add_values(group, squares, largest):
    """The errors if every weight is rounded to 0: the weights themselves."""
    for j in range(GROUP):
        squares[j] += group.values[j] * group.values[j]


add_squares = loop_over_groups(add_values)

# Format -> its loop.
LOOPS = {
    name: loop_over_groups(import_module(f"{formats.__name__}.{name}").add_errors)
    for name in LOW_BIT_FORMATS
}
