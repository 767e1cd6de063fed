"""Figures and tables of reports: what a page shows beside what the notebook keeps.

An output of a notebook has a PNG picture or a short table, for Jupyter. The page that is made from
it shows, if there is one, the HTML under LIVE: an interactive figure with its data and a static
drawing of the same. It is not part of the .ipynb file.
"""

from dataclasses import dataclass
from typing import Any

from blockresearch.report.figures import charts, rows, value_grid
from blockresearch.report.figures.static_chart import static_chart
from blockresearch.report.figures.static_rows import static_rows
from blockresearch.report.pages import packed
from blockresearch.report.words import words

LIVE = "application/vnd.blockresearch.live"

# The page shows nothing in the place of the output.
NOTHING = "<!-- -->"


@dataclass(frozen=True)
class Drawing:
    """A figure that is the same with and without scripts, as HTML."""

    html: str


# What a figure of a report can be.
Live = charts.Chart | rows.RowChart | value_grid.ValueGrid | Drawing


def chart_html(figure: Live, caption: str) -> str:
    """A figure with its caption, as HTML of a page."""
    if isinstance(figure, charts.Chart):
        data, static = charts.as_data(figure), static_chart(figure)
        return figure_html("chart-figure", data, static, caption)
    if isinstance(figure, rows.RowChart):
        return figure_html("rows-figure", rows.as_data(figure), static_rows(figure), caption)
    if isinstance(figure, value_grid.ValueGrid):
        data, static = value_grid.as_data(figure), value_grid.static_grid(figure)
        return figure_html("grid-figure", data, static, caption)
    return f'{figure.html}<p class="caption">{words(caption)}</p>'


def figure_html(kind: str, data: Any, static: str, caption: str = "") -> str:
    """A figure of the class `kind`, whose script reads `data`; `static` is HTML."""
    below = f"<figcaption>{words(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="interactive {kind}"><div class="live-part"></div>'
        f'<div class="static-part">{static}</div>'
        f'<script type="application/octet-stream">{packed(data)}</script>'
        f"{below}</figure>"
    )
