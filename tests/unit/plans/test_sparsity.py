"""Ratios of layers by exponents that are set."""

import pytest

from blockresearch.plans.plan import PlanError
from blockresearch.plans.sparsity import Settings, sparsity_plan
from tests.unit.plans.examples import tables


def ratios(settings, **more):
    return [
        each["sparsity"] for each in sparsity_plan(*tables(3, **more), settings).record["layers"]
    ]


def test_ratios_follow_the_exponents():
    assert ratios(Settings(0.5, 0.3)) == pytest.approx([0.35, 0.5, 0.65])


def test_equal_exponents_give_one_ratio():
    assert ratios(Settings(0.6, 0.3), alpha_hill=2.5) == pytest.approx([0.6, 0.6, 0.6])


def test_a_layer_is_never_pruned_entirely():
    with pytest.raises(PlanError, match=r"layer 2 would lose 117 %"):
        ratios(Settings(0.9, 0.3))


def test_without_exponents_there_is_a_reason():
    assert "exponent" in sparsity_plan(*tables(alpha_hill=None), Settings()).record["reason"]


def test_two_stacks_of_layers_have_no_recipe():
    params, matrices = tables()
    for table in (params, matrices):
        other = table["layer_index"] == 1
        names = table["param_name"].str.replace("model.", "model.encoder.", regex=False)
        table["param_name"] = table["param_name"].mask(other, names)
    assert "several stacks" in sparsity_plan(params, matrices, Settings()).record["reason"]
