"""The map: one column for each kind of matrix, medians over the matrices of a cell."""

import pandas as pd

from blockresearch.report.figures.layer_map import in_map_order, layer_map
from tests.unit.report.figures.samples import matrices


def test_roles_are_columns_and_cells_are_in_order():
    both = pd.concat(
        [matrices(2, ("q_proj",), ("cross",)), matrices(2, ("up_proj", "q_proj"), (None, "self"))]
    )
    drawn = layer_map(in_map_order(both))
    assert [each["label"] for each in drawn["columns"]] == [
        "self q_proj",
        "cross q_proj",
        "up_proj",
    ]
    assert drawn["cells"]["layer"] == [0, 1] * 3
    assert drawn["cells"]["first"] == [0, 1, 2, 3, 4, 5]
    assert drawn["middle"]["std"] == [1, 2] * 3
    assert "low" not in drawn


def test_a_cell_of_experts_has_median_and_ends():
    experts = pd.concat(
        [
            matrices(1, ("moe",), ("routed",), expert_index=expert, std=float(expert))
            for expert in range(5)
        ]
    ).assign(projection="up_proj")
    drawn = layer_map(in_map_order(experts))
    assert [each["label"] for each in drawn["columns"]] == ["up_proj"]
    assert drawn["cells"]["count"] == [5] and drawn["middle"]["std"] == [2]
    assert (drawn["low"]["std"], drawn["high"]["std"]) == ([0], [4])


def test_without_numbered_layers_there_is_no_map():
    rows = in_map_order(matrices(1).assign(layer_index=pd.NA))
    assert layer_map(rows) is None


def test_an_exponent_counts_only_if_its_fit_passes():
    rows = matrices(2).assign(alpha=3.0, alpha_passes=[True, False] * 2)
    assert layer_map(in_map_order(rows))["middle"]["alpha"] == [3, None] * 2


def test_matrices_of_experts_are_in_the_order_of_data():
    experts = pd.concat(
        [
            matrices(1, ("moe",), ("routed",)).assign(projection=name)
            for name in ("down_proj", "up_proj", "gate_proj")
        ]
    )
    drawn = layer_map(in_map_order(experts))
    labels = [each["label"] for each in drawn["columns"]]
    assert labels == ["gate_proj", "up_proj", "down_proj"]
