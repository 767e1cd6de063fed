"""MXFP4: E2M1 numbers, scale 2^(⌊log2 absmax⌋ - 2) of 32 weights.

Source: OCP Microscaling Formats (MX) Specification 1.0, 2023.
"""

import numpy as np

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import GROUP, add_e2m1_errors, peak_between, power_below


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    for first in range(0, GROUP, 32):
        peak = peak_between(group, first, first + 32)
        group.scales[first : first + 32] = power_below(peak) * np.float32(0.25)
    add_e2m1_errors(group.values, group.scales, squares, largest)


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    peaks = groups.peaks_of(32)
    return groups.e2m1_errors(groups.spread(groups.power_below(peaks) * 0.25))
