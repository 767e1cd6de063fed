"""Grids of numbers: cells, colors, and the same for scripts and for print."""

import json

import pytest

from blockresearch.report.figures import value_grid
from blockresearch.report.figures.live import chart_html
from tests.unit.report.figures.samples import matrices
from tests.unit.report.hostile import NAMES, assert_harmless


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text(name):
    grid = value_grid.ValueGrid("g", name, name, (name,), (name, "b"), ((1.0, None),))
    page = assert_harmless(chart_html(grid, name))
    assert page.tags.count("script") == 1 and "img" not in page.tags
    json.dumps(value_grid.as_data(grid), allow_nan=False)


def test_formats_with_the_most_bits_come_first():
    data = matrices(2, int4_g128_sym_sqnr_db=20.0, fp8_channel_sqnr_db=40.0)
    grid = value_grid.rounding_grid(data.assign(finite_count=128, rms=1.0))
    assert grid.rows == ("q_proj", "up_proj") and len(grid.columns) == 2
    assert grid.values == ((40.0, 20.0),) * 2
    drawing = value_grid.static_grid(grid)
    assert drawing.count(">40.0<") == 2 and value_grid.STOPS[0] in drawing
    assert value_grid.rounding_grid(matrices(2)) is None


def test_colors_run_over_the_whole_scale():
    assert value_grid.color_at(0) == value_grid.STOPS[0]
    assert value_grid.color_at(1) == value_grid.STOPS[-1]
    assert value_grid.ends([[2.0, None], [2.0]]) == (1.0, 3.0)
