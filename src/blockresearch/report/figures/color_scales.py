"""Colors of numbers, as `scale.js` has them for light pages: around a median (blue below, red
above), or from the smallest value to the largest.

Source of the colors: ColorBrewer 2.0 (RdBu) and matplotlib (viridis), at 9 places.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

AROUND = (
    *("#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b"),
)

ALONG = (
    *("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c"),
    *("#28ae80", "#5ec962", "#addc30", "#fde725"),
)


@dataclass(frozen=True)
class Scale:
    """How a metric is colored: `color(value, median of its column)`, None without a color, and the
    colors of the legend with their labels."""

    color: Callable[[Any, Any], str | None]
    stops: tuple[tuple[str, str], ...]


def around(metric: Mapping[str, Any]) -> Scale:
    """Colors of deviations from the median of the column; `metric` is that of a `map_of`."""

    def color(value: Any, middle: Any) -> str | None:
        share = deviation(value, middle, metric)
        return None if share is None else color_at(0.5 + share / 2)

    stops = []
    for share in (-1, -0.5, 0, 0.5, 1):
        value = share * metric["end"]
        if not share:
            label = "median"
        elif metric["scale"] == "ratio":
            label = f"{'×' if value > 0 else '÷'} {2 ** abs(value):.2g}"
        else:
            label = f"{'+' if value > 0 else '−'}{abs(value):.3g}"
        stops.append((color_at(0.5 + share / 2), label))
    return Scale(color, tuple(stops))


def along(metric: Mapping[str, Any], values: Iterable[Any]) -> Scale:
    """Colors of the values themselves, of a `ratio` by the logarithm of those above 0."""
    is_log = metric["scale"] == "ratio"
    known = [value for value in values if value is not None and (value > 0 or not is_log)]
    low, high = ends(known, is_log, metric.get("span"))

    def color(value: Any, middle: Any) -> str | None:
        if value is None or (is_log and value <= 0):
            return None
        share = (
            math.log(value / low) / math.log(high / low) if is_log else (value - low) / (high - low)
        )
        return color_at(share, ALONG)

    def value_at(share: float) -> float:
        return low * (high / low) ** share if is_log else low + share * (high - low)

    places = (0, 0.25, 0.5, 0.75, 1)
    return Scale(color, tuple((color_at(at, ALONG), f"{value_at(at):.3g}") for at in places))


def ends(known: Sequence[float], is_log: bool, span: float | None) -> tuple[float, float]:
    """The values of the first and the last color, apart by `span` at least around the middle."""
    low, high = (min(known), max(known)) if known else (1.0, 1.0)
    if is_log:
        factor, middle = span or 1.1, math.sqrt(low * high)
        if high < low * factor:
            return middle / math.sqrt(factor), middle * math.sqrt(factor)
    elif span and high - low < span:
        return high - span, high
    elif not high > low:
        return low - abs(low) / 10 - 1e-9, high + abs(high) / 10 + 1e-9
    return low, high


def deviation(value: Any, middle: Any, metric: Mapping[str, Any]) -> float | None:
    """The deviation from the median as a share of the scale's end, -1 to 1; None if undefined."""
    if value is None or middle is None:
        return None
    if metric["scale"] == "ratio":
        if value <= 0 or middle <= 0:
            return None
        return float(np.clip(np.log2(value / middle) / metric["end"], -1, 1))
    return float(np.clip((value - middle) / metric["end"], -1, 1))


def color_at(share: float, colors: Sequence[str] = AROUND) -> str:
    """The color at a share, 0 to 1, of a scale, in 33 steps."""
    place = round(min(max(share, 0.0), 1.0) * 32) / 32 * (len(colors) - 1)
    low, high = colors[int(place)], colors[min(int(place) + 1, len(colors) - 1)]
    mixed = (
        round(
            int(low[at : at + 2], 16) * (1 - place % 1) + int(high[at : at + 2], 16) * (place % 1)
        )
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)
