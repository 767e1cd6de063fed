"""A chart of curves as a figure of Matplotlib, for a notebook: the page draws the same chart."""

from matplotlib.figure import Figure

from blockresearch.report.figures.charts import Chart
from blockresearch.report.plots.style import canvas, in_language, literal, plain_ticks

PANEL_WIDTH, PANEL_HEIGHT = 3.8, 2.8

# Width of an entry of the legend.
ENTRY_WIDTH = 2.0


def curves(chart: Chart) -> Figure:
    """The panels of a chart of lines, with one legend below them."""
    cols = min(chart.cols, len(chart.panels))
    rows = -(-len(chart.panels) // cols)
    labels = dict.fromkeys(series.label for panel in chart.panels for series in panel.series)
    entries = int(PANEL_WIDTH * cols / ENTRY_WIDTH)
    legend = 0.25 * -(-len(labels) // entries)
    figure, places = canvas(PANEL_WIDTH * cols, PANEL_HEIGHT * rows + legend, rows, cols)
    lines = {}
    for place, panel in zip(places, chart.panels, strict=False):
        for series in panel.series:
            known = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
            (lines[series.label],) = place.plot(
                *zip(*known, strict=True) if known else ([], []),
                color=series.color,
                linestyle="--" if series.dash else "-",
                marker="o",
                markersize=3,
            )
        place.set(
            title=literal(in_language(panel.title)), yscale="log" if panel.y.log else "linear"
        )
        place.set_xlabel(in_language(panel.x.label))
        plain_ticks(place.xaxis)
        plain_ticks(place.yaxis, logarithmic=panel.y.log)
    for place in places[len(chart.panels) :]:
        place.remove()
    names = [literal(in_language(label), 40) for label in lines]
    figure.legend(list(lines.values()), names, loc="outside lower center", ncols=entries)
    return figure
