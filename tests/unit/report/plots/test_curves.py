"""A chart of curves as a figure of a notebook."""

from blockresearch.report.figures.charts import Axis, Chart, Panel, Series
from blockresearch.report.plots.curves import curves
from blockresearch.report.plots.style import png


def test_a_chart_becomes_panels_with_one_legend():
    lines = (
        Series("a", "#4477aa", [1, 2, 3], [1.0, None, 3.0]),
        Series("b", "#ee6677", [1, 2, 3], [None, None, None], dash=True),
    )
    panels = tuple(
        Panel(title, Axis("step"), Axis("norm", log=True), lines) for title in ("q", "k", "v")
    )
    figure = curves(Chart("test", panels, cols=2))
    assert [axes.get_title("left") for axes in figure.axes] == ["q", "k", "v"]
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 3], "a gap is no point"
    assert len(figure.axes[0].lines[1].get_xdata()) == 0
    assert figure.axes[0].get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_a_legend_is_within_the_figure():
    lines = tuple(Series(f"layer {n}, head {n}", "#4477aa", [1, 2], [1.0, n]) for n in range(12))
    figure = curves(Chart("test", (Panel("q", Axis("step"), Axis("norm"), lines),) * 2))
    png(figure)
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
