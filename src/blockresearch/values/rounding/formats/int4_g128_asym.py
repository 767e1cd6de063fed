"""Asymmetric INT4: codes 0 … 15 with an integer zero point, scale (max - min)/15 of 128 weights and
0, not rounded.

Source: AWQ, arXiv:2306.00978; GPTQ, arXiv:2210.17323.
"""

import numpy as np

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import GROUP, add_integer_errors, bits_of, from_bits


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    low, high = extent(group.values)
    scale = (high - low) / np.float32(15)
    zero = np.rint(-low / scale)
    add_integer_errors(group.values, scale, -zero, np.float32(15) - zero, squares, largest)


@inlined
def extent(values):
    """The smallest and the largest of the values [128] and 0."""
    low, high = np.uint32(0), np.uint32(0)
    for i in range(GROUP):
        bits = bits_of(values[i])  # type: ignore[call-arg, var-annotated]
        size, negative = bits & np.uint32(0x7FFFFFFF), bits >> np.uint32(31)
        low = max(low, size if negative else np.uint32(0))
        high = max(high, np.uint32(0) if negative else size)
    return -from_bits(low), from_bits(high)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    low = groups.values.amin(dim=-1, keepdim=True).clamp(max=0)
    high = groups.values.amax(dim=-1, keepdim=True).clamp(min=0)
    scale = (high - low) / groups.number(15)
    zero = (-low / scale).round()
    return groups.integer_errors(scale, -zero, groups.number(15) - zero)
