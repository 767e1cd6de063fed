"""The cards of heads in report 25: planted tokens, escaped, edges, and data in order of the map."""

import base64
import gzip
import json
import re

import pytest

from blockresearch.report.circuits.head_cards import head_cards
from blockresearch.report.figures.head_map import heads_by_layer
from blockresearch.tables.io import frame

HEAD = {"component": "text", "layer_index": 1, "role": "self", "head": 2}


def row(circuit, side):
    tokens = {"top_tokens": f"<b>{side}</b>  two", "bottom_tokens": "three  four"}
    return HEAD | {"direction": 0, "energy_share": 0.25, "circuit": circuit, "side": side} | tokens


@pytest.fixture
def directions():
    sides = (("OV", "write"), ("OV", "read"), ("QK", "query"), ("QK", "key"))
    return frame([row(*each) for each in sides], "directions")


@pytest.fixture
def heads():
    scores = {"copying": 0.9, "copying_z": 8.0, "qk_symmetry": -0.25, "head_size": 4}
    others = [HEAD | {"head": 3, "copying_z": 9.0}, HEAD | {"layer_index": 0}]
    return frame([HEAD | scores, *others], "attention_heads")


@pytest.fixture
def graph():
    ends = {"from_layer": 1, "from_role": "self", "from_head": 2}
    ends |= {"to_layer": 4, "to_role": "self", "to_head": 7}
    edge = {"component": "text", "part": "key", "kernel": 3.0, "z": 5.0}
    return frame([ends | edge], "head_graph")


def data_of(card):
    letters = re.search(r'id="head-cards">(.*?)</script>', card.live)[1]
    return json.loads(gzip.decompress(base64.b64decode(letters)))


def test_a_card_has_all_sides_of_a_head(heads, directions, graph):
    card = head_cards(heads, directions, graph)
    about, line = card.text.split("\n")
    assert about.startswith("The heads whose copying is farthest")
    assert line.startswith("Layer 1, head 2: Copying 0.90 (z 8.00), QK symmetry −0.25. The first")
    assert line.endswith("have 25.0 % and 25.0 % of the energy.")
    assert card.html.count("<li>") == 1 and "<b>write</b>" not in card.html
    for side in ("query", "key", "read", "write"):
        assert f"<bdi>&lt;b&gt;{side}&lt;/b&gt;</bdi> <bdi>two</bdi> <b>−</b>" in card.html
    assert "<p>1.2 writes 3.00 directions that 4.7 reads as its key, z 5</p>" in card.html


def test_every_cell_of_the_map_has_a_card(heads, directions, graph):
    cards = data_of(head_cards(heads, directions, graph))["cards"]
    cells = heads_by_layer(heads)["cells"]
    planted = [place for place, card in enumerate(cards) if card["sides"]]
    assert len(cards) == len(cells["layer"]) == 3 and len(planted) == 1
    assert cells["layer"][planted[0]] == 1 and cells["column"][planted[0]] == 0
    [place] = planted
    assert cards[place]["sides"][0] == [0, ["<b>query</b>", "two"], ["three", "four"]]
    assert cards[place]["edges"][0].startswith("1.2 writes") and not cards[place - 1]["edges"]


def test_without_any_null_the_largest_score_has_a_card(heads, directions, graph):
    card = head_cards(heads.assign(copying_z=None), directions, graph)
    assert "Layer 1, head 2: Copying 0.90 (z –), QK symmetry −0.25." in card.text


def test_without_tokens_there_are_no_cards(heads, directions, graph):
    assert head_cards(heads, directions[:0], graph) is None
