"""Ranks and scales of adapters, as the libraries that write the configs read them."""

import json
import math
import re

import pytest

from blockresearch.weights.adapters import scaling
from blockresearch.weights.adapters.scaling import Statements, Unknown

LAYERS = [
    f"model.layers.{n}.{m}" for n in (0, 1, 11) for m in ("self_attn.q_proj", "mlp.down_proj")
]

NAMES = [*LAYERS, "lm_head", "visual.blocks.1.attn.q_proj", "model.layers.1.self_attn.xq_proj"]

PATTERNS = [
    *(
        "q_proj",
        "self_attn.q_proj",
        "attn.q_proj",
        r"^model\.layers\.1\..*",
        "^lm_head",
        "lm_head$",
    ),
    *(
        r"layers\.1\.self_attn\.q_proj",
        r"model\.layers\.(1|11)\.mlp\..*",
        r".*\.1\..*",
        "q|lm_head",
    ),
    *("down_proj|q_proj", r"layers\.\d+\.mlp\.\w+", "", "model", r"(?:layers\.[0-9]\.)?mlp.*"),
]


def peft_matches(pattern, name):
    """`get_pattern_key` of peft 0.21.2."""
    return bool(re.match(rf"(.*\.)?({pattern})$", name))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_what_it_matches_in_peft(pattern):
    for name in NAMES:
        found = scaling.pattern_value({pattern: 1}, name, 0)
        assert found == int(peft_matches(pattern, name)), name


def test_the_first_key_that_matches_counts():
    config = {"lora_alpha": 2, "alpha_pattern": {r"layers\.1\..*": 64, "q_proj": 12}}
    scales = [scaling.peft_scale(config, name, 4, "lora_alpha") for name in NAMES]
    assert scales == [3, 0.5, 16, 16, 3, 0.5, 0.5, 3, 16]


def test_defaults_and_square_roots_are_those_of_peft():
    assert scaling.peft_rank({}, "x") == 8 and scaling.peft_scale({}, "x", 2, "alpha") == 4
    config = {"r": 4, "lora_alpha": 6, "use_rslora": True, "rank_pattern": {"x": 9}}
    assert scaling.peft_rank(config, "a.x") == 9 and scaling.peft_rank(config, "a.y") == 4
    assert scaling.peft_scale(config, "x", 9, "lora_alpha") == 2
    assert scaling.peft_scale(config, "x", 2, "lora_alpha") == 6 / math.sqrt(2)


# Python's engine takes hours for each of these.
ENDLESS = ["(a+)+b", "(a|aa)+b", "(.*a){30}", "(?:a?){40}" + "a" * 40, ".*" * 30 + "b"]


@pytest.mark.parametrize("pattern", [*ENDLESS, "(", "[", "a" * 3000, r"(a)\1"])
def test_a_pattern_without_bound_is_a_reason(pattern):
    name = "a" * 60 + ".q_proj"
    for config in ({"rank_pattern": {pattern: 2}}, {"rank_pattern": {"b": 1, pattern: 2}}):
        with pytest.raises(Unknown, match=r"pattern .* is not evaluated"):
            scaling.peft_rank(config, name)
    # An earlier key decides without it.
    assert scaling.peft_rank({"rank_pattern": {"q_proj": 3, pattern: 2}}, name) == 3


@pytest.mark.parametrize("value", [None, "x", 0, -1, True, 2.5, [], {}])
def test_a_rank_is_a_positive_whole_number(value):
    with pytest.raises(Unknown, match="rank"):
        scaling.peft_rank({"r": value}, "x")


