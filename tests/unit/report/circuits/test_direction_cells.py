"""The cells of report 25 about directions: those with tokens that are alike, and none without."""

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


def test_only_coherent_directions_are_listed(directions):
    body = direction_cells.coherent(directions).html.partition("<tbody>")[2]
    assert body.count("<tr>") == 2 and ">key<" in body and ">write<" in body


def test_without_directions_nothing_is_shown():
    none = frame([], "directions")
    assert (direction_cells.about(none), direction_cells.coherent(none)) == (None, None)
