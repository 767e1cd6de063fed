"""Charts with a row for each kind of matrix, or each layer: bars, strokes and points on one axis.

`rows.js` draws them from `as_data`, and `static_rows` the same as SVG for print. Texts are
sentences or names from a model; pages show them as text only.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blockresearch.language.sentence import declared, say
from blockresearch.report.figures.charts import label, numbers
from blockresearch.report.figures.names import patterns

# Points of a panel; of more an even selection is drawn.
MOST_POINTS = 3000

# Most values that a linear axis of heavy tails would press together.
LINEAR_TAIL = 20

# Marks on an axis, at most.
MOST_TICKS = 7


@dataclass(frozen=True)
class Span:
    """The axis of a panel from `low` to `high`, with the numbers written at it.

    scale is linear, log, or tails: linear from −1 to 1 and logarithmic beyond.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    scale: str = "linear"


@dataclass(frozen=True)
class Amounts:
    """One number for each row, or None: the length of a bar, or the place of a stroke across it.

    color is empty for that of each row (bars) or of the text (strokes).
    """

    label: str
    values: tuple[float | None, ...]
    color: str = ""


@dataclass(frozen=True)
class Points:
    """Named values, each in one row: three lists of equal length."""

    rows: tuple[int, ...]
    values: tuple[float, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class RowPanel:
    """One plot: bars end to end, strokes across them, points; `notes` stand behind the bars."""

    title: str
    span: Span
    rows: tuple[str, ...]
    colors: tuple[str, ...]
    bars: tuple[Amounts, ...] = ()
    strokes: tuple[Amounts, ...] = ()
    points: Points | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowChart:
    """Panels side by side, `cols` in a row if there is room; `height` of a row in pixels."""

    name: str
    panels: tuple[RowPanel, ...]
    cols: int = 2
    height: int = 22


def amounts(values: Iterable[float]) -> tuple[float | None, ...]:
    """Numbers of Amounts: None for NaN."""
    return tuple(None if math.isnan(value) else float(value) for value in values)


def placed(span: Span, value: float) -> float:
    """The place of a value on the axis: 0 at its low end, 1 at its high one."""
    low, at, high = (_along(span.scale, each) for each in (span.low, value, span.high))
    return min(max((at - low) / (high - low), 0.0), 1.0)


def _along(scale: str, value: float) -> float:
    if scale == "log":
        return math.log10(value)
    if scale == "tails" and abs(value) > 1:
        return math.copysign(1 + math.log10(abs(value)), value)
    return value


def share_span(label: str) -> Span:
    """From 0 to 1."""
    return Span(label, -0.02, 1.02, (0, 0.25, 0.5, 0.75, 1))


def amount_span(label: str, highest: float) -> Span:
    """From 0 to a little more than `highest`."""
    high = highest * 1.02 or 1.0
    return Span(label, 0, high, _even(0, high))


def log_span(label: str, values: Iterable[float]) -> Span:
    """Logarithmic, around positive values."""
    known = [float(value) for value in values]
    low, high = min(known) / 1.15, max(known) * 1.15
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades <= 2 else (1, 3) if decades <= 3 else (1,)
    every = max(1, math.ceil(decades / MOST_TICKS))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers if not power % every for step in steps]
    inside = tuple(each for each in ticks if low <= each <= high)
    # Less than a factor of 2 may have none of them.
    return Span(label, low, high, inside if len(inside) > 1 else _even(low, high), "log")


def tails_span(label: str, values: Iterable[float]) -> Span:
    """Around values of both signs: linear if none is large, else logarithmic beyond ±1."""
    known = [float(value) for value in values]
    low, high = min(known), max(known)
    if max(-low, high) <= LINEAR_TAIL:
        margin = (high - low) * 0.03 or abs(high) * 0.1 or 1.0
        return Span(label, low - margin, high + margin, _even(low - margin, high + margin))
    low, high = (1.2 * end if abs(end) > 1 else end for end in (min(low, 0.0), max(high, 0.0)))
    decades = math.ceil(math.log10(max(-low, high)))
    powers = range(0, decades + 1, max(1, math.ceil(decades / 4)))
    ticks = (*(-(10.0**power) for power in reversed(powers)), 0, *(10.0**power for power in powers))
    text = say("{label}, logarithmic beyond ±1", label=declared(label))
    return Span(text, low, high, tuple(each for each in ticks if low <= each <= high), "tails")


def _even(low: float, high: float) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten between two numbers."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return tuple(float(f"{step * place:.12g}") for place in places)


def points(rows: Sequence[int], values: Sequence[float], names: Sequence[str]) -> Points:
    """Points, of each row from the smallest value to the largest.

    Of more than MOST_POINTS an even selection by rank, with the smallest and the largest of each
    row.
    """
    row, value = np.asarray(rows), np.asarray(values, dtype=float)
    order = np.lexsort((value, row))
    every = max(1, -(-len(order) // MOST_POINTS))
    if every > 1:
        of_row = np.split(order, np.flatnonzero(np.diff(row[order])) + 1)
        order = np.concatenate([own[_spread(len(own), every)] for own in of_row])
    return Points(
        tuple(int(place) for place in row[order]),
        tuple(numbers(value[order])),
        tuple(names[place] for place in order),
    )


def _spread(count: int, every: int) -> np.ndarray:
    """Every n-th place of `count`, the first and the last among them: int64 [m]."""
    return np.unique(np.linspace(0, count - 1, max(2, -(-count // every))).round().astype(int))


def as_data(chart: RowChart) -> dict[str, object]:
    """A chart as the page's script reads it; points have indices into the names of the chart."""
    names = sorted({name for panel in chart.panels if panel.points for name in panel.points.names})
    places = {name: place for place, name in enumerate(names)}
    texts, packed = patterns(names)
    return {
        "name": chart.name,
        "cols": chart.cols,
        "height": chart.height,
        "patterns": texts,
        "names": packed,
        "panels": [_panel(panel, places) for panel in chart.panels],
    }


def _panel(panel: RowPanel, places: dict[str, int]) -> dict[str, Any]:
    span = panel.span
    data: dict[str, Any] = {
        "title": label(panel.title),
        "span": {
            "label": label(span.label),
            "low": span.low,
            "high": span.high,
            "ticks": list(span.ticks),
            "scale": span.scale,
        },
        "rows": [label(row) for row in panel.rows],
        "colors": list(panel.colors),
        "bars": [_amounts(each) for each in panel.bars],
        "strokes": [_amounts(each) for each in panel.strokes],
        "notes": [label(note) for note in panel.notes],
    }
    if panel.points:
        data["points"] = {
            "row": list(panel.points.rows),
            "value": list(panel.points.values),
            "name": [places[name] for name in panel.points.names],
        }
    return data


def _amounts(amounts: Amounts) -> dict[str, Any]:
    return {
        "label": label(amounts.label),
        "color": amounts.color,
        "values": numbers(amounts.values),
    }
