"""Predicted time and memory of measuring a tensor."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.spectra.cost import predicted_bytes, predicted_seconds
from blockresearch.weights.layout import TRANSPOSED_BYTES, matrices, view

# Predicted seconds of a tensor's measurement, and the tensor.
Costed = tuple[float, Mapping[str, Any]]

VALUE_BYTES_PER_SECOND = 1e9

# Rounding one element to all low-bit formats.
ROUNDING_SECONDS = 4.5e-9

# The tables of a tensor, whatever its size: of codes, or of the leading bits of wide types.
NARROW_SECONDS, WIDE_SECONDS = 1e-3, 4e-3

# Interpreter, libraries and the chunks of the value pass.
BASE_BYTES = 320 * 1024**2


def logical_shape(tensor: Mapping[str, Any]) -> tuple[int, ...]:
    """Shape of a planned tensor once it is dequantized."""
    return tuple(tensor["scheme"]["shape"] if "scheme" in tensor else tensor["shape"])


def solves(tensor: Mapping[str, Any]) -> Counter[tuple[int, int]]:
    """How many matrices of which (rows, cols) a planned tensor holds."""
    found = matrices(logical_shape(tensor), tensor)
    return Counter((matrix.rows, matrix.cols) for matrix in found)


def seconds(tensor: Mapping[str, Any]) -> float:
    """Predicted time of one core to measure `tensor`."""
    found = solves(tensor)
    spectra = sum(count * predicted_seconds(*shape) for shape, count in found.items())
    rounding = ROUNDING_SECONDS * sum(count * rows * cols for (rows, cols), count in found.items())
    values = tensor["end"] - tensor["begin"]
    if "scheme" in tensor:
        # Dequantized to four bytes an element, for the values and for each of the spectra.
        values = 8 * math.prod(logical_shape(tensor))
    wide = "scheme" in tensor or DTYPES[tensor["dtype"]].bits > 16
    tables = WIDE_SECONDS if wide else NARROW_SECONDS
    return spectra + rounding + tables + values / VALUE_BYTES_PER_SECOND


def memory(tensor: Mapping[str, Any]) -> int:
    """Predicted peak memory of one worker that measures `tensor`, bytes."""
    rows, cols = view(logical_shape(tensor), tensor["layout"])
    sums = 64 * (rows + cols)
    spectra = max((predicted_bytes(*shape) for shape in solves(tensor)), default=0)
    regrouped = TRANSPOSED_BYTES if tensor.get("transposed") else 0
    packed = 2 * measured_bytes(tensor) if "scheme" in tensor else 0
    return BASE_BYTES + sums + spectra + 2 * regrouped + packed


def measured_bytes(tensor: Mapping[str, Any]) -> int:
    """Bytes of a quantized tensor and its companions, which some schemes hold as a whole."""
    parts = (tensor, *tensor["scheme"]["companions"].values())
    return sum(part["end"] - part["begin"] for part in parts)
