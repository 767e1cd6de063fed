"""A chart with rows as an SVG that needs no script: for print, and without scripts."""

from collections.abc import Callable, Sequence

from blockresearch.report.figures.rows import RowChart, RowPanel, placed
from blockresearch.report.figures.static_chart import tick
from blockresearch.report.words import escape, plain

WIDTH, TOP, BOTTOM, RIGHT, FONT = 430, 26, 40, 16, 11

# Room for a note behind a bar, and for a letter of a label.
NOTE, LETTER = 46, 6.6

INK, LINE = "#1c1f23", "#e2e2e2"


def static_rows(chart: RowChart) -> str:
    """The chart as SVG, with all its panels and a legend."""
    cols = min(chart.cols, len(chart.panels))
    parts, top = [], 0
    for first in range(0, len(chart.panels), cols):
        beside = chart.panels[first : first + cols]
        for at, panel in enumerate(beside):
            parts.append(
                f'<g transform="translate({at * WIDTH},{top})">{_panel(panel, chart.height)}</g>'
            )
        top += TOP + max(len(panel.rows) for panel in beside) * chart.height + BOTTOM
    legend, tall = _legend(chart.panels, cols * WIDTH, top)
    title = "; ".join(dict.fromkeys(plain(panel.title) for panel in chart.panels))
    return (
        f'<svg class="static" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {cols * WIDTH} {tall}" width="{cols * WIDTH}" height="{tall}" '
        f'font-size="{FONT}" font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="{INK}">{"".join(parts)}{legend}</g></svg>'
    )


def _panel(panel: RowPanel, height: int) -> str:
    left = 14 + LETTER * max(len(plain(row)) for row in panel.rows)
    right = WIDTH - RIGHT - (NOTE if panel.notes else 0)
    bottom = TOP + len(panel.rows) * height

    def x(value: float) -> float:
        return left + placed(panel.span, value) * (right - left)

    parts = [f'<text x="4" y="14" font-weight="bold">{escape(plain(panel.title))}</text>']
    free = 0.0
    for value in panel.span.ticks:
        at, text = x(value), tick(value)
        parts.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="{LINE}"/>')
        half = LETTER * len(text) / 2
        if at - half > free:
            parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
            free = at + half + 4
    parts.append(
        f'<text x="{(left + right) / 2:.0f}" y="{bottom + 30}" text-anchor="middle">'
        f"{escape(plain(panel.span.label))}</text>"
    )
    for place, row in enumerate(panel.rows):
        y = TOP + (place + 0.5) * height
        parts.append(
            f'<text x="{left - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(plain(row))}</text>"
        )
        start, begun = 0.0, left
        for bar in panel.bars:
            length = bar.values[place]
            if length is None:
                continue
            start += length
            end = x(start)
            parts.append(
                f'<rect x="{begun:.1f}" y="{y - height * 0.33:.1f}" width="{end - begun:.1f}" '
                f'height="{height * 0.66:.1f}" fill="{bar.color or panel.colors[place]}"/>'
            )
            begun = end
        if panel.notes:
            note = escape(plain(panel.notes[place]))
            parts.append(f'<text x="{begun + 6:.1f}" y="{y + 4:.1f}">{note}</text>')
    if panel.points:
        parts += _dots(panel, height, x)
    for stroke in panel.strokes:
        lines = "".join(
            f"M{x(value):.1f} {TOP + place * height + 2}v{height - 4}"
            for place, value in enumerate(stroke.values)
            if value is not None
        )
        parts.append(f'<path d="{lines}" stroke="{stroke.color or INK}" stroke-width="2"/>')
    return "".join(parts)


def _dots(panel: RowPanel, height: int, x: Callable[[float], float]) -> list[str]:
    """A path of dots for each row; those on the same pixel are one."""
    assert panel.points
    pixels: dict[int, dict[int, None]] = {}
    for row, value in zip(panel.points.rows, panel.points.values, strict=True):
        pixels.setdefault(row, {})[round(x(value))] = None
    return [
        f'<path d="{"".join(f"M{at} {TOP + (row + 0.5) * height:g}h0" for at in places)}" '
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
        text = plain(name)
        length = 34 + LETTER * len(text)
        if x > 10 and x + length > wide:
            x, y = 10.0, y + 17
        parts.append(
            f'<rect x="{x:.0f}" y="{y - 10}" width="14" height="11" fill="{color}"/>'
            f'<text x="{x + 19:.0f}" y="{y}">{escape(text)}</text>'
        )
        x += length
    return "".join(parts), y + 10 if entries else top + 4
