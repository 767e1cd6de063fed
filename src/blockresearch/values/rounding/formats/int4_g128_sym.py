"""Symmetric INT4: codes -8 … 7, scale 2·absmax/15 of 128 weights, not rounded.

Source: GPTQ, arXiv:2210.17323.
"""

import numpy as np

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import add_integer_errors


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    scale = group.peak / np.float32(7.5)
    add_integer_errors(group.values, scale, -8, 7, squares, largest)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    return groups.integer_errors(groups.peak / groups.number(7.5), -8, 7)
