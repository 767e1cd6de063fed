"""The drawing of compositions: the strongest edges, each with its numbers, and harmless names."""

from blockresearch.report.figures.head_graph import EDGES, head_graph
from blockresearch.tables.io import frame
from tests.unit.report.hostile import assert_harmless


def edge(start, end, z, part="key", component="text"):
    place = {"from_layer": start[0], "from_head": start[1], "to_layer": end[0], "to_head": end[1]}
    return place | {"component": component, "part": part, "kernel": 5.25, "z": z}


def test_an_edge_names_its_heads_and_numbers():
    rows = [edge((0, 1), (3, 2), 90.0), edge((1, 1), (3, 2), 45.0, "value")]
    html = head_graph(frame(rows, "head_graph")).html
    assert "<title>0.1 writes 5.25 directions that 3.2 reads as its key, z 90</title>" in html
    assert html.count("<line") == 2 and html.count("<circle") == 3
    assert 'stroke-width="3.0"' in html and 'stroke-width="1.9"' in html


def test_the_strongest_of_the_main_component_count():
    rows = [edge((0, n), (1, n), float(n)) for n in range(EDGES + 5)]
    rows += [edge((0, 0), (1, 1), 999.0, component="<b>vision</b>")]
    html = head_graph(frame(rows, "head_graph")).html
    assert html.count("<line") == EDGES and "z 4<" not in html and "999" not in html
    assert_harmless(html)


def test_one_layer_apart_and_none():
    assert "<line" in head_graph(frame([edge((4, 0), (5, 0), 3.0)], "head_graph")).html
    assert head_graph(frame([], "head_graph")) is None
