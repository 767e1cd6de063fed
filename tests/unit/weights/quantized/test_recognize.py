"""What becomes of each tensor of a quantized module, by headers alone."""

import pytest

from blockresearch.weights.quantized.recognize import recognize

METHOD = "quant_method"
PACKED = {
    **{METHOD: "compressed-tensors", "format": "pack-quantized"},
    "config_groups": {"g": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32}}},
}
# Tensors (name, shape, dtype); names of owners that are read, and of owners that are not with a
# word of the reason. All others are companions, but for those named `plain`.
CASES = {
    "state of bitsandbytes lost": (
        {METHOD: "bitsandbytes"},
        [
            ("p.weight", (64, 1), "BF16"),
            ("p.weight.absmax", (2,), "F32"),
            ("p.weight.quant_map", (16,), "F32"),
        ],
        {"p.weight": "quant_state"},
    ),
    "mask of a sparse weight lost": (
        {METHOD: "compressed-tensors"},
        [("p.compressed", (64, 16), "BF16"), ("p.shape", (2,), "I64")],
        {"p.compressed": "bitmask missing"},
    ),
    "scale of a stack lost": (
        {METHOD: "fp8"},
        [
            ("e.gate_up_proj", (4, 64, 64), "F8_E4M3"),
            ("e.down_proj", (4, 64, 64), "F8_E4M3"),
            ("e.down_proj_scale_inv", (4, 1, 1), "F32"),
            ("e.gate_up_proj_input_scale", (), "F32"),
        ],
        {"e.down_proj": "", "e.gate_up_proj": "scale is missing"},
    ),
    "bare parameters of many kinds": (
        PACKED,
        [
            ("e.gate_up_proj_packed", (4, 16, 8), "I32"),
            ("e.gate_up_proj_scale", (4, 16, 2), "BF16"),
            ("e.gate_up_proj_zero_point", (4, 2, 2), "I32"),
            ("e.gate_up_proj_lookup", (4, 16), "U8"),
            ("e.gate_up_proj_plain_bias", (4, 16), "BF16"),
        ],
        {"e.gate_up_proj_packed": ""},
    ),
    "scales that do not fit": (
        PACKED,
        [("e.gate_up_proj_packed", (4, 16, 8), "I32"), ("e.gate_up_proj_scale", (4, 3, 2), "F32")],
        {"e.gate_up_proj_packed": "do"},
    ),
    "AWQ of other bits": (
        {METHOD: "awq", "bits": 8, "version": "gemm"},
        [
            ("p.qweight", (32, 8), "I32"),
            ("p.qzeros", (1, 8), "I32"),
            ("p.scales", (1, 32), "F16"),
        ],
        {"p.qweight": "quantized by AWQ of 8 bits, which is not decoded"},
    ),
    "HQQ": (
        {METHOD: "hqq"},
        [("p.W_q", (8, 64), "U8"), ("p.meta", (3,), "U8"), ("p.zero", (8, 1), "F16")],
        {"p.W_q": "HQQ"},
    ),
    "quanto": (
        {METHOD: "quanto"},
        [("p.weight._data", (8, 64), "I8"), ("p.weight._scale", (8, 1), "F16")],
        {"p.weight._data": "quanto"},
    ),
    "BitNet": (
        {METHOD: "bitnet"},
        [("p.weight", (8, 64), "U8"), ("p.weight_scale", (1,), "BF16")],
        {"p.weight": "BitNet"},
    ),
    "several readings of MLX without a config": (
        {},
        [
            ("p.weight", (8, 8), "U32"),
            ("p.scales", (8, 1), "BF16"),
            ("p.biases", (8, 1), "BF16"),
        ],
        {"p.weight": "4 bits in groups of 64 and 8 bits in groups of 32"},
    ),
    "integers beside GPTQ": (
        {METHOD: "gptq", "bits": 4, "group_size": 32},
        [
            ("p.qweight", (4, 32), "I32"),
            ("p.qzeros", (1, 4), "I32"),
            ("p.scales", (1, 32), "F16"),
            ("p.table", (4, 4), "I32"),
            ("p.plain_bias", (32,), "F16"),
        ],
        {"p.qweight": ""},
    ),
    "names that only look like scales": (
        {},
        [
            ("l.0.plain_layer_scale", (64,), "F32"),
            ("plain.scale", (64,), "F32"),
            ("plain.shape", (2,), "I64"),
            ("plain.per_expert_scale", (4,), "F32"),
        ],
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_companions_stay_companions(case):
    config, tensors, owners = CASES[case]
    found = recognize(tensors, {"quantization_config": config} if config else {})
    assert set(found.schemes) == {name for name, reason in owners.items() if not reason}
    assert set(found.unsupported) == {name for name, reason in owners.items() if reason}
    for name, reason in found.unsupported.items():
        assert owners[name] in reason
    others = {name for name, _, _ in tensors} - set(owners)
    assert set(found.owners) == {name for name in others if "plain" not in name}
    assert set(found.owners.values()) <= set(owners)
