"""What rounding a matrix to a low-bit format costs, from the weights alone (round to nearest).

For each format the signal-to-quantisation-noise ratio, 20·log10(‖W‖_F / ‖W - Q(W)‖_F) in decibel,
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

from workflow.lib.loops import compiled, float_of

FORMATS = (
    "int8_channel",
    "int4_g128_sym",
    "int4_g128_asym",
    "nf4",
    "fp8_tensor",
    "fp8_channel",
    "mxfp4",
    "nvfp4",
)
ERROR_KEYS = tuple(f"{name}_{what}" for name in FORMATS for what in ("sqnr_db", "max_error"))
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
# sums of a group run in float32 lanes and in any order; no value is NaN
FAST = {"reassoc", "contract", "nnan", "nsz", "arcp"}


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
    energy, noise, worst = 0.0, np.zeros(len(FORMATS)), np.zeros(len(FORMATS))
    for panel in panels:
        wide = panel.dtype == np.float64 or abs(exponent) > 100
        factor = math.ldexp(1.0, min(-exponent, 1023))
        scaled = np.multiply(panel, factor, dtype=np.float64 if wide else np.float32)
        energy += float(add_errors(scaled.astype(np.float32, copy=False), peak, noise, worst))
    for name, lost, largest in zip(FORMATS, noise, worst, strict=True):
        result[f"{name}_max_error"] = math.ldexp(float(largest), exponent)
        if lost > 0:
            result[f"{name}_sqnr_db"] = 10 * math.log10(energy / float(lost))
    return result


@intrinsic
def bits_of(typing_context, value):
    """The bits of a float32 as uint32; those of numbers ≥ 0 are ordered as the numbers are, and
    the compiler vectorises the largest of integers, not of floats."""

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


@compiled(fastmath=FAST)
def add_errors(panel, peak, noise, worst):
    """Add the squared errors of a panel to `noise` and raise `worst`, in the order of FORMATS.

    `peak` is the largest |w| of the whole matrix. Returns the sum of squares of the panel.
    """
    energy = 0.0
    cols = panel.shape[1]
    values = np.zeros(GROUP, dtype=np.float32)
    scales, inverse = np.empty_like(values), np.empty_like(values)
    sizes = np.empty(GROUP // NV_BLOCK, dtype=np.float32)
    unit = peak / (E4M3_MAX * E2M1_MAX)
    for i in range(panel.shape[0]):
        row = panel[i]
        channel_bits = np.uint32(0)
        for j in range(cols):
            channel_bits = max(channel_bits, size_bits(row[j]))
        channel = from_bits(channel_bits)
        if channel < NOTHING:
            continue
        for first in range(0, cols, GROUP):
            width = min(GROUP, cols - first)
            # zeros behind a short group are represented exactly by every format
            values[width:] = 0
            for j in range(width):
                values[j] = row[first + j]
            largest_of_blocks(values, sizes)
            size = sizes.max()
            if size < NOTHING:
                continue
            low, high, square = extent(values)
            energy += square
            integer(values, channel / np.float32(127.5), -128, 127, noise, worst, 0)
            integer(values, size / np.float32(7.5), -8, 7, noise, worst, 1)
            step = (high - low) / np.float32(15)
            zero = np.rint(-low / step)
            integer(values, step, -zero, np.float32(15) - zero, noise, worst, 2)
            spread(sizes, NF4_BLOCK, scales)
            normal_quantiles(values, scales, inverse, noise, worst, 3)
            eight_bits(values, peak / E4M3_MAX, noise, worst, 4)
            eight_bits(values, channel / E4M3_MAX, noise, worst, 5)
            spread(sizes, MX_BLOCK, scales)
            for j in range(GROUP):
                scales[j] = power_below(scales[j]) * np.float32(0.25)
            four_bits(values, scales, inverse, noise, worst, 6)
            for j in range(len(sizes)):
                sizes[j] = unit * rounded_e4m3(sizes[j] / (E2M1_MAX * unit))
            spread(sizes, NV_BLOCK, scales)
            four_bits(values, scales, inverse, noise, worst, 7)
    return energy


@compiled(fastmath=FAST)
def largest_of_blocks(values, sizes):
    """Largest |w| of each block of NV_BLOCK values."""
    for b in range(GROUP // NV_BLOCK):
        bits = np.uint32(0)
        for j in range(NV_BLOCK):
            bits = max(bits, size_bits(values[b * NV_BLOCK + j]))
        sizes[b] = from_bits(bits)


@compiled(fastmath=FAST)
def spread(sizes, block, scales):
    """Largest |w| of the block of `block` values that each value lies in."""
    count = block // NV_BLOCK
    for start in range(0, len(sizes), count):
        size = np.float32(0)
        for b in range(start, start + count):
            size = max(size, sizes[b])
        scales[start * NV_BLOCK : (start + count) * NV_BLOCK] = size


@compiled(fastmath=FAST)
def extent(values):
    """Smallest and largest w (0 among them), sum of squares."""
    low, high, square = np.uint32(0), np.uint32(0), np.float32(0)
    for i in range(GROUP):
        bits = bits_of(values[i])  # type: ignore[call-arg, var-annotated]
        size, negative = bits & np.uint32(0x7FFFFFFF), bits >> np.uint32(31)
        low = max(low, size if negative else np.uint32(0))
        high = max(high, np.uint32(0) if negative else size)
        square += values[i] * values[i]
    return -from_bits(low), from_bits(high), square


@compiled(fastmath=FAST)
def rounded_e4m3(size):
    """|x| to the nearest E4M3 number (3 mantissa bits, smallest normal 2⁻⁶, largest 448)."""
    power = max(power_below(size), np.float32(2.0**-6))
    steps = np.rint(size * reciprocal(power) * np.float32(8))
    return min(steps * power * np.float32(0.125), E4M3_MAX)


@compiled(fastmath=FAST)
def rounded_e2m1(size):
    """|x| to the nearest E2M1 number: 0, 0.5, 1, 1.5, 2, 3, 4, 6."""
    power = max(power_below(size), np.float32(1))
    steps = np.rint(size * reciprocal(power) * np.float32(2))
    return min(steps * power * np.float32(0.5), E2M1_MAX)


@compiled(fastmath=FAST)
def integer(values, scale, low, high, noise, worst, place):
    """Integers from `low` to `high` times `scale`."""
    low, high, inverse = np.float32(low), np.float32(high), np.float32(1) / scale
    total, peak = np.float32(0), np.uint32(0)
    for i in range(GROUP):
        code = np.rint(values[i] * inverse)
        error = values[i] - min(max(code, low), high) * scale
        total += error * error
        peak = max(peak, size_bits(error))
    noise[place] += total
    worst[place] = max(worst[place], from_bits(peak))


@compiled(fastmath=FAST)
def eight_bits(values, scale, noise, worst, place):
    """E4M3 numbers times `scale`."""
    inverse = np.float32(1) / scale
    total, peak = np.float32(0), np.uint32(0)
    for i in range(GROUP):
        size = abs(values[i])
        error = size - rounded_e4m3(size * inverse) * scale
        total += error * error
        peak = max(peak, size_bits(error))
    noise[place] += total
    worst[place] = max(worst[place], from_bits(peak))


@compiled(fastmath=FAST)
def four_bits(values, scales, inverse, noise, worst, place):
    """E2M1 numbers times `scales`; `inverse` is room for as many numbers."""
    for i in range(GROUP):
        inverse[i] = np.float32(1) / scales[i] if scales[i] > 0 else np.float32(0)
    total, peak = np.float32(0), np.uint32(0)
    for i in range(GROUP):
        size = abs(values[i])
        error = size - rounded_e2m1(size * inverse[i]) * scales[i]
        total += error * error
        peak = max(peak, size_bits(error))
    noise[place] += total
    worst[place] = max(worst[place], from_bits(peak))


@compiled(fastmath=FAST)
def normal_quantiles(values, scales, nearest, noise, worst, place):
    """NF4 levels times `scales`; `nearest` is room for as many numbers."""
    nearest[:] = NF4_LEVELS[0]
    for level in range(15):
        middle, above = NF4_MIDDLES[level], NF4_LEVELS[level + 1]
        for i in range(GROUP):
            nearest[i] = above if values[i] > middle * scales[i] else nearest[i]
    total, peak = np.float32(0), np.uint32(0)
    for i in range(GROUP):
        error = values[i] - nearest[i] * scales[i]
        total += error * error
        peak = max(peak, size_bits(error))
    noise[place] += total
    worst[place] = max(worst[place], from_bits(peak))
