"""The map for print: the same cells and the same deviations, and names as text."""

import base64
import gzip
import json
import re

import pytest

from blockresearch.report.figures.color_scales import AROUND
from blockresearch.report.figures.layer_map import in_map_order, layer_map
from blockresearch.report.figures.static_map import maps, static_map
from tests.unit.report.figures.samples import matrices
from tests.unit.report.hostile import NAMES, assert_harmless


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text(name):
    rows = matrices(3, (name,), (None,)).assign(component=name)
    drawing = static_map(layer_map(in_map_order(rows)), "std")
    page = assert_harmless(drawing)
    assert set(page.tags) <= {"svg", "rect", "g", "path", "text"}


def test_cells_of_one_color_are_one_path():
    drawing = static_map(layer_map(in_map_order(matrices(5))), "stable_rank")
    assert drawing.count("<path") == 1 and drawing.count("M") == 10
    assert f'fill="{AROUND[4]}"' in drawing


def test_a_report_has_one_map_for_its_metrics():
    html = maps(matrices(4), ["stable_rank", "std", "alpha"]).html
    assert html.count("map-figure") == 1 and html.count("<svg") == 2
    [letters] = re.findall(r"<script[^>]*>(.*?)</script>", html, re.S)
    data = json.loads(gzip.decompress(base64.b64decode(letters)))
    assert [each["key"] for each in data["metrics"]] == ["stable_rank", "std"]
    assert set(data["middle"]) == {"stable_rank", "std"}
    assert maps(matrices(4), ["alpha"]) is None
