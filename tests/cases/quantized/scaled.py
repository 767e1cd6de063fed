"""Cases of codes of one byte with scales: FP8 and INT8."""

import numpy as np

from tests.cases.checkpoints import E4M3, Cases, Raw, from_bf16, llama, mlp, pack_words, to_e4m3
from tests.cases.quantized.packed import packed

CASES = Cases()


def fp8(is_lost, method="fp8"):
    """Block FP8 of all MLPs, of which some have lost their scales."""
    tensors, config = llama(hidden=64, inter=128, seed=38)
    right = {}
    for name in [name for name in tensors if "mlp" in name]:
        weights = from_bf16(tensors[name].codes)
        scale = np.float32(abs(weights).max() / 448)
        codes = to_e4m3(weights / scale)
        tensors[name] = Raw("F8_E4M3", codes)
        if is_lost(name):
            right[name] = "scale"
        else:
            tensors[f"{name}_scale_inv"] = np.full((1, 1), scale, "<f4")
            right[name] = E4M3[codes] * scale
    if method:
        config["quantization_config"] = {"quant_method": method, "weight_block_size": [128, 128]}
    return tensors, config, right


@CASES.add
def fp8_that_lost_one_scale():
    """vllm pull request 57108, unsloth issue 6200."""
    return fp8(lambda name: "layers.1.mlp.up_proj" in name)


@CASES.add
def fp8_that_lost_one_scale_without_a_config():
    return fp8(lambda name: "layers.1.mlp.up_proj" in name, method="")


@CASES.add
def fp8_that_lost_the_scales_of_one_kind():
    return fp8(lambda name: "gate_proj" in name)


@CASES.add
def fp8_that_lost_all_scales():
    return fp8(lambda name: True)


def scaled(codes, scales, settings, right, name="up_proj", config=None):
    """One weight of codes and scales with settings of compressed-tensors, or another config."""
    tensors, model = llama(hidden=codes.shape[1], inter=codes.shape[0], seed=9)
    module = mlp(0, name)
    tensors |= {f"{module}.weight": codes, f"{module}.weight_scale": scales}
    form = "int-quantized" if settings.get("type") == "int" else "float-quantized"
    model["quantization_config"] = config or {
        **{"quant_method": "compressed-tensors", "format": form},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": settings}},
    }
    return tensors, model, {f"{module}.weight": right}


def codes_and_scales(*shape, seed=9):
    random = np.random.default_rng(seed)
    codes = random.integers(-128, 128, (192, 288)).astype("i1")
    return codes, random.uniform(1e-3, 2e-3, shape).astype("<f4")


@CASES.add
def int8_asymmetric_that_lost_its_zero_points():
    codes, scales = codes_and_scales(192, 1)
    settings = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": False}
    return scaled(codes, scales, settings, "zero points")


@CASES.add
def int8_of_which_one_lost_its_scale_without_a_config():
    codes, scales = codes_and_scales(192, 1)
    tensors, config, right = scaled(codes, scales, {"type": "int"}, codes * scales)
    config.pop("quantization_config")
    name = mlp(1, "up_proj.weight")
    return tensors | {name: codes}, config, right | {name: "companions"}


@CASES.add
def int8_in_groups_that_are_no_power_of_two():
    codes, scales = codes_and_scales(192, 3)
    settings = {"num_bits": 8, "type": "int", "strategy": "group", "group_size": 96}
    return scaled(codes, scales, settings, codes * scales.repeat(96, 1))


def blocks_of_96(settings, right=None):
    codes, scales = codes_and_scales(2, 3)
    if right is None:
        right = E4M3[codes.view("u1") & 0xF7] * scales.repeat(96, 0).repeat(96, 1)
    return scaled(Raw("F8_E4M3", codes.view("u1") & 0xF7), scales, settings, right)


@CASES.add
def fp8_in_blocks_that_its_group_states():
    structure = {"strategy": "block", "block_structure": [96, 96]}
    return blocks_of_96({"num_bits": 8, "type": "float", **structure})


@CASES.add
def fp8_in_blocks_that_nothing_states():
    return blocks_of_96({"num_bits": 8, "type": "float"}, "scale")


@CASES.add
def fp8_and_packed_int4_in_one_recipe():
    """compressed-tensors' `mixed-precision`: each group has its own format."""
    tensors, config, right = packed({"gate_proj": 4}, ["gate_proj"], pack_words)
    module = mlp(0, "down_proj")
    codes = to_e4m3(np.random.default_rng(6).normal(0, 100, (32, 64)))
    scales = np.random.default_rng(6).uniform(1e-4, 2e-4, (32, 1)).astype("<f4")
    tensors |= {f"{module}.weight": Raw("F8_E4M3", codes), f"{module}.weight_scale": scales}
    settings = config["quantization_config"]
    settings["format"] = "mixed-precision"
    settings["config_groups"]["group_0"]["targets"] = ["Linear"]
    settings["config_groups"]["group_1"] = {
        **{"targets": ["re:.*down_proj$"], "format": "float-quantized"},
        "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
    }
    return tensors, config, right | {f"{module}.weight": E4M3[codes] * scales}


@CASES.add
def int8_that_comfyui_rotated_is_named():
    """comfy-kitchen pull request 63: ConvRot."""
    codes, scales = codes_and_scales(192, 1)
    tensors, config, right = scaled(codes, scales, {"type": "int"}, "convrot")
    piece = b'{"format": "int8_tensorwise", "convrot": true}'
    tensors[f"{mlp(0, 'up_proj')}.comfy_quant"] = np.frombuffer(piece, "u1")
    config.pop("quantization_config")
    return tensors, config, right


def fp8_with(right, config=None, **beside):
    """One weight of 8-bit floats with other tensors in its module."""
    tensors, model = llama()
    module = mlp(0, "up_proj")
    codes = to_e4m3(np.random.default_rng(14).normal(0, 100, (64, 32)))
    tensors[f"{module}.weight"] = Raw("F8_E4M3", codes)
    tensors |= {f"{module}.{leaf}": tensor for leaf, tensor in beside.items()}
    right = right if isinstance(right, str) else E4M3[codes] * right
    return tensors, model | (config or {}), {f"{module}.weight": right}


SCALE = np.array([2e-4], "<f4")


@CASES.add
def fp8_of_tensorrt_llm():
    """ModelOpt's export to TensorRT-LLM; its config names the algorithm alone."""
    factors = {"weights_scaling_factor": SCALE, "activation_scaling_factor": SCALE}
    return fp8_with(SCALE[0], {"quantization": {"quant_algo": "FP8"}}, **factors)


@CASES.add
def fp8_with_a_scale_of_an_unknown_name():
    return fp8_with("not decoded", weight_amax=SCALE)


@CASES.add
def fp8_with_a_scale_of_truth_values():
    return fp8_with("scale", weight_scale=np.array([True]))


@CASES.add
def fp8_with_a_complex_scale():
    return fp8_with("scale", weight_scale=Raw("C64", SCALE.astype("<c8").view("<u8")))


@CASES.add
def fp8_fused_with_a_scale_for_each_part():
    """Three scales for q, k and v: nothing stored says which rows are whose."""
    codes, scales = codes_and_scales(3)
    codes = Raw("F8_E4M3", codes.view("u1") & 0xF7)
    return scaled(codes, scales, {"num_bits": 8, "type": "float"}, "scale")
