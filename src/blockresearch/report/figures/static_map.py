"""The map of a model as an SVG, for print and for browsers without scripts."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, declared, say
from blockresearch.report.figures import drawn_text as text
from blockresearch.report.figures.charts import label
from blockresearch.report.figures.color_scales import Scale, along, around
from blockresearch.report.figures.layer_map import in_map_order, layer_map
from blockresearch.report.figures.live import Drawing, figure_html
from blockresearch.report.words import escape, plain

WIDTH, HEIGHT, TOP, LEFT = 34, 14, 94, 34

# A narrower map is as wide as this, for its title.
NARROWEST = 330

TALLEST = 520


def static_map(drawn: Mapping[str, Any], key: str) -> str:
    """The metric `key` of a map, all components side by side: relative to the medians of the
    columns, or its values if that is the map's `color`."""
    metric = next(each for each in drawn["metrics"] if each["key"] == key)
    cells, values = drawn["cells"], drawn["middle"][key]
    shows_values = drawn.get("color") == "value"
    scale = along(metric, values) if shows_values else around(metric)
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
        parts += _component(drawn, columns, values, scale, left, min(own), height)
        every = max(1, int(np.ceil(text.FONT / height)))
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
    parts += _legend(scale, LEFT, tall - 16)
    name, wide = _name(metric, drawn), max(left, NARROWEST)
    below = text.LINE * (text.most_lines(name, wide - 4) - 1)
    tall += below
    return (
        f'<svg class="static" role="img" aria-label="{escape(plain(name))}" '
        f'viewBox="0 0 {wide} {tall:.0f}" width="{wide}" '
        f'height="{tall:.0f}" font-size="{text.FONT}" font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="#1c1f23">{text.title(name, 2, 12, wide - 4)}'
        f'<g transform="translate(0,{below})">{"".join(parts)}</g></g></svg>'
    )


def _name(metric: Mapping[str, Any], drawn: Mapping[str, Any]) -> Sentence:
    """What a map shows."""
    shown = {
        "metric": declared(metric["label"]),
        "columns": drawn.get("across", say("kind of matrix")),
    }
    if drawn.get("color") == "value":
        return say("{metric} by layer and {columns}", **shown)
    return say("{metric} by layer and {columns}, relative to the median of the column", **shown)


def _component(
    drawn: Mapping[str, Any],
    columns: Sequence[int],
    values: Sequence[Any],
    scale: Scale,
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
            color = scale.color(values[place], middle)
            if color is None:
                continue
            x, y = left + at * WIDTH, TOP + (cells["layer"][place] - first) * height
            box = f"M{x} {y:.1f}h{WIDTH - 1}v{height - 0.6:.1f}h{1 - WIDTH}z"
            paths.setdefault(color, []).append(box)
        leaning = f'transform="translate({left + (at + 0.4) * WIDTH:.0f},{TOP - 5}) rotate(-40)"'
        parts.append(text.drawn(drawn["columns"][column]["label"], leaning))
    parts += [f'<path fill="{color}" d="{"".join(boxes)}"/>' for color, boxes in paths.items()]
    return parts


def _legend(scale: Scale, left: float, y: float) -> list[str]:
    parts = []
    for at, (color, written) in enumerate(scale.stops):
        x = left + at * 84
        parts.append(
            f'<rect x="{x}" y="{y:.0f}" width="11" height="11" fill="{color}"/>'
            + text.drawn(written, f'x="{x + 15}" y="{y + 10:.0f}"')
        )
    return parts


def maps(matrices: pd.DataFrame, keys: Sequence[str]) -> Drawing | None:
    """An interactive map with a choice of some metrics of a model; None if it has none of them.

    Without scripts and in print there is a map of each metric.
    """
    drawn = layer_map(in_map_order(matrices))
    return live_map(drawn, keys) if drawn else None


def live_map(drawn: Mapping[str, Any], keys: Sequence[str]) -> Drawing | None:
    """The same for a map as `map_of` makes it; columns are kinds of matrices, or what it has
    `across`.

    If it has them, `color` is what colors show at first (`value`, or relative to the `median`), and
    `none` is what a cell without a color is, and `opened` has the rows that a cell opens. With
    `cards` a cell opens the card of its head.
    """
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
        **{
            name: drawn[name]
            for name in ("components", "cells", "color", "opened", "cards")
            if name in drawn
        },
        "columns": columns_data(drawn),
        **{name: label(drawn[name]) for name in ("none", "across") if name in drawn},
        **parts,
        "metrics": [
            {**each, "label": label(each["label"]), "unit": each["unit"] and label(each["unit"])}
            for each in chosen
        ],
    }
    still = "".join(static_map(drawn, each["key"]) for each in chosen)
    return Drawing(figure_html("map-figure", data, still))


def columns_data(drawn: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns of a map as the page's script reads them."""
    return [{**column, "label": label(column["label"])} for column in drawn["columns"]]
