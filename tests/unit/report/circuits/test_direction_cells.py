"""The cells of report 25 about directions: tokens of planted heads, escaped, and none without."""

import pytest

from blockresearch.report.circuits import direction_cells
from blockresearch.tables.io import frame

HEAD = {"component": "text", "layer_index": 1, "role": "self", "head": 2}


def row(circuit, side, z):
    return HEAD | {
        "direction": 0,
        **{"circuit": circuit, "side": side, "energy_share": 0.5, "gap": 0.1},
        **{"top_tokens": f"<b>{side}</b>  two", "bottom_tokens": "three  four"},
        **{"top_coherence_z": z, "bottom_coherence_z": 0.0},
    }


@pytest.fixture
def directions():
    sides = (("QK", "query", 0.0), ("QK", "key", 9.0), ("OV", "read", 0.0), ("OV", "write", 4.0))
    return frame([row(*each) for each in sides], "directions")


@pytest.fixture
def heads():
    scores = {"copying": 0.9, "copying_z": 8.0, "qk_symmetry": -0.25}
    return frame([HEAD | scores, HEAD | {"head": 3, "copying_z": 9.0}], "attention_heads")


def test_a_card_has_all_sides_of_a_head(directions, heads):
    card = direction_cells.head_cards(heads, directions)
    assert card.text == "Layer 1, head 2: Copying 0.90 (z 8.00), QK symmetry −0.25."
    assert card.html.count("<li>") == 1 and "<b>write</b>" not in card.html
    for side in ("query", "key", "read", "write"):
        assert f"<bdi>&lt;b&gt;{side}&lt;/b&gt;</bdi> <bdi>two</bdi> <b>−</b>" in card.html


def test_without_any_null_the_largest_score_has_a_card(directions, heads):
    card = direction_cells.head_cards(heads.assign(copying_z=None), directions)
    assert card.text == "Layer 1, head 2: Copying 0.90 (z –), QK symmetry −0.25."


def test_only_coherent_directions_are_listed(directions):
    body = direction_cells.coherent(directions).html.partition("<tbody>")[2]
    assert body.count("<tr>") == 2 and ">key<" in body and ">write<" in body


def test_without_directions_nothing_is_shown(heads):
    none = frame([], "directions")
    shown = (
        direction_cells.about(none),
        direction_cells.coherent(none),
        direction_cells.head_cards(heads, none),
    )
    assert shown == (None, None, None)
