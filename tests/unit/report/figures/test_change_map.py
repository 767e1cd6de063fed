"""The map of a comparison."""

import base64
import gzip
import json
import re

from blockresearch.report.figures.change_map import change_map, changes_by_layer
from blockresearch.tables.io import frame
from blockresearch.text import visible
from tests.unit.report.differences.samples import difference
from tests.unit.report.hostile import NAMES, assert_harmless


def tables(rows, overlaps=()):
    keys = ("param_name", "other_name")
    turned = [{key: name for key in keys} | {"left_overlap_8": share} for name, share in overlaps]
    return frame(rows, "differences"), frame(turned, "subspaces")


def test_values_of_both_tables_meet_in_a_cell():
    rows = [
        difference("a", 0, relative_change=0.5, delta_storage_rank=4, changed=0.75),
        difference("b", 1, relative_change=0.0, delta_storage_rank=0, changed=0.0),
        difference("norm", 1, "norm", relative_change=9.0, delta_spectral_norm=None),
        difference("head", relative_change=0.1, block="output"),
    ]
    drawn = changes_by_layer(*tables(rows, [("a", 0.25)]))
    assert drawn["cells"]["layer"] == [0, 1] and drawn["color"] == "value"
    assert drawn["middle"] == {
        "relative_change": [0.5, 0],
        "delta_storage_rank": [4, 0],
        "left_overlap_8": [0.25, None],
        "changed": [0.75, 0],
    }


def test_the_page_gets_an_interactive_map():
    rows = [difference(name, n, name, relative_change=0.1) for n, name in enumerate(NAMES)]
    html = change_map(*tables(rows)).html
    assert set(assert_harmless(html).tags) >= {"figure", "svg"}
    [letters] = re.findall(r"<script[^>]*>(.*?)</script>", html, re.S)
    data = json.loads(gzip.decompress(base64.b64decode(letters)))
    assert data["none"] == "unchanged, or no such matrix" and data["color"] == "value"


def test_a_cell_opens_its_most_changed_matrices():
    rows = [
        difference("a\u202e<b>", 0, relative_change=0.1, delta_storage_rank=4),
        difference("b", 0, relative_change=0.5),
        difference("c", 1, relative_change=0.0, delta_norm=0.0),
    ]
    html = change_map(*tables(rows), "../../base/index.html").html
    [letters] = re.findall(r"<script[^>]*>(.*?)</script>", html, re.S)
    opened = json.loads(gzip.decompress(base64.b64decode(letters)))["opened"]
    first, second = opened["cells"]
    assert [line[0] for line in first] == ["b", visible("a\u202e<b>")]
    assert first[1][1] == "../../base/index.html#tensor=a%E2%80%AE%3Cb%3E"
    assert [len(line) for line in first] == [2 + len(opened["heads"])] * 2
    assert second[0][-1] == "equal in every element"


def test_equal_sides_have_no_map():
    rows = [difference("a", 0, relative_change=0.0), difference("b", relative_change=0.5)]
    assert change_map(*tables(rows)) is change_map(*tables([])) is None
