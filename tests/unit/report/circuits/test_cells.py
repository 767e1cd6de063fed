"""The cells of report 25, with planted heads and with a model that has none."""

import pandas as pd
import pytest

from blockresearch.circuits.bases import PARTS, bases_of, read_blocks, write_bases
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.layer import Layer, Missing
from blockresearch.report.circuits import cells
from blockresearch.report.plots.heads import head_maps
from blockresearch.tables.io import frame, write_table
from tests.unit.circuits.test_heads import random_attention

COLUMNS = ["copying", "qk_symmetry", "slow_energy", "qk_share", "ov_share"]


def opened(folder, layers):
    bases = {}
    for layer in layers:
        bases |= bases_of(layer, PARTS[:2])
    write_bases(bases, folder / "bases.npz")
    rows = [row for layer in layers for row in head_rows(layer)]
    edges = graph_rows(read_blocks(folder / "bases.npz"))
    for data, table in ((rows, "attention_heads"), (edges, "head_graph")):
        path = folder / f"circuits/{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table(frame(data, table), table, path)
    return cells.open_circuits(str(folder))


@pytest.fixture
def planted(tmp_path):
    attentions = [random_attention(seed=seed, biased=False) for seed in range(3)]
    attentions[2].k[1] = attentions[0].o[4].T
    attentions[1].v[0] = attentions[1].o[0].T
    layers = [Layer("text", index, (each,)) for index, each in enumerate(attentions)]
    return opened(tmp_path, [*layers, Layer("text", 3, (), (Missing("self", "<b>no</b> k"),))])


def test_the_lead_names_what_was_planted(planted):
    text = cells.top(planted).text
    assert text.startswith("These numbers say what each attention head can do")
    assert "that they read: 1 of 18; that write their opposite: 0 (a score" in text
    assert "head 0.4 writes 8.00 directions that head 2." in text and "as its key" in text
    assert "Of 1 attention blocks the heads are not defined: <b>no</b> k" in text
    assert "<b>" not in cells.top(planted).html


def test_only_edges_beyond_chance_are_findings(planted):
    weak = planted.graph.assign(z=4.0, median_z=0.1)
    write_table(weak, "head_graph", planted.folder / "circuits/head_graph.parquet")
    text = cells.top(cells.open_circuits(str(planted.folder)), "Two experts are one.").text
    assert "the largest z of all pairs is 4" in text and "as its key" not in text
    assert text.endswith("- Two experts are one.")


def test_edges_of_several_stacks_name_theirs(planted):
    assert 'text-anchor="end">text</text>' not in cells.drawn_graph(planted).live
    other = planted.graph.tail(1).assign(component="<i>")
    path = planted.folder / "circuits/head_graph.parquet"
    write_table(pd.concat([planted.graph, other]), "head_graph", path)
    both = cells.open_circuits(str(planted.folder))
    assert 'text-anchor="end">text</text>' in cells.drawn_graph(both).live
    assert "not proof that inputs use it" in cells.about_edges(both).text


def test_tables_begin_with_the_strongest(planted):
    heads, edges = cells.strongest(planted), cells.compositions(planted)
    first = heads.html.partition("<tbody>")[2]
    assert first.startswith('<tr><td class="text">text</td><td class="text">self</td><td>1</td>')
    assert '<td class="text">0.4</td>' in edges.html.partition("<tbody>")[2].partition("</tr>")[0]
    assert "&lt;b&gt;no&lt;/b&gt; k" in cells.undefined(planted).html


def test_maps_have_a_row_for_each_layer_and_kind(planted):
    figure = head_maps(planted.heads, COLUMNS)
    titles = [axes.get_title(loc="left").strip() for axes in figure.axes]
    titled = list(filter(None, titles))
    assert titled[:2] == ["Copying score", "QK symmetry"] and len(titled) == 5
    assert figure.axes[0].get_ylim() == (3, 0) and figure.axes[0].get_xlim() == (0, 6)


def test_a_model_without_heads_says_so(tmp_path):
    nothing = opened(tmp_path, [])
    assert head_maps(nothing.heads, COLUMNS) is None
    assert "no attention whose heads are defined" in cells.strongest(nothing).text
    assert "No edges" in cells.compositions(nothing).text
    assert cells.undefined(nothing) is None and cells.about_edges(nothing) is None
    assert cells.top(nothing).text.count("\n") == 0


def test_heads_without_a_null_have_the_reason(tmp_path):
    scores = [{"head": 0, "copying": 0.4, "copying_z": 2.0}, {"head": 1, "copying": 0.1}]
    for name, rows, text in (
        ("one", scores, "Copying of 1 heads has no z"),
        ("all", scores[:1], ""),
    ):
        path = tmp_path / name / "circuits/attention_heads.parquet"
        path.parent.mkdir(parents=True)
        write_table(frame(rows, "attention_heads"), "attention_heads", path)
        found = cells.without_null(cells.open_circuits(str(tmp_path / name)))
        assert found.text.startswith(text) if text else found is None
