"""A chart with rows as an SVG that needs no script: for print, and without scripts."""

from collections.abc import Callable, Sequence

from blockresearch.report.figures.drawn_text import (
    FONT,
    LINE,
    drawn,
    drawn_within,
    length,
    longest,
    most_lines,
    title,
)
from blockresearch.report.figures.rows import RowChart, RowPanel, placed
from blockresearch.report.figures.static_chart import tick
from blockresearch.report.words import escape, plain

WIDTH, TOP, BOTTOM, RIGHT = 430, 26, 40, 16

# Room for a note behind a bar.
NOTE = 46

INK, GRID = "#1c1f23", "#e2e2e2"


def static_rows(chart: RowChart) -> str:
    """The chart as SVG, with all its panels and a legend."""
    cols = min(chart.cols, len(chart.panels))
    parts, top = [], 0
    for first in range(0, len(chart.panels), cols):
        beside = chart.panels[first : first + cols]
        head = TOP + LINE * (max(most_lines(panel.title, WIDTH - 8) for panel in beside) - 1)
        for at, panel in enumerate(beside):
            moved = f"translate({at * WIDTH},{top})"
            parts.append(f'<g transform="{moved}">{_panel(panel, chart.height, head)}</g>')
        top += head + max(len(panel.rows) for panel in beside) * chart.height + BOTTOM
    legend, tall = _legend(chart.panels, cols * WIDTH, top)
    name = "; ".join(dict.fromkeys(plain(panel.title) for panel in chart.panels))
    return (
        f'<svg class="static" role="img" aria-label="{escape(name)}" '
        f'viewBox="0 0 {cols * WIDTH} {tall}" width="{cols * WIDTH}" height="{tall}" '
        f'font-size="{FONT}" font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="{INK}">{"".join(parts)}{legend}</g></svg>'
    )


def _panel(panel: RowPanel, height: int, top: int) -> str:
    left = 14 + max(map(longest, panel.rows))
    right = WIDTH - RIGHT - (NOTE if panel.notes else 0)
    bottom = top + len(panel.rows) * height

    def x(value: float) -> float:
        return left + placed(panel.span, value) * (right - left)

    parts = [title(panel.title, 4, 14, WIDTH - 8)]
    free = 0.0
    for value in panel.span.ticks:
        at, text = x(value), tick(value)
        parts.append(f'<path d="M{at:.1f} {top}V{bottom}" stroke="{GRID}"/>')
        half = length(text) / 2
        if at - half > free:
            parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
            free = at + half + 4
    middle = f'x="{(left + right) / 2:.0f}" y="{bottom + 30}" text-anchor="middle"'
    parts.append(drawn_within(panel.span.label, middle, WIDTH - left))
    for place, row in enumerate(panel.rows):
        y = top + (place + 0.5) * height
        parts.append(drawn(row, f'x="{left - 6:.0f}" y="{y + 4:.1f}" text-anchor="end"'))
        start, begun = 0.0, left
        for bar in panel.bars:
            share = bar.values[place]
            if share is None:
                continue
            start += share
            end = x(start)
            parts.append(
                f'<rect x="{begun:.1f}" y="{y - height * 0.33:.1f}" width="{end - begun:.1f}" '
                f'height="{height * 0.66:.1f}" fill="{bar.color or panel.colors[place]}"/>'
            )
            begun = end
        if panel.notes:
            parts.append(drawn(panel.notes[place], f'x="{begun + 6:.1f}" y="{y + 4:.1f}"'))
    if panel.points:
        parts += _dots(panel, height, top, x)
    for stroke in panel.strokes:
        lines = "".join(
            f"M{x(value):.1f} {top + place * height + 2}v{height - 4}"
            for place, value in enumerate(stroke.values)
            if value is not None
        )
        parts.append(f'<path d="{lines}" stroke="{stroke.color or INK}" stroke-width="2"/>')
    return "".join(parts)


def _dots(panel: RowPanel, height: int, top: int, x: Callable[[float], float]) -> list[str]:
    """A path of dots for each row; those on the same pixel are one."""
    assert panel.points
    pixels: dict[int, dict[int, None]] = {}
    for row, value in zip(panel.points.rows, panel.points.values, strict=True):
        pixels.setdefault(row, {})[round(x(value))] = None
    return [
        f'<path d="{"".join(f"M{at} {top + (row + 0.5) * height:g}h0" for at in places)}" '
        f'stroke="{panel.colors[row]}" stroke-width="5" stroke-linecap="round" '
        f'stroke-opacity="0.7"/>'
        for row, places in pixels.items()
    ]


def _legend(panels: Sequence[RowPanel], wide: int, top: int) -> tuple[str, int]:
    """What colored bars and strokes are, and the height of the whole."""
    entries = {
        each.label: each.color or INK
        for panel in panels
        for each in (*(bar for bar in panel.bars if bar.color), *panel.strokes)
    }
    x, y, parts = 10.0, top + 12, []
    for name, color in entries.items():
        room = 34 + longest(name)
        if x > 10 and x + room > wide:
            x, y = 10.0, y + 17
        parts.append(
            f'<rect x="{x:.0f}" y="{y - 10}" width="14" height="11" fill="{color}"/>'
            + drawn(name, f'x="{x + 19:.0f}" y="{y}"')
        )
        x += room
    return "".join(parts), y + 10 if entries else top + 4
