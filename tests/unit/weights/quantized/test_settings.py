"""What configurations say about the quantization of a module, as their libraries read them."""

from blockresearch.weights.quantized import settings

MODULE = "model.layers.1.mlp.down_proj"


def test_groups_apply_by_name_pattern_and_class():
    def group(bits, *targets):
        return {"targets": list(targets), "weights": {"num_bits": bits}}

    groups = {
        "class": group(2, "Linear"),
        "pattern": group(3, "re:.*down_proj", "re:.*up_proj"),
        "name": group(4, MODULE),
    }

    def bits(**some):
        chosen = settings.config_groups({"config_groups": some}, [MODULE])
        return [each["weights"]["num_bits"] for each in chosen]

    assert bits(**groups) == [4]
    assert bits(a=groups["class"], b=groups["pattern"]) == [3]
    assert bits(a=groups["class"]) == [2]
    # Of several patterns the library takes the first by alphabet.
    assert bits(a=group(8, "re:.*proj"), b=groups["pattern"]) == [3, 8]
    assert bits(a=group(8, "re:.*q_proj"), b=group(5, "other")) == [5]
    assert bits(a=group(8, "re:.*q_proj")) == [8], "no target matches: all groups are possible"


def test_settings_of_a_module_override_the_model():
    extra = {"extra_config": {".*down.*": {"bits": 2}, MODULE: {"bits": 8}}}
    assert settings.of_module({"bits": 4, **extra}, MODULE)["bits"] == 8
    assert settings.of_module({"bits": 4, **extra}, "model.layers.0.mlp.down_proj")["bits"] == 2
    dynamic = {"dynamic": {r"-:.*attn": {}, r"+:.*layers\.1\.": {"bits": 3}}}
    assert settings.of_module({"bits": 4, **dynamic}, MODULE)["bits"] == 3
    assert settings.of_module({"bits": 4, "sym": True, MODULE: {"bits": 6}}, MODULE) == {
        **{"bits": 6, "sym": True, MODULE: {"bits": 6}}
    }


def test_a_file_beside_config_json_completes_it():
    beside = {"bits": 4, "sym": False, "checkpoint_format": "gptq_v2"}
    merged = settings.with_settings({"model_type": "llama"}, beside, "gptq")
    assert merged["quantization_config"] == {"quant_method": "gptq", **beside}
    own = {"quantization_config": {"quant_method": "gptq", "sym": True}}
    assert settings.with_settings(own, beside, "gptq")["quantization_config"]["sym"] is True
    awq = settings.with_settings({}, {"w_bit": 4, "q_group_size": 128}, "awq")
    assert awq["quantization_config"] == {"quant_method": "awq", "bits": 4, "group_size": 128}
    inner = {"producer": {}, "quantization": {"quant_algo": "NVFP4"}}
    assert settings.with_settings({}, inner, "modelopt")["quantization_config"] == {
        **{"quant_method": "modelopt", "quant_algo": "NVFP4"}
    }


def test_modules_that_are_left_out():
    listed = {"ignore": ["lm_head", "re:.*router.*"], "modules_to_not_convert": ["visual"]}
    for module in ("lm_head", "model.layers.0.router", "model.visual.blocks.0"):
        assert settings.is_left_out(listed, module)
    assert not settings.is_left_out(listed, MODULE)
