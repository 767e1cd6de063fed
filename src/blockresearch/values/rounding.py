"""What rounding a matrix to a low-bit format costs, from the weights alone (round to nearest).

For each format the signal-to-quantization-noise ratio, 20·log10(‖W‖_F / ‖W - Q(W)‖_F) in decibel,
and the largest |w - Q(w)|. W is read in row panels; the rows are the output channels, and groups
and blocks run along a row (the last of a row may be shorter). Scales of groups are not rounded
unless the format says so.

int8_channel    scale = 2·absmax/255 of the row, codes -128 … 127 (compressed-tensors)
int4_g128_sym   scale = 2·absmax/15 of 128 weights, codes -8 … 7 (GPTQ, arXiv:2210.17323)
int4_g128_asym  scale = (max - min)/15 of 128 weights and 0, with an integer zero point (AWQ, GPTQ)
nf4             16 normal quantiles, scale = absmax of 64 weights (QLoRA, arXiv:2305.14314)
fp8_tensor      E4M3, scale = absmax/448 of the matrix
fp8_channel     E4M3, scale = absmax/448 of the row
mxfp4           E2M1, scale = 2^(⌊log2 absmax⌋ - 2) of 32 weights (OCP Microscaling 1.0)
nvfp4           E2M1, scale = absmax/6 of 16 weights, itself rounded to E4M3 in units of
                absmax/(6·448) of the matrix
"""

import math
from collections.abc import Iterable

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from blockresearch.compiled import compiled, float_of
from blockresearch.tables.columns import LOW_BIT_FORMATS, ROUNDING, names

FORMATS = tuple(each.name for each in LOW_BIT_FORMATS)

ERROR_KEYS = names(ROUNDING)

NF4_LEVELS = np.array(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ],
    dtype=np.float32,
)

NF4_MIDDLES = ((NF4_LEVELS[1:].astype(np.float64) + NF4_LEVELS[:-1]) / 2).astype(np.float32)

GROUP, NF4_BLOCK, MX_BLOCK, NV_BLOCK = 128, 64, 32, 16

E4M3_MAX, E2M1_MAX = np.float32(448), np.float32(6)

# so far below the largest |w| = 1 float32 has no reciprocals, and no sum would notice
NOTHING = np.float32(1e-30)

# groups whose squares are added in float32
FLUSH_AFTER = 32