@pytest.mark.parametrize("value", [None, "x", True, [], float("nan"), float("inf")])
def test_an_alpha_is_a_number(value):
    with pytest.raises(Unknown, match="alpha"):
        scaling.peft_scale({"lora_alpha": value}, "x", 2, "lora_alpha")


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("use_dora", True, "DoRA"),
        ("peft_type", "VERA", "VERA"),
        ("use_qalora", True, "use_qalora"),
        ("use_bdlora", {"nblocks": 2}, "use_bdlora"),
        ("kasa_config", {"beta": 1}, "kasa_config"),
        ("arrow_config", {"top_k": 2}, "arrow_config"),
        ("init_lora_weights", "pissa", "pissa"),
        ("init_lora_weights", "pissa_niter_4", "pissa"),
        ("init_lora_weights", "olora", "olora"),
        ("init_lora_weights", "corda", "corda"),
        ("init_lora_weights", "loftq", "loftq"),
        ("init_lora_weights", "a new one", "a new one"),
    ],
)
def test_a_variant_of_lora_is_a_reason(key, value, word):
    with pytest.raises(Unknown, match=word):
        scaling.check_method({"peft_type": "LORA", key: value}, "LoRA")


def test_what_leaves_the_product_as_it_is():
    config = {"use_rslora": True, "use_dora": False, "use_qalora": None, "lora_bias": True}
    for start in scaling.HARMLESS_STARTS:
        scaling.check_method(config | {"init_lora_weights": start}, "LoRA")
    scaling.check_method({"use_effective_conv2d": True}, "LoHa")


def test_parameters_of_a_module():
    config = {"target_parameters": ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"], "r": 2}
    keys = scaling.targets(config, "model.layers.0.mlp.experts.base_layer", 8)
    assert keys == [f"model.layers.0.mlp.experts.{name}_proj" for name in ("down", "gate_up")]
    assert scaling.targets_rank(config | {"lora_alpha": 6}, keys) == (2, 3)
    for other in ("model.layers.0.self_attn.q_proj", "model.layers.0.xmlp.experts", "experts"):
        assert not scaling.targets(config, other, 2)
    with pytest.raises(Unknown, match="several ranks or scales"):
        scaling.targets_rank(config | {"rank_pattern": {"down_proj": 4}}, keys)
    bare = {"target_parameters": ["down_proj"], "r": 2, "rank_pattern": {"q_proj": 4}}
    assert scaling.targets(bare, "mlp.experts", 8) == ["mlp.experts.down_proj"]
    # Its rank is that of a plain module.
    assert not scaling.targets(bare, "self_attn.q_proj", 4)


def test_settings_of_diffusers_are_in_the_header():
    text = {"unet.r": 4, "unet.lora_alpha": 8, "text_encoder.r": 2}
    said = Statements(None, {}, {"a": {"lora_adapter_metadata": json.dumps(text)}, "b": {}})
    assert scaling.peft_settings(said, "unet.attn.to_q", "a") == (
        {"r": 4, "lora_alpha": 8},
        "attn.to_q",
    )
    assert scaling.peft_settings(said, "unet.attn.to_q", "b") is None
    with pytest.raises(Unknown, match="states nothing about 'vae'"):
        scaling.peft_settings(said, "vae.attn.to_q", "a")
    for broken in ("[]", "{", "[" * 100_000, '"' + "x" * 2_000_000 + '"'):
        said = Statements(None, {}, {"a": {"lora_adapter_metadata": broken}})
        with pytest.raises(Unknown, match="not a JSON object"):
            scaling.peft_settings(said, "unet.x", "a")


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"rank": 4, "alpha": 16, "scale": 10}, "differ"),
        ({"rank": 8, "scale": 10}, "rank 8"),
        ({"rank": 4}, "no scale"),
        ({"rank": 4, "scale": "10"}, "scale '10'"),
        (None, "no scale"),
    ],
)
def test_mlx_states_its_scale(parameters, word):
    assert scaling.mlx_scale({"lora_parameters": {"rank": 4, "scale": 10}}, 4) == 10
    with pytest.raises(Unknown, match=word):
        scaling.mlx_scale({"lora_parameters": parameters}, 4)


def test_config_json_states_the_scale_of_its_adapters():
    config = {"vision_lora": {"r": 4, "lora_alpha": 8}, "audio_lora": {"r": 4}, "x_lora": 3}
    assert scaling.own_scale(config, "vision", 4) == 2
    assert [scaling.own_scale(config, name, 4) for name in ("audio", "x", "", "y")] == [None] * 4
    with pytest.raises(Unknown, match="rank 4"):
        scaling.own_scale(config, "vision", 5)
