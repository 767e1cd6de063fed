"""What the formats share: a group of weights, and the errors of rounding it to common grids.

Each function `add_…_errors` adds the squared errors of the 128 weights of a group to `squares`
(float32) and raises `largest` to the bits (uint32) of the errors: loops over independent weights,
which the compiler vectorizes. To store the rounded weights first would take twice the time.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from blockresearch.compiled import float_of, inlined

# Weights of a group, and of the blocks of which the largest |w| is known.
GROUP, BLOCK = 128, 16

E4M3_MAX, E2M1_MAX = np.float32(448), np.float32(6)


class Group(NamedTuple):
    """A group of weights of one row. All numbers are float32.

    The weights are scaled by a power of two, so that the largest |w| of the matrix is at least 0.5
    and below 1.
    """

    # The weights [128], with zeros after the end of the row.
    values: np.ndarray
    # A buffer [128] for the scale of each weight.
    scales: np.ndarray
    # The largest |w| of each block of 16 weights [8], of the group, its row and the matrix.
    block_peaks: np.ndarray
    peak: np.float32
    row_peak: np.float32
    matrix_peak: np.float32


@intrinsic
def bits_of(typing_context, value):
    """The bits of a float32 as uint32.

    Those of numbers ≥ 0 have the order of the numbers, and the compiler vectorizes the maximum of
    integers but not that of floats.
    """

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


@inlined
def size_bits(value):
    """The bits of |w|."""
    return bits_of(value) & np.uint32(0x7FFFFFFF)  # type: ignore[call-arg]


@inlined
def from_bits(bits):
    """The float32 with these bits."""
    return float_of(np.uint32(bits), np.uint32(0))  # type: ignore[call-arg]


@inlined
def power_below(size):
    """The power of two at or below a float32 ≥ 0; 0 below the smallest normal number."""
    return from_bits(bits_of(size) & np.uint32(0x7F800000))  # type: ignore[call-arg]


@inlined
def reciprocal(power):
    """1 / power for a normal power of two, without a division."""
    return from_bits(np.uint32(0x7F000000) - bits_of(power))  # type: ignore[call-arg]


@inlined
def larger(a, b):
    """The larger of two numbers that are not NaN, in a form that the compiler vectorizes."""
    return a if a > b else b


@inlined
def smaller(a, b):
    """The smaller of two numbers that are not NaN, in a form that the compiler vectorizes."""
    return a if a < b else b


@inlined
def rounded_e4m3(size):
    """|x| rounded to the nearest E4M3 number: 3 mantissa bits, smallest normal 2⁻⁶, largest 448."""
    power = larger(power_below(size), np.float32(2.0**-6))
    steps = np.rint(size * reciprocal(power) * np.float32(8))
    return smaller(steps * power * np.float32(0.125), E4M3_MAX)


@inlined
def rounded_e2m1(size):
    """|x| rounded to the nearest E2M1 number: 0, 0.5, 1, 1.5, 2, 3, 4, 6."""
    power = larger(power_below(size), np.float32(1))
    steps = np.rint(size * reciprocal(power) * np.float32(2))
    return smaller(steps * power * np.float32(0.5), E2M1_MAX)


@inlined
def add_integer_errors(values, scale, low, high, squares, largest):
    """Rounding to integers from `low` to `high` times `scale`."""
    low, high, inverse = np.float32(low), np.float32(high), np.float32(1) / scale
    for i in range(GROUP):
        code = smaller(larger(np.rint(values[i] * inverse), low), high)
        error = values[i] - code * scale
        squares[i] += error * error
        largest[i] = max(largest[i], size_bits(error))


@inlined
def add_e4m3_errors(values, scale, squares, largest):
    """Rounding to E4M3 numbers times `scale`."""
    inverse = np.float32(1) / scale
    for i in range(GROUP):
        size = abs(values[i])
        error = size - rounded_e4m3(size * inverse) * scale
        squares[i] += error * error
        largest[i] = max(largest[i], size_bits(error))


@inlined
def add_e2m1_errors(values, scales, squares, largest):
    """Rounding to E2M1 numbers times `scales` [128], which may be 0."""
    for i in range(GROUP):
        inverse = np.float32(1) / scales[i] if scales[i] > 0 else np.float32(0)
        size = abs(values[i])
        error = size - rounded_e2m1(size * inverse) * scales[i]
        squares[i] += error * error
        largest[i] = max(largest[i], size_bits(error))


@inlined
def peak_between(group, first, end):
    """The largest |w| of the weights `first` to `end` - 1, which are whole blocks."""
    peak = np.float32(0)
    for block in range(first // BLOCK, end // BLOCK):
        peak = larger(peak, group.block_peaks[block])
    return peak
