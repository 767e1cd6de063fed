"""FP8 with one scale: E4M3 numbers, scale absmax/448 of the matrix.

Source: Micikevicius and others 2022, arXiv:2209.05433.
"""

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import E4M3_MAX, add_e4m3_errors


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    add_e4m3_errors(group.values, group.matrix_peak / E4M3_MAX, squares, largest)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    return groups.e4m3_errors(groups.matrix_peak / groups.number(E4M3_MAX))
