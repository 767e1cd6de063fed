"""Numbers, sizes and lists formatted for reading: units, digits, thousands separators."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, say

# Components in the order in which data passes through them.
COMPONENTS = ("vision", "audio", "projector", "encoder", "text", "decoder", "mtp", "adapter")

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def integer(value: float) -> str:
    """A whole number with thousands separators."""
    return f"{int(value):,}"


def number(value: Any, digits: int = 3) -> str:
    """A number with `digits` significant digits; an en dash if it is missing."""
    if value is None or pd.isna(value):
        return "–"
    if isinstance(value, str):
        return value
    size = abs(value)
    if 0 < size < 1e-4 or size >= 1e5:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    else:
        text = f"{value:,.0f}" if size >= 10**digits - 0.5 else f"{value:.{digits}g}"
    return text.replace("-", "−")


def aligned(value: Any, digits: int = 3) -> str:
    """`number` with trailing zeros, so that the numbers of a column are comparable."""
    if value is None or pd.isna(value) or not 1e-4 <= abs(value) < 10**digits - 0.5:
        return number(value, digits)
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "−")


def fixed(value: Any, places: int = 2) -> str:
    """A number with `places` decimal places, for a column in which 0 has a meaning."""
    if value is None or pd.isna(value):
        return "–"
    if abs(value) >= 100:
        return number(value)
    return f"{value:z.{places}f}".replace("-", "−")


def with_spread(mean: float, spread: float) -> str:
    """Mean ± spread: two digits of the spread, and as many places of the mean."""
    if not 1e-4 <= spread < 1e6:
        return f"{number(mean)} ± {number(spread)}"
    places = max(0, 1 - math.floor(math.log10(spread)))
    return f"{mean:,.{places}f} ± {spread:,.{places}f}".replace("-", "−")


def percent(share: Any) -> str:
    """A share in percent, with suitable digits."""
    if share is None or pd.isna(share):
        return "–"
    value = float(share) * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    if abs(value) < 0.01:
        return "< 0.01 %"
    if 99.95 <= value < 100:
        return "> 99.9 %"
    return f"{value:.2f} %" if abs(value) < 1 else f"{value:.1f} %"


def size(count: float) -> str:
    """A number of bytes in the unit that fits: 1 byte, 1.20 kB, 269 MB (powers of ten)."""
    scaled = _scaled(count, {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3})
    return scaled or plural(round(count), "byte")


def parameter_count(count: float) -> str:
    """A number of parameters in words: 135 million, 4.02 billion."""
    if count >= 0.9995e12:
        return say("{count} trillion", count=aligned(count / 1e12))
    if count >= 0.9995e9:
        return say("{count} billion", count=aligned(count / 1e9))
    if count >= 0.9995e6:
        return say("{count} million", count=aligned(count / 1e6))
    return integer(count)


def _scaled(count: float, units: Mapping[str, float]) -> str:
    """Three digits and the largest unit that does not leave them below 1; empty for less."""
    for unit, scale in units.items():
        if count >= 0.9995 * scale:
            return f"{aligned(count / scale)} {unit}"
    return ""


def plural(count: int, noun: str, several: str = "") -> Sentence:
    """A count of things: 1 tensor, 1,137 tensors; `several` is an irregular plural.

    `noun` and `several` are literals: `docs.messages` reads both messages from the call.
    """
    named = noun if count == 1 else several or noun + "s"
    return say("{count} " + named, count=integer(count))


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


def shape(sides: Iterable[int]) -> str:
    """A shape as stored, e.g. [151936, 2560], for reading: 151,936 × 2,560."""
    return " × ".join(map(integer, sides)) or "scalar"


def by_component(names: Iterable[Any]) -> list[str]:
    """The distinct components, in the order in which data passes through them."""
    places = {name: place for place, name in enumerate(COMPONENTS)}
    return sorted({str(name) for name in names}, key=lambda name: (places.get(name, 99), name))


def unbroken(text: str) -> str:
    """A sentence in which no line ends between a number and its unit."""
    return re.sub(r"(?<=\d) (?=%|dB\b|[kMGT]?B\b|bytes\b|bits?\b|× )", "\u00a0", text)
