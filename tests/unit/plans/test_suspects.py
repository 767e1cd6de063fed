"""Weights that stand out, planted one by one."""

import json

import pytest

from blockresearch.plans.suspects import suspects_plan
from tests.unit.plans.examples import tables

NAME = "model.layers.0.mlp.down_proj.weight"


def planted(column, value, name=NAME):
    params, matrices = tables()
    for table in (params, matrices):
        if column in table:
            table.loc[table["param_name"] == name, column] = value
    return suspects_plan(params, matrices, [])


def test_a_usual_model_has_no_suspects():
    made = suspects_plan(*tables(), [])
    assert made.record["suspects"] == []
    assert not made.files


@pytest.mark.parametrize(
    ("column", "value", "reason", "protect"),
    [
        ("max_over_rms", 150.0, "super weight", True),
        ("max_over_rms", 25.0, "its largest weight stands out", True),
        ("kurtosis_excess", 12.0, "heavier tails", True),
        ("alpha", 1.5, "a power-law exponent below 2", False),
        ("nan_count", 3, "values that are not finite", False),
    ],
)
def test_what_stands_out_is_named(column, value, reason, protect):
    made = planted(column, value)
    (found,) = made.record["suspects"]
    assert found["tensor"] == NAME
    assert reason in found["reason"]
    assert found["protect"] == protect
    modules = made.files.get("modules_to_not_convert.json")
    assert (modules is not None) == protect
    if modules:
        assert json.loads(modules) == [NAME.removesuffix(".weight")]


def test_what_the_audit_found_is_listed():
    finding = {"severity": "warning", "check": "zeros", "where": "a.weight", "evidence": "all 0"}
    made = suspects_plan(*tables(), [finding, {**finding, "severity": "note"}])
    (found,) = made.record["suspects"]
    assert found["reason"] == "audit: zeros: all 0"
