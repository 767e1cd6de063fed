"""The map of a model as an SVG, for print and for browsers without scripts."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.report.figures.charts import label
from blockresearch.report.figures.layer_map import in_map_order, layer_map
from blockresearch.report.figures.live import Drawing, figure_html
from blockresearch.report.words import escape

STOPS = (
    *("#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b"),
)

WIDTH, HEIGHT, TOP, LEFT, FONT = 34, 14, 94, 34, 11

TALLEST = 520


def static_map(drawn: Mapping[str, Any], key: str) -> str:
    """The metric `key` of a `layer_map`, all components side by side, relative to the medians."""
    metric = next(each for each in drawn["metrics"] if each["key"] == key)
    cells, values = drawn["cells"], drawn["middle"][key]
    layers = [
        [
            cells["layer"][place]
            for place, column in enumerate(cells["column"])
            if drawn["columns"][column]["component"] == component
        ]
        for component in range(len(drawn["components"]))
    ]
    deepest = max(max(own) - min(own) + 1 for own in layers)
    height = min(HEIGHT, TALLEST / deepest)
    parts: list[str] = []
    left = LEFT
    for component, own in enumerate(layers):
        columns = [
            place
            for place, column in enumerate(drawn["columns"])
            if column["component"] == component
        ]
        parts += _component(drawn, columns, values, metric, left, min(own), height)
        every = max(1, int(np.ceil(FONT / height)))
        parts += [
            f'<text x="{left - 5}" y="{TOP + (row + 0.5) * height + 4:.1f}" '
            f'text-anchor="end">{min(own) + row}</text>'
            for row in range(0, max(own) - min(own) + 1, every)
        ]
        if len(layers) > 1:
            name = escape(drawn["components"][component])
            parts.append(f'<text x="{left}" y="32">{name}</text>')
        left += len(columns) * WIDTH + LEFT + 36
    tall = TOP + deepest * height + 34
    parts += _legend(metric, LEFT, tall - 16)
    title = f"{metric['label']} by layer and kind of matrix, relative to the median of the column"
    # The widest letters of the title take about seven units.
    wide = max(left, 7 * len(title))
    return (
        f'<svg class="static" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {wide} {tall:.0f}" width="{wide}" '
        f'height="{tall:.0f}" font-size="{FONT}" font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="#1c1f23"><text x="2" y="12" font-weight="bold">{escape(title)}</text>'
        f"{''.join(parts)}</g></svg>"
    )


def _component(
    drawn: Mapping[str, Any],
    columns: Sequence[int],
    values: Sequence[Any],
    metric: Mapping[str, Any],
    left: float,
    first: int,
    height: float,
) -> list[str]:
    """Heads and cells of a component; the cells of a color are one path."""
    cells = drawn["cells"]
    paths: dict[str, list[str]] = {}
    parts = []
    for at, column in enumerate(columns):
        own = [place for place, each in enumerate(cells["column"]) if each == column]
        known = [values[place] for place in own if values[place] is not None]
        middle = median(known) if known else None
        for place in own:
            share = deviation(values[place], middle, metric)
            if share is None:
                continue
            x, y = left + at * WIDTH, TOP + (cells["layer"][place] - first) * height
            box = f"M{x} {y:.1f}h{WIDTH - 1}v{height - 0.6:.1f}h{1 - WIDTH}z"
            paths.setdefault(color_at(0.5 + share / 2), []).append(box)
        parts.append(
            f'<text transform="translate({left + (at + 0.4) * WIDTH:.0f},{TOP - 5}) rotate(-40)">'
            f"{escape(drawn['columns'][column]['label'])}</text>"
        )
    parts += [f'<path fill="{color}" d="{"".join(boxes)}"/>' for color, boxes in paths.items()]
    return parts


def deviation(value: Any, middle: Any, metric: Mapping[str, Any]) -> float | None:
    """The deviation from the median as a share of the scale's end, -1 to 1; None if undefined."""
    if value is None or middle is None:
        return None
    if metric["scale"] == "ratio":
        if value <= 0 or middle <= 0:
            return None
        return float(np.clip(np.log2(value / middle) / metric["end"], -1, 1))
    return float(np.clip((value - middle) / metric["end"], -1, 1))


def color_at(share: float) -> str:
    """The color at a share, 0 to 1, of the scale, in 33 steps."""
    place = round(share * 32) / 32 * (len(STOPS) - 1)
    low, high = STOPS[int(place)], STOPS[min(int(place) + 1, len(STOPS) - 1)]
    mixed = (
        round(
            int(low[at : at + 2], 16) * (1 - place % 1) + int(high[at : at + 2], 16) * (place % 1)
        )
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _legend(metric: Mapping[str, Any], left: float, y: float) -> list[str]:
    parts = []
    for at, share in enumerate((-1, -0.5, 0, 0.5, 1)):
        value = share * metric["end"]
        if not share:
            label = "median"
        elif metric["scale"] == "ratio":
            label = f"{'×' if value > 0 else '÷'} {2 ** abs(value):.2g}"
        else:
            label = f"{'+' if value > 0 else '−'}{abs(value):.3g}"
        x = left + at * 84
        parts.append(
            f'<rect x="{x}" y="{y:.0f}" width="11" height="11" fill="{color_at(0.5 + share / 2)}"/>'
            f'<text x="{x + 15}" y="{y + 10:.0f}">{label}</text>'
        )
    return parts


def maps(matrices: pd.DataFrame, keys: Sequence[str]) -> Drawing | None:
    """An interactive map with a choice of some metrics of a model; None if it has none of them.

    Without scripts and in print there is a map of each metric.
    """
    drawn = layer_map(in_map_order(matrices))
    return live_map(drawn, keys) if drawn else None


def live_map(drawn: Mapping[str, Any], keys: Sequence[str]) -> Drawing | None:
    """The same for a map as `layer_map` makes it; its cells need no `first`."""
    metrics = {each["key"]: each for each in drawn["metrics"]}
    chosen = [metrics[key] for key in keys if key in metrics]
    if not chosen:
        return None
    parts = {
        name: {each["key"]: drawn[name][each["key"]] for each in chosen}
        for name in ("middle", "low", "high")
        if name in drawn
    }
    data = {
        **{name: drawn[name] for name in ("components", "columns", "cells")},
        **parts,
        "metrics": [
            {**each, "label": label(each["label"]), "unit": each["unit"] and label(each["unit"])}
            for each in chosen
        ],
    }
    still = "".join(static_map(drawn, each["key"]) for each in chosen)
    return Drawing(figure_html("map-figure", data, still))
