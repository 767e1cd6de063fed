"""NF4: 16 quantiles of the normal distribution, scale absmax of 64 weights, not rounded.

Source: QLoRA, arXiv:2305.14314, appendix E.
"""

import numpy as np

from blockresearch.compiled import inlined
from blockresearch.values.rounding.grids import GROUP, peak_between, size_bits

LEVELS = np.array(
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

# Halfway between neighboring levels.
MIDDLES = ((LEVELS[1:].astype(np.float64) + LEVELS[:-1]) / 2).astype(np.float32)


@inlined
def add_errors(group, squares, largest):
    """Add the rounding errors of a group, see `grids`."""
    values = group.values
    for first in range(0, GROUP, 64):
        scale = peak_between(group, first, first + 64)
        for i in range(first, first + 64):
            nearest = LEVELS[0]
            for level in range(15):
                above = LEVELS[level + 1]
                nearest = above if values[i] > MIDDLES[level] * scale else nearest
            error = values[i] - nearest * scale
            squares[i] += error * error
            largest[i] = max(largest[i], size_bits(error))


def errors(groups):
    """The rounding errors of groups on a device, see `on_device`."""
    scales = groups.spread(groups.peaks_of(64))
    level = groups.values > groups.number(MIDDLES[0]) * scales
    level = level.int()
    for middle in MIDDLES[1:]:
        level += groups.values > groups.number(middle) * scales
    return groups.values - groups.chosen(LEVELS, level) * scales
