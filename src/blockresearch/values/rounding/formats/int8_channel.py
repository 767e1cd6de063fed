"""INT8: codes -128 … 127, scale 2·absmax/255 of the row, not rounded.

Source: the rule of compressed-tensors for symmetric weights with a scale per channel.
"""

import numpy as np

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import add_integer_errors


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    scale = group.row_peak / np.float32(127.5)
    add_integer_errors(group.values, scale, -128, 127, squares, largest)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    return groups.integer_errors(groups.row_peak / groups.number(127.5), -128, 127)
