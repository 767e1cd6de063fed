"""A chart as an SVG that needs no script: for print, and for browsers without scripts."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from blockresearch.report.figures.charts import Axis, Chart, Panel, Series
from blockresearch.report.figures.drawn_text import (
    FONT,
    LINE,
    drawn,
    drawn_within,
    longest,
    most_lines,
    title,
)
from blockresearch.report.wording import SUPERSCRIPTS
from blockresearch.report.words import escape, plain

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 330, 208, 58, 22, 40, 14

# Room of a title.
TITLE = WIDTH - LEFT - RIGHT

# Decades of a logarithmic axis, at most, and the steps of its ticks.
STEPS = ((1.3, (1, 2, 3, 5, 7)), (2.6, (1, 3)), (math.inf, (1,)))

Scale = tuple[float, float, bool, bool]


def static_chart(chart: Chart) -> str:
    """The chart as SVG, with all its panels and one legend."""
    cols = min(chart.cols, len(chart.panels))
    rows = -(-len(chart.panels) // cols)
    wide = cols * WIDTH
    top = TOP + LINE * (max(most_lines(panel.title, TITLE) for panel in chart.panels) - 1)
    height = HEIGHT + top
    parts = [
        f'<g transform="translate({place % cols * WIDTH},{place // cols * height})">'
        f"{_panel(panel, top, height)}</g>"
        for place, panel in enumerate(chart.panels)
    ]
    legend, tall = _legend(chart, wide, rows * height + 6)
    name = "; ".join(dict.fromkeys(plain(panel.title) for panel in chart.panels))
    return (
        f'<svg class="static" role="img" aria-label="{escape(name)}" viewBox="0 0 {wide} {tall}" '
        f'width="{wide}" height="{tall}" font-size="{FONT}" '
        f'font-family="system-ui, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g fill="#1c1f23">{"".join(parts)}{legend}</g></svg>'
    )


def _panel(panel: Panel, top: int, height: int) -> str:
    across = _scale(panel.x, [value for series in panel.series for value in series.x])
    along = _scale(panel.y, [value for series in panel.series for value in series.y])
    x = _place(across, LEFT, WIDTH - RIGHT)
    y = _place(along, height - BOTTOM, top)
    parts = [title(panel.title, LEFT, 14, TITLE)]
    for value in _ticks(across):
        at = f"{x(value):.1f}"
        parts.append(
            f'<path d="M{at} {top}V{height - BOTTOM}" stroke="#e2e2e2"/>'
            f'<text x="{at}" y="{height - BOTTOM + 13}" text-anchor="middle">{tick(value)}</text>'
        )
    for value in _ticks(along):
        at = f"{y(value):.1f}"
        parts.append(
            f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#e2e2e2"/>'
            f'<text x="{LEFT - 5}" y="{float(at) + 4:.1f}" text-anchor="end">{tick(value)}</text>'
        )
    middle = 'text-anchor="middle"'
    at = f'x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 10}" {middle}'
    parts.append(drawn_within(panel.x.label, at, WIDTH - LEFT))
    at = f'transform="translate(11,{(top + height - BOTTOM) / 2}) rotate(-90)" {middle}'
    parts.append(drawn_within(panel.y.label, at, height - BOTTOM))
    for mark in panel.marks:
        if mark.x is not None and across[0] <= mark.x <= across[1]:
            line = f"M{x(mark.x):.1f} {top}V{height - BOTTOM}"
        elif mark.y is not None and along[0] <= mark.y <= along[1]:
            line = f"M{LEFT} {y(mark.y):.1f}H{WIDTH - RIGHT}"
        else:
            continue
        parts.append(f'<path d="{line}" stroke="{mark.color}" stroke-dasharray="2 4"/>')
    parts += [_curve(series, x, y, along) for series in panel.series]
    return "".join(parts)


def _curve(
    series: Series, x: Callable[[float], float], y: Callable[[float], float], along: Scale
) -> str:
    low = along[0]
    places = [
        None if value is None else (x(at), y(max(value, low)))
        for at, value in zip(series.x, series.y, strict=True)
        if at is not None
    ]
    if series.kind == "points":
        dots = "".join(f"M{place[0]:.1f} {place[1]:.1f}h0" for place in places if place)
        return f'<path d="{dots}" stroke="{series.color}" stroke-width="3" stroke-linecap="round"/>'
    line, begun = "", False
    for place in places:
        if place is None:
            # Points without a value lie between those of other curves; steps have gaps.
            begun = begun and series.kind == "line"
        elif not begun:
            line, begun = f"{line}M{place[0]:.1f} {place[1]:.1f}", True
        elif series.kind == "steps":
            line += f"H{place[0]:.1f}V{place[1]:.1f}"
        else:
            line += f"L{place[0]:.1f} {place[1]:.1f}"
    dash = ' stroke-dasharray="5 4"' if series.dash else ""
    return f'<path d="{line}" fill="none" stroke="{series.color}" stroke-width="1.5"{dash}/>'


def _scale(axis: Axis, values: Sequence[Any]) -> Scale:
    """The ends of an axis, whether it is logarithmic, and whether its values are whole numbers."""
    known = [value for value in values if value is not None and (value > 0 or not axis.log)]
    if not known:
        return (1.0, 10.0, True, False) if axis.log else (0.0, 1.0, False, False)
    low, high = float(min(known)), float(max(known))
    if axis.log:
        low = min(max(low, axis.least or 0), high)
        return low / 1.1, high * 1.1, True, False
    margin = (high - low) * 0.03 or abs(high) * 0.1 or 1.0
    return low - margin, high + margin, False, all(value == int(value) for value in known)


def _place(scale: Scale, first: float, last: float) -> Callable[[float], float]:
    low, high, is_log, _ = scale
    if is_log:
        return lambda value: first + (last - first) * math.log(value / low) / math.log(high / low)
    return lambda value: first + (last - first) * (value - low) / (high - low)


def _ticks(scale: Scale) -> list[float]:
    low, high, is_log, is_whole = scale
    if is_log:
        decades = math.log10(high / low)
        steps = next(steps for most, steps in STEPS if decades <= most)
        every = max(1, math.ceil(decades / 6))
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers if not power % every for step in steps]
        return [value for value in ticks if low <= value <= high]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    step = max(step, 1.0) if is_whole else step
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def tick(value: float) -> str:
    """A number in few characters: 0.25, 1,000, 10⁵, −2."""
    size = abs(value)
    if size and not 1e-3 <= size < 1e5:
        mantissa, exponent = f"{value:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
        return power if mantissa == "1" else f"{mantissa}×{power}".replace("-", "−")
    return (f"{value:,.0f}" if size >= 1000 else f"{value:.3g}").replace("-", "−")


def _legend(chart: Chart, wide: int, top: int) -> tuple[str, int]:
    """The distinct curves and marks below the panels, and the height of the whole."""
    entries: dict[str, tuple[str, str]] = {}
    for panel in chart.panels:
        for series in panel.series:
            entries.setdefault(series.label, (series.color, "5 4" if series.dash else ""))
        for mark in panel.marks:
            if mark.label:
                entries.setdefault(mark.label, (mark.color, "2 4"))
    x, y, parts = 10.0, top + 10, []
    for name, (color, dash) in entries.items():
        length = 40 + longest(name)
        if x > 10 and x + length > wide:
            x, y = 10.0, y + 17
        parts.append(
            f'<path d="M{x:.0f} {y - 4}h20" stroke="{color}" stroke-width="3" '
            f'stroke-dasharray="{dash or "none"}"/>' + drawn(name, f'x="{x + 25:.0f}" y="{y}"')
        )
        x += length
    return "".join(parts), y + 12
