"""Numbers, sizes and lists as people read them: units, sensible digits, thousands separators."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

LONGEST_NAME = 120
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def integer(value: float) -> str:
    """A whole number with thousands separators."""
    return f"{int(value):,}"


def number(value: Any, digits: int = 3) -> str:
    """A number with `digits` significant digits; an en dash where it is missing."""
    if value is None or pd.isna(value):
        return "–"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size >= 10**digits and size < 1e15:
        return f"{value:,.0f}"
    if 0 < size < 1e-4 or size >= 1e15:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return f"{value:.{digits}g}"


def percent(share: Any) -> str:
    """A share as per cent, with the digits that it deserves."""
    if share is None or pd.isna(share):
        return "–"
    value = float(share) * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    if abs(value) < 0.01:
        return "< 0.01 %"
    return f"{value:.2f} %" if abs(value) < 1 else f"{value:.1f} %"


def size(count: float) -> str:
    """A number of bytes in the unit that fits: 1.2 kB, 269 MB (powers of ten)."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def parameter_count(count: float) -> str:
    """A number of parameters as people say it: 135 million, 4.02 billion."""
    for unit, scale in (("billion", 1e9), ("million", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return integer(count)


def short(name: Any) -> str:
    """A name from a model, cut when it is very long."""
    text = str(name)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def plural(count: int, noun: str) -> str:
    """A count of things: 1 tensor, 1,137 tensors."""
    return f"{integer(count)} {noun}{'s'[: count != 1]}"


def seconds(value: Any) -> str:
    """A time span in the units that fit: 0.4 s, 38 s, 12 min 5 s, 3 h 20 min."""
    if value is None or pd.isna(value):
        return "–"
    if value < 60:
        return f"{value:.0f} s" if value >= 9.95 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def listed(parts: Sequence[str]) -> str:
    """Some things in a sentence: a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
