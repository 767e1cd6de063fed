"""Names of parameters of adapters: the module, the parameter, the adapter."""

import pytest

from blockresearch.naming.adapter_names import Parameter, adapted_modules, beside, parameter
from blockresearch.naming.roles import classify

Q = "model.layers.3.self_attn.q_proj"


@pytest.mark.parametrize(
    ("name", "module", "word", "adapter"),
    [
        (f"base_model.model.{Q}.lora_A.weight", f"base_model.model.{Q}", "lora_a", ""),
        (f"{Q}.lora_B.vision.weight", Q, "lora_b", "vision"),
        (f"{Q}.lora_a", Q, "lora_a", ""),
        (f"{Q}.lokr_w2_a", Q, "lokr_w2_a", ""),
        (f"{Q}.boft_R", Q, "boft_r", ""),
        (f"{Q}.oft_R.weight", Q, "oft_r", ""),
        (f"{Q}.glora_A.Xd", Q, "glora_a", "Xd"),
        ("unet.mid.attn1.to_q.lora.up.weight", "unet.mid.attn1.to_q", "lora_up", ""),
        (
            "unet.attn1.processor.to_q_lora.down.weight",
            "unet.attn1.processor.to_q",
            "lora_down",
            "",
        ),
        ("x.q_proj.lora_linear_layer.up.weight", "x.q_proj", "lora_up", ""),
        ("lora_unet_mid_attn1_to_q.lora_down.weight", "lora_unet_mid_attn1_to_q", "lora_down", ""),
    ],
)
def test_a_parameter_is_split_from_its_module(name, module, word, adapter):
    assert parameter(name) == Parameter(module, word, adapter)


def test_other_names_are_no_parameters_of_adapters():
    for name in (f"{Q}.weight", "lora_a", "model.explorer.weight", f"{Q}.alpha", ""):
        assert parameter(name) is None


def test_alpha_belongs_to_an_adapted_module():
    modules = adapted_modules([f"{Q}.lora_up.weight", "other.alpha", "other.weight"])
    assert modules == {Q}
    assert beside(f"{Q}.alpha", modules) == Parameter(Q, "lora_alpha", "")
    assert beside(f"{Q}.dora_scale", modules) == Parameter(Q, "lora_dora_scale", "")
    assert beside("other.alpha", modules) is None


@pytest.mark.parametrize(
    ("name", "layer", "block"),
    [
        (f"base_model.model.{Q}.hra_u", 3, "q_proj"),
        (f"base_model.model.{Q}.ia3_l", 3, "q_proj"),
        (f"base_model.model.{Q}.base_layer.lora_A.weight", 3, "q_proj"),
        ("lora_te_text_model_encoder_layers_11_mlp_fc1.lora_up.weight", 11, "up_proj"),
        ("lora_te_text_model_encoder_layers_4_self_attn_k_proj.hada_w1_a", 4, "k_proj"),
        ("transformer.transformer_blocks.7.attn.to_v.lora_B.weight", 7, "v_proj"),
        ("model.layers.5.mlp.switch_mlp.up_proj.lora_b", 5, "moe"),
    ],
)
def test_it_has_the_place_of_its_module(name, layer, block):
    role = classify([(name, (4, 4), "F32")], {})[name]
    assert (role.component, role.layer_index, role.block_type) == ("adapter", layer, block)
