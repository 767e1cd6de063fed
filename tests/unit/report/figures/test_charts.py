"""Charts: the same numbers for scripts and for print, names as text."""

import json

import numpy as np
import pytest

from blockresearch.report.figures.charts import Axis, Chart, Mark, Panel, Series, as_data, positive
from blockresearch.report.figures.depth import depth_chart, norm_chart, spectra_chart
from blockresearch.report.figures.distributions import distribution_chart, quantile_chart
from blockresearch.report.figures.embedding import elbow_chart, norm_by_id_chart, score_chart
from blockresearch.report.figures.live import chart_html
from blockresearch.report.figures.static_chart import static_chart, tick
from blockresearch.tables.io import frame
from tests.unit.report.figures.samples import matrices, spectra
from tests.unit.report.hostile import NAMES, assert_harmless
from tests.unit.report.plots.samples import layer_rows


def chart(name="curve", x=(1, 2, 3), y=(1.0, None, 100.0), **more):
    series = Series(name, "#0072b2", x, y, **more)
    marks = (Mark("#777777", "edge", y=10.0),)
    return Chart("c", (Panel(name, Axis(name), Axis("y", log=True), (series,), marks),))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text(name):
    page = assert_harmless(chart_html(chart(name), name))
    assert page.tags.count("script") == 1 and "img" not in page.tags
    json.dumps(as_data(chart(name)), allow_nan=False)


def test_logarithmic_axes_have_no_zeros():
    assert positive([1.0, 0.0, -1.0, float("nan"), None]) == [1, None, None, None, None]


def test_a_static_curve_skips_gaps_and_keeps_ends():
    drawing = static_chart(chart())
    assert 'stroke-dasharray="2 4"' in drawing and ">100<" in drawing
    line = drawing.split('fill="none"')[0].rsplit('d="', 1)[1]
    assert line.count("L") == 1, "two points, one line"
    steps = static_chart(chart(kind="steps"))
    assert "H" in steps and "nan" not in drawing + steps


def test_ticks_are_short():
    shown = {0.25: "0.25", 1000: "1,000", 1e6: "10⁶", -2: "−2", 2e-5: "2×10⁻⁵", 0: "0"}
    assert {value: tick(value) for value in shown} == shown


def test_curves_over_depth():
    rows = frame(layer_rows(3), "layers")
    drawn = depth_chart(rows)
    assert drawn and all(panel.y.log for panel in drawn.panels)
    assert depth_chart(rows[rows["layer_index"] == 0]) is None


def test_spectra_of_first_middle_and_last_layer():
    rows = matrices(5).assign(spectral_norm=8.0)
    drawn = spectra_chart(spectra(rows), rows)
    assert [panel.title for panel in drawn.panels] == ["q_proj", "up_proj"]
    assert [one.label for one in drawn.panels[0].series] == [
        *("first layer", "middle layer", "last layer")
    ]
    assert drawn.panels[0].series[0].y == [8, 7, 6, 5, 4, 3, 2, 1]
    assert spectra_chart(spectra(rows), rows.iloc[:0]) is None


def test_norms_are_as_applied():
    row = {"block_type": "norm", "projection": "input_layernorm", "is_bias": False, "q50": 0.5}
    rows = frame(
        [{**row, "layer_index": layer, "param_name": f"{layer}"} for layer in (0, 1)], "params"
    )
    assert norm_chart(rows).panels[0].series[0].y == [0.5, 0.5]
    assert norm_chart(rows, 1).panels[0].series[0].y == [1.5, 1.5]


def test_a_distribution_is_in_standard_deviations():
    values = np.array([-3.0, 3.0])
    drawn = distribution_chart({"q_proj": (values, np.array([10, 10]))})
    heights = [y for y in drawn.panels[0].series[0].y if y]
    assert heights == [2.5, 2.5], "half of the weights in a bin of 0.2 at each side"
    assert distribution_chart({"q_proj": (np.array([1.0]), np.array([5]))}) is None
    assert quantile_chart(matrices().assign(std=0.0)) is None


def test_empty_tables_of_tokens_have_no_charts():
    assert elbow_chart(frame([], "elbow")) is None
    assert score_chart(frame([], "tokens")) is None
    assert norm_by_id_chart(frame([], "tokens"), frame([], "tokens")) is None
