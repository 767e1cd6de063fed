"""How stored tensors become matrices, and what is left out with a reason."""

import pytest

from workflow.lib import matrices, naming


def layouts(*tensors):
    return matrices.layouts(tensors, naming.classify(tensors, {}))


def test_plain_tensors():
    found = layouts(
        ("model.layers.0.self_attn.q_proj.weight", (4, 6), "BF16"),
        ("model.layers.0.input_layernorm.weight", (4,), "BF16"),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (8,), "F32"),
        ("conv.weight", (8, 3, 5), "F32"),
        ("counts", (3, 3), "I32"),
        ("mask", (3, 3), "BOOL"),
        ("nothing.weight", (0, 3), "F32"),
    )
    assert [layout.kind for layout in found.values()] == [
        "matrix",
        "values",
        "buffer",
        "matrix",
        "matrix",
        "values",
        "values",
    ]
    assert matrices.matrices((8, 3, 5), "matrix") == (matrices.Matrix("", 0, 8, 15),)


def test_a_stack_of_experts_has_one_matrix_per_expert():
    name = "model.layers.0.mlp.experts.gate_up_proj"
    assert layouts((name, (3, 4, 5), "BF16"))[name].kind == "experts"
    assert matrices.view((3, 4, 5), "experts") == (12, 5)
    assert matrices.matrices((3, 4, 5), "experts") == (
        matrices.Matrix("[0]", 0, 4, 5),
        matrices.Matrix("[1]", 20, 4, 5),
        matrices.Matrix("[2]", 40, 4, 5),
    )


@pytest.mark.parametrize(
    ("codes", "dtype", "companion"),
    [
        ("p.qweight", "I32", "p.scales"),
        ("p.weight", "F8_E4M3", "p.weight_scale_inv"),
        ("p.weight", "U8", "p.weight.quant_map"),
        ("p.weight_packed", "I32", "p.weight_scale"),
        ("experts.gate_up_proj_blocks", "U8", "experts.gate_up_proj_scales"),
        ("p.weight", "U32", "p.biases"),
    ],
)
def test_quantised_storage_is_told_not_measured(codes, dtype, companion):
    found = layouts((codes, (8, 8), dtype), (companion, (8,), "F32"))
    assert found[codes].kind == "unsupported" and "quantised" in found[codes].reason
    assert found[companion].kind == "companion" and codes in found[companion].reason


def test_an_input_scale_is_a_companion():
    assert (
        layouts(("p.weight", (8, 8), "BF16"), ("p.input_scale", (), "F32"))["p.input_scale"].kind
        == "companion"
    )