def quantization_errors(panels: Iterable[np.ndarray], absmax: float) -> dict[str, float | None]:
    """SQNR (dB) and largest error of every format, by the names in `ERROR_KEYS`.

    `panels` are finite float32 or float64 C arrays [r, cols] that make up the matrix from top to
    bottom; `absmax` is the largest |w|. The ratio is None where nothing is
    lost (largest error 0), both are for a matrix of zeros.
    """
    result: dict[str, float | None] = dict.fromkeys(ERROR_KEYS)
    if not 0 < absmax < math.inf:
        return result
    # a power of two brings the weights to [-1, 1] and changes no error but by that factor
    exponent = math.frexp(absmax)[1]
    peak = np.float32(math.ldexp(absmax, -exponent))
    sums = np.zeros((len(FORMATS) + 1, GROUP))
    squares, pending = sums.astype(np.float32), 0
    worst = np.zeros((len(FORMATS), GROUP), dtype=np.uint32)
    factor = math.ldexp(1.0, min(-exponent, 1023))
    room = np.empty((0, 0), dtype=np.float32)
    for panel in panels:
        rows, cols = panel.shape
        if len(room) < rows:
            # zeros behind a short group are represented exactly by every format
            room = np.zeros((rows, -(-cols // GROUP) * GROUP), dtype=np.float32)
        scaled = room[:rows]
        wide = panel.dtype == np.float64 or abs(exponent) > 100
        number = np.float64 if wide else np.float32
        np.multiply(panel, factor, out=scaled[:, :cols], dtype=number, casting="same_kind")
        pending = add_errors(scaled, peak, squares, pending, sums, worst)
    flush(squares, sums)
    *noise, energy = (math.fsum(places) for places in sums)
    largest = worst.max(axis=1).view(np.float32)
    for name, lost, error in zip(FORMATS, noise, largest, strict=True):
        result[f"{name}_max_error"] = math.ldexp(float(error), exponent)
        if lost > 0:
            result[f"{name}_sqnr_db"] = 10 * math.log10(energy / lost)
    return result


@intrinsic
def bits_of(typing_context, value):
    """The bits of a float32 as uint32; those of numbers ≥ 0 are ordered as the numbers are, and
    the compiler vectorizes the largest of integers, not of floats."""

    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), build


@compiled
def size_bits(value):
    """The bits of |w|."""
    return bits_of(value) & np.uint32(0x7FFFFFFF)  # type: ignore[call-arg]


@compiled
def from_bits(bits):
    """The float32 of the bits."""
    return float_of(np.uint32(bits), np.uint32(0))  # type: ignore[call-arg]


@compiled
def power_below(size):
    """The power of two at or below a float32 ≥ 0; 0 below the smallest normal number."""
    return from_bits(bits_of(size) & np.uint32(0x7F800000))  # type: ignore[call-arg]


@compiled
def reciprocal(power):
    """1 / power of a normal power of two, without a division."""
    return from_bits(np.uint32(0x7F000000) - bits_of(power))  # type: ignore[call-arg]


@compiled
def add_errors(panel, peak, squares, pending, sums, worst):
    """Add the squared errors of a panel [r, whole groups] to `sums`, and raise `worst`.

    `peak` is the largest |w| of the matrix. `sums` (float64) and `worst` (bits of float32) are
    [formats, 128], in the order of FORMATS and with one number for each place in a group; the last
    row of `sums` is for the squares of w itself. `squares` is as `sums` in float32, with the errors
    of the last `pending` groups; returns the new `pending`.

    Every sum has one fixed order, and no liberty is given to the compiler: always the same bits,
    however the matrix is cut into panels.
    """
    scales, inverse = np.empty(GROUP, dtype=np.float32), np.empty(GROUP, dtype=np.float32)
    sizes = np.empty(GROUP // NV_BLOCK, dtype=np.float32)
    unit = peak / (E4M3_MAX * E2M1_MAX)
    for i in range(panel.shape[0]):
        row = panel[i]
        channel_bits = np.uint32(0)
        for j in range(len(row)):
            channel_bits = max(channel_bits, size_bits(row[j]))
        channel = from_bits(channel_bits)
        if channel < NOTHING:
            continue
        for first in range(0, len(row), GROUP):
            values = row[first : first + GROUP]
            largest_of_blocks(values, sizes)
            size = sizes.max()
            if size < NOTHING:
                continue
            for j in range(GROUP):
                squares[8, j] += values[j] * values[j]
            integer(values, channel / np.float32(127.5), -128, 127, squares[0], worst[0])
            integer(values, size / np.float32(7.5), -8, 7, squares[1], worst[1])
            low, high = extent(values)
            step = (high - low) / np.float32(15)
            zero = np.rint(-low / step)
            integer(values, step, -zero, np.float32(15) - zero, squares[2], worst[2])
            spread(sizes, NF4_BLOCK, scales)
            normal_quantiles(values, scales, squares[3], worst[3])
            eight_bits(values, peak / E4M3_MAX, squares[4], worst[4])
            eight_bits(values, channel / E4M3_MAX, squares[5], worst[5])
            spread(sizes, MX_BLOCK, scales)
            for j in range(GROUP):
                scales[j] = power_below(scales[j]) * np.float32(0.25)
            four_bits(values, scales, inverse, squares[6], worst[6])
            for j in range(len(sizes)):
                sizes[j] = unit * rounded_e4m3(sizes[j] / (E2M1_MAX * unit))
            spread(sizes, NV_BLOCK, scales)
            four_bits(values, scales, inverse, squares[7], worst[7])
            pending += 1
            if pending == FLUSH_AFTER:
                flush(squares, sums)
                pending = 0
    return pending


@compiled
def flush(squares, sums):
    """Move sums of a few squares, in float32, to those in float64."""
    for f in range(len(sums)):
        for i in range(GROUP):
            sums[f, i] += np.float64(squares[f, i])
            squares[f, i] = 0


@compiled
def largest_of_blocks(values, sizes):
    """Largest |w| of each block of NV_BLOCK values."""
    for b in range(GROUP // NV_BLOCK):
        bits = np.uint32(0)
        for j in range(NV_BLOCK):
            bits = max(bits, size_bits(values[b * NV_BLOCK + j]))
        sizes[b] = from_bits(bits)


@compiled
def spread(sizes, block, scales):
    """Largest |w| of the block of `block` values that each value lies in."""
    count = block // NV_BLOCK
    for start in range(0, len(sizes), count):
        size = np.float32(0)
        for b in range(start, start + count):
            size = max(size, sizes[b])
        scales[start * NV_BLOCK : (start + count) * NV_BLOCK] = size


@compiled
def extent(values):
    """Smallest and largest w, 0 among them."""
    low, high = np.uint32(0), np.uint32(0)
    for i in range(GROUP):
        bits = bits_of(values[i])  # type: ignore[call-arg, var-annotated]
        size, negative = bits & np.uint32(0x7FFFFFFF), bits >> np.uint32(31)
        low = max(low, size if negative else np.uint32(0))
        high = max(high, np.uint32(0) if negative else size)
    return -from_bits(low), from_bits(high)


@compiled
def rounded_e4m3(size):
    """|x| to the nearest E4M3 number (3 mantissa bits, smallest normal 2⁻⁶, largest 448)."""
    power = larger(power_below(size), np.float32(2.0**-6))
    steps = np.rint(size * reciprocal(power) * np.float32(8))
    return smaller(steps * power * np.float32(0.125), E4M3_MAX)


@compiled
def rounded_e2m1(size):
    """|x| to the nearest E2M1 number: 0, 0.5, 1, 1.5, 2, 3, 4, 6."""
    power = larger(power_below(size), np.float32(1))
    steps = np.rint(size * reciprocal(power) * np.float32(2))
    return smaller(steps * power * np.float32(0.5), E2M1_MAX)


@compiled
def larger(a, b):
    """max of two numbers, which the compiler vectorizes as no value is NaN."""
    return a if a > b else b


@compiled
def smaller(a, b):
    """min of two numbers."""
    return a if a < b else b


@compiled
def integer(values, scale, low, high, squares, worst):
    """Integers from `low` to `high` times `scale`."""
    low, high, inverse = np.float32(low), np.float32(high), np.float32(1) / scale
    for i in range(GROUP):
        code = smaller(larger(np.rint(values[i] * inverse), low), high)
        error = values[i] - code * scale
        squares[i] += error * error
        worst[i] = max(worst[i], size_bits(error))


@compiled
def eight_bits(values, scale, squares, worst):
    """E4M3 numbers times `scale`."""
    inverse = np.float32(1) / scale
    for i in range(GROUP):
        size = abs(values[i])
        error = size - rounded_e4m3(size * inverse) * scale
        squares[i] += error * error
        worst[i] = max(worst[i], size_bits(error))


@compiled
def four_bits(values, scales, inverse, squares, worst):
    """E2M1 numbers times `scales`; `inverse` is room for as many numbers."""
    for i in range(GROUP):
        inverse[i] = np.float32(1) / scales[i] if scales[i] > 0 else np.float32(0)
    for i in range(GROUP):
        size = abs(values[i])
        error = size - rounded_e2m1(size * inverse[i]) * scales[i]
        squares[i] += error * error
        worst[i] = max(worst[i], size_bits(error))


@compiled
def normal_quantiles(values, scales, squares, worst):
    """NF4 levels times `scales`."""
    for i in range(GROUP):
        nearest = NF4_LEVELS[0]
        for level in range(15):
            above = NF4_LEVELS[level + 1]
            nearest = above if values[i] > NF4_MIDDLES[level] * scales[i] else nearest
        error = values[i] - nearest * scales[i]
        squares[i] += error * error
        worst[i] = max(worst[i], size_bits(error))
