"""The cells of report 25 about experts: what is planted is named, and a dense model has none."""

import pandas as pd
import pytest

from blockresearch.report.circuits import expert_cells
from blockresearch.tables.io import frame, write_table
from tests.cases import experts as cases
from tests.unit.circuits.test_expert_rows import tables


def opened(folder, experts, pairs):
    for rows, table in ((experts, "experts"), (pairs, "expert_pairs")):
        path = folder / f"circuits/{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table(frame(rows, table), table, path)
    return expert_cells.read_experts(str(folder))


@pytest.fixture
def planted(tmp_path):
    tensors = cases.independent()
    cases.duplicate(tensors, 2, 7)
    tensors[f"{cases.START}.gate.weight"][5] *= 0.001
    experts, pairs = tables(tmp_path / "model", tensors)
    experts = experts.reset_index()
    rows = [each.where(pd.notna(each), None) for each in (experts.astype(object), pairs)]
    return opened(tmp_path, *(each.to_dict("records") for each in rows))


def test_what_is_planted_is_named(planted):
    experts, pairs = planted
    text = expert_cells.summary(experts, pairs).text
    assert "12 routed experts in 1 layers" in text
    assert "in any order of their neurons: 1." in text and "never chosen: 1." in text
    assert "router row far shorter than the others" in expert_cells.candidates(experts).html
    first = expert_cells.most_similar(pairs).html.partition("<tbody>")[2].partition("</tr>")[0]
    assert "<td>2</td><td>7</td><td>1.00</td>" in first
    assert "12" in expert_cells.routing(experts).html


def test_a_dense_model_shows_nothing(tmp_path):
    experts, pairs = opened(tmp_path, [], [])
    shown = (
        expert_cells.unusual(experts, pairs),
        expert_cells.summary(experts, pairs),
        expert_cells.candidates(experts),
        expert_cells.most_similar(pairs),
        expert_cells.routing(experts),
    )
    assert shown == (None,) * 5
