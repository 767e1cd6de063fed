"""What a matrix is compared with."""

import pytest

from blockresearch.report.findings.kinds import against_kind, named
from tests.unit.report.findings.samples import layers, matrices


def test_self_and_cross_attention_are_not_averaged():
    own = layers([8.7, 48, 50], "stable_rank", "k_proj", "{}.self", role="self")
    cross = layers([35, 36, 37], "stable_rank", "k_proj", "{}.cross", role="cross")
    rows = against_kind(matrices(own, cross), "stable_rank")
    assert rows.iloc[0]["param_name"] == "0.self"
    assert rows.iloc[0]["median"] == 48 and rows.iloc[0]["ratio"] == pytest.approx(8.7 / 48)
    assert named(rows.iloc[0], rows) == "self k_proj"


def test_two_matrices_are_no_reference():
    assert against_kind(matrices(layers([1, 9], "std")), "std").empty


def test_experts_are_named_by_projection():
    routed = layers([1, 1, 1], "std", "moe", role="routed")
    shared = layers([1, 1, 1], "std", "moe", role="shared")
    table = matrices(
        [row | {"projection": "up_proj"} for row in routed],
        [row | {"projection": "shared_up_proj"} for row in shared],
    )
    assert {named(row, table) for _, row in table.iterrows()} == {
        "routed up_proj",
        "shared up_proj",
    }
