"""Depth profiles on the page of a comparison: a drawing and the rows of a table."""

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.figures.charts import Axis, Chart, Panel, Series, numbers
from blockresearch.report.figures.static_chart import static_chart
from blockresearch.report.wording import fixed
from blockresearch.text import short

BASE_COLOR, OTHER_COLOR = "#0072b2", "#d55e00"


def profile_rows(profiles: pd.DataFrame) -> list[tuple[str, ...]]:
    """Projection, layers of both sides, correlation and its null."""
    return [
        (
            _name(row, profiles),
            f"{len(row['base_std'])} / {len(row['other_std'])}",
            fixed(row["profile_correlation"]),
            fixed(row["null_correlation"]),
        )
        for row in profiles.to_dict("records")
    ]


def profile_drawing(profiles: pd.DataFrame) -> str:
    """The curves of both sides over relative depth as SVG, a panel for each projection."""
    panels = []
    for row in profiles.to_dict("records"):
        series = [
            _curve(say("base"), BASE_COLOR, row["base_std"]),
            _curve(say("other side"), OTHER_COLOR, row["other_std"], is_dashed=True),
        ]
        axes = Axis(say("relative depth")), Axis(say("std / mean"))
        panels.append(Panel(_name(row, profiles), *axes, tuple(series)))
    return static_chart(Chart("profiles", tuple(panels), cols=2)) if panels else ""


def _name(row: dict, profiles: pd.DataFrame) -> str:  # type: ignore[type-arg]
    several = profiles["component"].nunique() > 1
    return f"{short(row['component'])} {row['projection']}" if several else row["projection"]


def _curve(label: str, color: str, values: list[float], is_dashed: bool = False) -> Series:
    curve = np.asarray(values, dtype=float)
    mean = curve.mean() or 1.0
    places = np.linspace(0, 1, len(curve))
    return Series(label, color, numbers(places), numbers(curve / mean), dash=is_dashed)
