"""Names of modules as patterns, and matrices that share a format."""

import re

from blockresearch.plans.matrices import Matrix, common_name, grouped, linear_matrices, patterns
from tests.unit.plans.examples import tables


def matrix(name, layer, is_expert=False):
    return Matrix(name, name, layer, "up_proj", 8, 8, 2, is_expert, {})


def test_patterns_match_exactly_their_modules():
    names = [f"model.layers.{n}.mlp.up_proj" for n in (1, 10, 11)]
    names.append("model.layers.1.mlp.down_proj")
    made = patterns(matrix(name, int(name.split(".")[2])) for name in names)
    assert len(made) == 2
    for layer in range(120):
        for end in ("up_proj", "down_proj"):
            name = f"model.layers.{layer}.mlp.{end}"
            found = [pattern for pattern in made if re.fullmatch(pattern, name)]
            assert len(found) == (name in names)


def test_experts_of_a_layer_are_one_pattern():
    names = [f"model.layers.3.mlp.experts.{n}.up_proj" for n in range(64)]
    (made,) = patterns(matrix(name, 3, is_expert=True) for name in names)
    assert all(re.fullmatch(made, name) for name in names)
    assert not re.fullmatch(made, "model.layers.4.mlp.experts.1.up_proj")


def test_matrices_that_are_stored_as_one_are_a_group():
    found = [[m.name for m in group] for group in grouped(linear_matrices(*tables(1))).values()]
    ends = [[name.rpartition(".")[2] for name in group] for group in found]
    assert ends == [
        ["q_proj", "k_proj", "v_proj"],
        ["o_proj"],
        ["gate_proj", "up_proj"],
        ["down_proj"],
    ]
    assert common_name(found[0]) == "model.layers.0.self_attn: q_proj, k_proj, v_proj"


def test_routed_experts_of_a_layer_are_a_group():
    params, matrices = tables(2, role="routed")
    assert len(grouped(linear_matrices(params, matrices))) == 2
