"""Charts with rows: axes, selections, and the same numbers for scripts and for print."""

import json
import math

import numpy as np
import pytest

from blockresearch.report.figures import rows
from blockresearch.report.figures.by_block import entropy_chart, parameters_chart
from blockresearch.report.figures.live import chart_html
from blockresearch.report.figures.static_rows import static_rows
from blockresearch.report.figures.strips import experts_chart, strips_chart
from blockresearch.report.values import Measure
from blockresearch.tables.io import frame
from tests.unit.report.figures.samples import matrices
from tests.unit.report.hostile import NAMES, assert_harmless

STD = Measure("std", "Spread", "std, logarithmic", "log")


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text(name):
    panel = rows.RowPanel(
        name,
        rows.amount_span(name, 2.0),
        (name,),
        ("#0072b2",),
        bars=(rows.Amounts(name, (1.0,), "#0072b2"),),
        points=rows.points([0], [1.0], [name]),
        notes=(name,),
    )
    chart = rows.RowChart("c", (panel,))
    page = assert_harmless(chart_html(chart, name))
    assert page.tags.count("script") == 1 and "img" not in page.tags
    json.dumps(rows.as_data(chart), allow_nan=False)


def test_axes_hold_their_values_and_few_marks():
    for span in (
        rows.amount_span("n", 16.0),
        rows.amount_span("n", 0.0),
        rows.log_span("n", [0.01, 0.02]),
        rows.log_span("n", [1e-9, 1e9]),
        rows.log_span("n", [3.0, 3.5]),
        rows.tails_span("n", [-0.2, 3.0]),
        rows.tails_span("n", [2.0, 2.0]),
        rows.tails_span("n", [-1.5, 4e6]),
    ):
        assert 2 <= len(span.ticks) <= 10
        assert all(span.low <= each <= span.high for each in span.ticks)
        places = [rows.placed(span, each) for each in span.ticks]
        assert places == sorted(set(places))


def test_heavy_tails_are_logarithmic_beyond_one():
    span = rows.tails_span("kurtosis", [0.0, 100.0])
    assert span.scale == "tails" and "logarithmic beyond ±1" in span.label
    steps = np.diff([rows.placed(span, each) for each in (0, 1, 10, 100)])
    assert steps == pytest.approx([steps[0]] * 3)


def test_many_points_keep_the_ends_of_each_row():
    row = [0] * 9000 + [1] * 2
    values = [*np.linspace(5, 6, 9000), 1.0, 9.0]
    drawn = rows.points(row, values, [str(place) for place in range(9002)])
    assert len(drawn.values) <= rows.MOST_POINTS + 2
    own = [value for at, value in zip(drawn.rows, drawn.values, strict=True) if at == 0]
    assert (own[0], own[-1]) == (5.0, 6.0) and own == sorted(own)
    assert drawn.names[-2:] == ("9000", "9001")


def test_strips_have_a_point_for_each_matrix():
    chart = strips_chart("c", matrices(3), [STD])
    (panel,) = chart.panels
    assert panel.rows == ("q_proj", "up_proj")
    assert panel.points.values == (1, 2, 3, 1, 2, 3)
    assert panel.points.names[2] == "model.layers.2.q_proj.weight"
    assert panel.strokes[0].values == (2.0, 2.0)
    drawing = static_rows(chart)
    assert drawing.count("h0") == 6 and "nan" not in drawing
    data = rows.as_data(chart)["panels"][0]["points"]
    assert data["value"] == [1, 2, 3, 1, 2, 3]
    assert strips_chart("c", matrices(1, std=math.nan), [STD]) is None


def test_experts_have_a_row_for_each_layer():
    data = matrices(2).assign(expert_index=[0, 0, 1, 1], block_type="moe")
    chart = experts_chart(data, [STD])
    assert [panel.rows for panel in chart.panels] == [("0", "1")] * 2
    assert experts_chart(matrices(2), [STD]) is None


def test_bars_are_the_sums_of_the_table():
    data = [
        {"block_type": "q_proj", "numel": 3000, "dtype": "BF16"},
        {"block_type": "norm", "numel": 1000, "dtype": "F32"},
    ]
    blocks, types = parameters_chart(frame(data, "params")).panels
    assert blocks.bars[0].values == (3.0, 1.0) and blocks.notes == ("75.0 %", "25.0 %")
    assert types.rows == ("BF16", "F32") and "thousands" in types.span.label
    assert parameters_chart(frame([], "params")) is None


def test_bits_are_averages_over_weights():
    data = [
        {"block_type": "q_proj", "numel": 300, "entropy_bits": 8.0, "entropy_sign_bits": 1.0},
        {"block_type": "q_proj", "numel": 100, "entropy_bits": 16.0, "entropy_sign_bits": None},
    ]
    panel = entropy_chart(frame([{**row, "dtype": "BF16"} for row in data], "params")).panels[0]
    assert panel.bars[0].values == (1.0,) and panel.bars[1].values == (None,)
    assert [each.values for each in panel.strokes] == [(10.0,), (16.0,)]
    assert entropy_chart(frame([], "params")) is None
