"""A grid of numbers, such as block types by formats: each cell has its number and a color.

`value-grid.js` draws it from `as_data`, and `static_grid` the same as SVG for print.

Source of the colors: matplotlib (viridis), at 9 places, as in `scale.js`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.figures.charts import label, numbers
from blockresearch.report.figures.drawn_text import FONT, LINE, drawn, longest, most_lines, title
from blockresearch.report.findings.formats import by_block
from blockresearch.report.words import escape, plain

STOPS = (
    *("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c"),
    *("#28ae80", "#5ec962", "#addc30", "#fde725"),
)

WIDTH, HEIGHT, TOP = 44, 22, 106

# Room at the right for the label of the last column, which leans over the edge.
LEAN = 62

# From this share of the scale on, black text is easier to read than white.
DARK_TEXT = 0.55


@dataclass(frozen=True)
class ValueGrid:
    """Numbers, or None, by rows and columns, with one digit behind the point."""

    name: str
    title: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


def rounding_grid(matrices: pd.DataFrame) -> ValueGrid | None:
    """Signal to rounding error by block type and low-bit format; None if none was measured."""
    grid = by_block(matrices)
    if grid.empty:
        return None
    return ValueGrid(
        "low-bit-formats",
        say("Signal-to-rounding-error ratio in dB of all weights of a block type"),
        "dB",
        tuple(map(str, grid.index)),
        tuple(map(str, grid.columns)),
        tuple(tuple(numbers(row)) for row in grid.to_numpy()),
    )


def as_data(grid: ValueGrid) -> dict[str, Any]:
    """A grid as the page's script reads it."""
    return {
        "name": grid.name,
        "title": label(grid.title),
        "unit": label(grid.unit),
        "rows": [label(row) for row in grid.rows],
        "columns": [label(column) for column in grid.columns],
        "values": [list(row) for row in grid.values],
    }


def ends(values: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """The smallest and the largest number of a grid, not equal."""
    known = [value for row in values for value in row if value is not None]
    low, high = min(known), max(known)
    return (low, high) if high > low else (low - 1, high + 1)


def color_at(share: float) -> str:
    """The color at a share, 0 to 1, of the scale."""
    place = share * (len(STOPS) - 1)
    low, high = STOPS[int(place)], STOPS[min(int(place) + 1, len(STOPS) - 1)]
    mixed = (
        round(
            int(low[at : at + 2], 16) * (1 - place % 1) + int(high[at : at + 2], 16) * (place % 1)
        )
        for at in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def static_grid(grid: ValueGrid) -> str:
    """The grid as SVG."""
    low, high = ends(grid.values)
    left = round(14 + max(map(longest, grid.rows)))
    # Labels lean by 40 degrees.
    widest = max(map(longest, grid.columns))
    top, lean = round(max(TOP, 26 + 0.65 * widest)), round(max(LEAN, 0.77 * widest))
    wide = round(left + len(grid.columns) * WIDTH + lean)
    head = LINE * (most_lines(grid.title, wide - 8) - 1)
    top += head
    parts = [title(grid.title, 4, 14, wide - 8)]
    for at, column in enumerate(grid.columns):
        x = left + (at + 0.4) * WIDTH
        parts.append(drawn(column, f'transform="translate({x:.0f},{top - 5}) rotate(-40)"'))
    for down, (row, values) in enumerate(zip(grid.rows, grid.values, strict=True)):
        y = top + down * HEIGHT
        parts.append(drawn(row, f'x="{left - 6}" y="{y + 15}" text-anchor="end"'))
        for at, value in enumerate(values):
            if value is None:
                continue
            share = (value - low) / (high - low)
            x = left + at * WIDTH
            ink = "#000000" if share >= DARK_TEXT else "#ffffff"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{WIDTH - 1}" height="{HEIGHT - 1}" '
                f'fill="{color_at(share)}"/><text x="{x + WIDTH / 2:.0f}" y="{y + 15}" '
                f'text-anchor="middle" fill="{ink}">{value:.1f}</text>'
            )
    tall = top + len(grid.rows) * HEIGHT + 8
    return (
        f'<svg class="static" role="img" aria-label="{escape(plain(grid.title))}" '
        f'viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" font-size="{FONT}" '
        f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="#1c1f23">{"".join(parts)}</g></svg>'
    )
