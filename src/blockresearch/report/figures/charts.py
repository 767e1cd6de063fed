"""Charts as data: what scripts draw with uPlot, and `static_chart` as SVG for print.

Texts are sentences or names from a model; pages show them as text only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from blockresearch.language.catalogue import languages, translated
from blockresearch.report.figures.numbers import rounded
from blockresearch.text import visible

SERIES_DIGITS = 5


@dataclass(frozen=True)
class Axis:
    """An axis; `least` is the smallest value that a logarithmic one shows."""

    label: str
    log: bool = False
    least: float | None = None


@dataclass(frozen=True)
class Series:
    """A curve: numbers x and y, of equal length; None in y is a gap.

    kind is line, steps (filled, each y from its x to the next) or points.
    """

    label: str
    color: str
    x: Sequence[Any]
    y: Sequence[Any]
    dash: bool = False
    kind: str = "line"


@dataclass(frozen=True)
class Mark:
    """A dotted line across the plot, at x or at y."""

    color: str
    label: str = ""
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Panel:
    """One plot of a chart."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Chart:
    """Plots side by side, `cols` in a row if there is room, with one legend for all."""

    name: str
    panels: tuple[Panel, ...]
    cols: int = 2


def numbers(values: Iterable[Any]) -> list[Any]:
    """Numbers for a chart: rounded, None if missing."""
    return [
        rounded(None if value is None else float(value) if value == value else None, SERIES_DIGITS)
        for value in values
    ]


def positive(values: Iterable[Any]) -> list[Any]:
    """The same for a logarithmic axis: None also for zero and less."""
    return [value if value is not None and value > 0 else None for value in numbers(values)]


def as_data(chart: Chart) -> dict[str, Any]:
    """A chart as the page's script reads it."""
    return {
        "name": chart.name,
        "cols": chart.cols,
        "panels": [
            {
                "title": label(panel.title),
                "x": _axis(panel.x),
                "y": _axis(panel.y),
                "series": [
                    {
                        "label": label(series.label),
                        "color": series.color,
                        "dash": series.dash,
                        "kind": series.kind,
                        "x": list(series.x),
                        "y": list(series.y),
                    }
                    for series in panel.series
                ],
                "marks": [
                    {
                        "color": mark.color,
                        "label": label(mark.label),
                        **({"x": mark.x} if mark.x is not None else {"y": mark.y}),
                    }
                    for mark in panel.marks
                ],
            }
            for panel in chart.panels
        ],
    }


def label(text: str) -> Any:
    """A text of a figure for scripts: in the language of the page, or all of them by name."""
    found = {name: visible(translated(text, name)) for name in languages()}
    return found if len(set(found.values())) > 1 else next(iter(found.values()))


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": label(axis.label), "log": axis.log, "least": axis.least}
