"""Predicted time and memory of measuring a tensor, on one core of the benchmarks' machine."""

import math
from collections import Counter

from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.spectra.cost import predicted_bytes, predicted_seconds
from blockresearch.weights.layout import TRANSPOSED_BYTES, view
from blockresearch.weights.weight import Weight

VALUE_BYTES_PER_SECOND = 1e9

# Rounding one element to all low-bit formats.
ROUNDING_SECONDS = 4.5e-9

# Histograms of a tensor of any size: of codes, or of the leading bits of wide types.
NARROW_SECONDS, WIDE_SECONDS = 1e-3, 4e-3

# Interpreter, libraries and the chunks of the value pass.
BASE_BYTES = 320 * 1024**2


def solves(weight: Weight) -> Counter[tuple[int, int]]:
    """The (rows, cols) of the matrices in a tensor, with their number."""
    return Counter((matrix.rows, matrix.cols) for matrix in weight.matrices())


def seconds(weight: Weight) -> float:
    """Predicted time of one core to measure a tensor."""
    found = solves(weight)
    spectra = sum(count * predicted_seconds(*shape) for shape, count in found.items())
    rounding = ROUNDING_SECONDS * sum(count * rows * cols for (rows, cols), count in found.items())
    # Dequantized to four bytes per element, for the values and for each spectrum.
    values = 8 * math.prod(weight.shape) if weight.is_quantized else weight.stored.nbytes
    wide = weight.is_quantized or DTYPES[weight.stored.dtype].bits > 16
    tables = WIDE_SECONDS if wide else NARROW_SECONDS
    return spectra + rounding + tables + values / VALUE_BYTES_PER_SECOND


def memory(weight: Weight) -> int:
    """Predicted peak memory of one worker that measures a tensor, bytes."""
    rows, cols = view(weight.shape, weight.layout.kind)
    # A shape without elements may claim any number of rows.
    sums = 64 * (rows + cols) if rows * cols else 0
    spectra = max((predicted_bytes(*shape) for shape in solves(weight)), default=0)
    regrouped = TRANSPOSED_BYTES if weight.layout.transposed else 0
    # Some schemes load codes and companions completely.
    packed = 2 * weight.stored_bytes if weight.is_quantized else 0
    return BASE_BYTES + sums + spectra + 2 * regrouped + packed
