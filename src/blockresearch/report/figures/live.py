"""Figures and tables of reports: what a page shows beside what the notebook keeps.

An output of a notebook has a PNG picture or a short table, for Jupyter. The page that is made from
it shows, if there is one, the HTML under LIVE: an interactive figure with its data and a static
drawing of the same. It is not part of the .ipynb file.
"""

from dataclasses import dataclass
from typing import Any

from blockresearch.report.figures.charts import Chart, as_data
from blockresearch.report.figures.static_chart import static_chart
from blockresearch.report.pages import packed
from blockresearch.report.words import words

LIVE = "application/vnd.blockresearch.live"

# The page shows nothing in the place of the output.
NOTHING = "<!-- -->"


@dataclass(frozen=True)
class Drawing:
    """A figure that is the same with and without scripts, as HTML."""

    html: str


def chart_html(chart: Chart, caption: str) -> str:
    """A chart with its caption as a figure of a page."""
    return figure_html("chart-figure", as_data(chart), static_chart(chart), caption)


def figure_html(kind: str, data: Any, static: str, caption: str = "") -> str:
    """A figure of the class `kind`, whose script reads `data`; `static` is HTML."""
    below = f"<figcaption>{words(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="interactive {kind}"><div class="live-part"></div>'
        f'<div class="static-part">{static}</div>'
        f'<script type="application/octet-stream">{packed(data)}</script>'
        f"{below}</figure>"
    )
