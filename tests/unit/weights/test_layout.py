"""Names, shapes and types of stored tensors → the layouts that say which matrices they hold."""

import pytest

from blockresearch.naming.roles import classify
from blockresearch.weights import layout as matrices
from blockresearch.weights.layout import Layout, Matrix, view


def layouts(*tensors):
    return matrices.layouts(tensors, classify(tensors, {}))


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
        "buffer",
        "values",
    ]
    assert matrices.matrices((8, 3, 5), Layout("matrix")) == (Matrix(8, 15),)


def test_a_pruned_weight_is_measured_without_its_mask():
    found = layouts(("fc1.weight_orig", (4, 4), "F32"), ("fc1.weight_mask", (4, 4), "F32"))
    assert found["fc1.weight_orig"].kind == "matrix"
    assert "without fc1.weight_mask" in found["fc1.weight_orig"].reason
    assert found["fc1.weight_mask"].kind == "buffer"


def test_no_shape_makes_a_million_experts():
    name = "model.layers.0.mlp.experts.down_proj"
    assert layouts((name, (10**6, 1, 1), "BF16"))[name].kind == "matrix"


def test_a_stack_of_experts_has_one_matrix_per_expert():
    name = "model.layers.0.mlp.experts.gate_up_proj"
    assert layouts((name, (3, 4, 5), "BF16"))[name].kind == "experts"
    assert view((3, 4, 5), "experts") == (12, 5)
    assert matrices.matrices((3, 4, 5), Layout("experts")) == (
        Matrix(4, 5, 0, expert=0),
        Matrix(4, 5, 20, expert=1),
        Matrix(4, 5, 40, expert=2),
    )


@pytest.mark.parametrize(
    ("codes", "shape", "dtype", "companion", "scales"),
    [
        ("p.qweight", (8, 8), "I32", "p.scales", (8,)),
        ("p.weight", (8, 8), "F8_E4M3", "p.weight_scale_inv", (3, 3)),
        ("p.weight", (8, 8), "U8", "p.weight.quant_map", (16,)),
        ("p.weight_packed", (8, 8), "I32", "p.weight_scale", (8, 3)),
        ("e.gate_up_proj_blocks", (2, 4, 1, 16), "U8", "e.gate_up_proj_scales", (2, 4)),
        ("p.weight", (8, 8), "U32", "p.biases", (8,)),
        ("p.weight", (8, 8), "U8", "p.weight_scale", (8,)),
        ("p.W_q", (8, 8), "U8", "p.scale", (8,)),
        ("p.codes", (8, 8, 2), "I16", "p.codebooks", (2, 256, 1, 8)),
        ("p.q_weight", (8, 8), "I32", "p.q_scale", (1, 1)),
    ],
)
def test_unknown_quantized_storage_is_not_measured(codes, shape, dtype, companion, scales):
    found = layouts((codes, shape, dtype), (companion, scales, "F32"))
    assert found[codes].kind == "unsupported" and "quantized" in found[codes].reason
    assert len(found[codes].reason) > 20


def test_codes_of_an_unknown_method_are_not_measured():
    tensors = [("p.weight", (4, 4), "U8"), ("q.weight", (4, 4), "BF16")]
    config = {"quantization_config": {"quant_method": "something_new"}}
    found = matrices.layouts(tensors, classify(tensors, config), config)
    assert found["p.weight"].kind == "unsupported"
    assert "something_new" in found["p.weight"].reason
    assert found["q.weight"].kind == "matrix"


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_8_bit_floats_without_scales_are_plain(dtype):
    found = layouts(("p.weight", (4, 4), dtype))
    assert found["p.weight"] == Layout("matrix")


def test_an_input_scale_is_a_companion():
    assert (
        layouts(("p.weight", (8, 8), "BF16"), ("p.input_scale", (), "F32"))["p.input_scale"].kind
        == "companion"
    )
