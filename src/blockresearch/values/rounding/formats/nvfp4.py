"""NVFP4: E2M1 numbers, scale absmax/6 of 16 weights, itself rounded to E4M3 in units of
absmax/(6·448) of the matrix.

Source: NVIDIA 2025, arXiv:2509.25149.
"""

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import (
    E2M1_MAX,
    E4M3_MAX,
    GROUP,
    add_e2m1_errors,
    peak_between,
    rounded_e4m3,
)


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    unit = group.matrix_peak / (E4M3_MAX * E2M1_MAX)
    for first in range(0, GROUP, 16):
        peak = peak_between(group, first, first + 16)
        group.scales[first : first + 16] = unit * rounded_e4m3(peak / (E2M1_MAX * unit))
    add_e2m1_errors(group.values, group.scales, squares, largest)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    unit = groups.matrix_peak / groups.number(E4M3_MAX * E2M1_MAX)
    scales = unit * groups.rounded_e4m3(groups.peaks_of(16) / (groups.number(E2M1_MAX) * unit))
    return groups.e2m1_errors(groups.spread(scales))
