"""Whether the other side is the base rounded to a low-bit format, and what plain rounding loses.

A rounded copy is recognized by its values, stored as codes and scales or dequantized: few different
values in aligned groups (`values.dequantized`), or, for FP8, hardly any loss when it is rounded
once more. The loss of plain rounding of the base in the same format is what the copy is
measured against: methods such as GPTQ and AWQ trade a larger error of the weights for a smaller one
of the outputs.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from blockresearch.compare.sides import Side, Sides
from blockresearch.values.dequantized import Codes, find_codes, sampled_rows
from blockresearch.values.rounding.errors import rounding_errors

# Copies in low-bit formats: the relative change and the share of elements that change.
LEAST_CHANGE, MOST_CHANGE, LEAST_CHANGED = 1e-3, 0.5, 0.3

# Low-bit formats of what the values look like: bits, group (0: a row) and a word of their name.
CANDIDATES = {
    (4, 16, "NVFP4"): ("nvfp4",),
    (4, 32, "MXFP4"): ("mxfp4",),
    (4, 64, "NF4"): ("nf4",),
    (4, 128, "INT4"): ("int4_g128_sym", "int4_g128_asym"),
    (8, 0, "INT8"): ("int8_channel",),
}

FP8 = ("fp8_tensor", "fp8_channel")

# Different values in rows of a copy in FP8, beside those of the base.
FEWER = 0.9

# Decibels that a copy in FP8 loses less than the base does when both are rounded to it.
ON_GRID_DB = 6.0


def can_be_quantized(found: Mapping[str, Any]) -> bool:
    """Whether the size of a change, a row of differences, is that of a copy in a low-bit format."""
    relative, changed = found.get("relative_change"), found.get("changed")
    if relative is None or changed is None or found["not_finite"]:
        return False
    return LEAST_CHANGE <= relative <= MOST_CHANGE and changed >= LEAST_CHANGED


def grid_of(sides: Sides, sqnr_db: float) -> dict[str, Any]:
    """`grid_format` of the other side, and `grid_sqnr_db` of plain rounding of the base to it.

    `sqnr_db` is the ratio of the copy. A format that no column of rounding errors has is named as
    in `values.dequantized`, without a ratio. Returns {} for a copy in no format.
    """
    rows = [_rows(side, sides.rows) for side in sides.both]
    other = find_codes(rows[1])
    if other == find_codes(rows[0]) if other else not _can_be_fp8(*rows):
        return {}
    names = _candidates(other) if other else FP8
    if not names:
        return {"grid_format": other.format} if other else {}
    plain = _ratios(sides.base)
    if other is None:
        again = _ratios(sides.other)
        gains = {name: again[name] - plain[name] for name in names if plain[name] < math.inf}
        best = max(gains, key=gains.__getitem__, default=None)
        if best is None or gains[best] < ON_GRID_DB:
            return {}
    else:
        best = min(names, key=lambda name: abs(plain[name] - sqnr_db))
    return {"grid_format": best, "grid_sqnr_db": plain[best]}


def _candidates(codes: Codes) -> tuple[str, ...]:
    return next(
        (
            names
            for (bits, group, word), names in CANDIDATES.items()
            if (bits, group) == (codes.bits, codes.group) and word in codes.format
        ),
        (),
    )


def _can_be_fp8(base: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows have at most 256 different values, and fewer than the base."""
    counts = [np.array([len(np.unique(row)) for row in rows]) for rows in (base, other)]
    return bool((counts[1] <= 256).all() and counts[1].sum() < FEWER * counts[0].sum())


def _ratios(side: Side) -> dict[str, float]:
    """Signal to noise of plain rounding to each format, dB; infinite if nothing is lost."""
    absmax = max((float(np.abs(panel).max()) for panel in side.panels() if panel.size), default=0.0)
    errors = rounding_errors(side.panels(), absmax)
    names = {name for found in CANDIDATES.values() for name in found} | set(FP8)
    ratios = {name: errors[f"{name}_sqnr_db"] for name in names}
    return {name: math.inf if ratio is None else ratio for name, ratio in ratios.items()}


def _rows(side: Side, rows: int) -> np.ndarray:
    """The sampled rows of a side [k, cols]."""
    wanted, found, first = np.array(sampled_rows(rows)), [], 0
    for panel in side.panels():
        chosen = wanted[(wanted >= first) & (wanted < first + len(panel))]
        found.append(panel[chosen - first].copy())
        first += len(panel)
    return np.concatenate(found)
