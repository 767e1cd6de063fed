"""Cases of 4-bit floats: NVFP4, MXFP4, the modes of MLX."""

import numpy as np

from tests.cases.checkpoints import (
    E2M1,
    E4M3,
    Cases,
    Raw,
    brain,
    llama,
    mlp,
    pack_words,
    to_e4m3,
    without,
)

CASES = Cases()


@CASES.add
def nvfp4_stacks_packed_along_the_middle():
    """ModelOpt's export of Llama 4: experts are stored [in, out]."""
    random = np.random.default_rng(4)
    tensors, config = llama(hidden=64, seed=4)
    name = "model.layers.0.feed_forward.experts.gate_up_proj"
    codes = random.integers(0, 16, (3, 64, 48))
    scales = to_e4m3(random.uniform(0.5, 400, (3, 4, 48)))
    overall = random.uniform(1e-5, 2e-5, 3).astype("<f4")
    tensors |= {
        name: (codes[:, 0::2] | codes[:, 1::2] << 4).astype("u1"),
        f"{name}_weight_scale": Raw("F8_E4M3", scales),
        f"{name}_weight_scale_2": overall,
        f"{name}_input_scale": np.float32(1).reshape(()),
    }
    config |= {"model_type": "llama4_text", "num_local_experts": 3}
    config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    right = E2M1[codes] * E4M3[scales].repeat(16, 1) * overall[:, None, None]
    return tensors, config, {name: right}


@CASES.add
def modelopt_awq_is_named():
    tensors, config = llama(hidden=128, inter=128, seed=6)
    module = mlp(0, "gate_proj")
    tensors[f"{module}.weight"] = np.ones((64, 128), "u1")
    tensors[f"{module}.weight_scale"] = brain(np.ones((128, 1)))
    tensors[f"{module}.pre_quant_scale"] = brain(np.ones(128))
    config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}
    return tensors, config, {f"{module}.weight": "W4A16_AWQ"}


@CASES.add
def mlx_modes():
    """mlx pull request 2985: mxfp8 for all, mxfp4 and nvfp4 for one projection each."""
    random = np.random.default_rng(17)
    tensors, config = llama(hidden=64, inter=128, seed=17)
    config["quantization"] = {"mode": "mxfp8", "bits": 8, "group_size": 32}
    right = {}
    modes = {"gate_proj": ("mxfp8", 8), "down_proj": ("mxfp4", 4), "up_proj": ("nvfp4", 4)}
    for layer in range(2):
        for word, (mode, bits) in modes.items():
            size = 16 if mode == "nvfp4" else 32
            module = mlp(layer, word)
            rows, cols = tensors.pop(f"{module}.weight").shape
            codes = random.integers(0, 2**bits, (rows, cols)) & 0xF7
            powers = random.integers(118, 124, (rows, cols // size)).astype("u1")
            tensors |= {
                f"{module}.weight": pack_words(codes, bits),
                f"{module}.scales": powers,
            }
            scales = E4M3[powers] if mode == "nvfp4" else 2.0 ** (powers.astype(int) - 127)
            table = E4M3 if bits == 8 else E2M1
            right[f"{module}.weight"] = table[codes] * scales.repeat(size, 1)
            config["quantization"][module] = {"group_size": size, "bits": bits, "mode": mode}
    return tensors, config, right


@CASES.add
def mlx_mode_of_the_future_is_named():
    tensors, config, right = mlx_modes()
    config["quantization"] = {"mode": "mxfp5", "bits": 8, "group_size": 32}
    return tensors, config, dict.fromkeys(right, "mxfp5")


@CASES.add
def quark_mxfp4():
    """vllm pull request 40886 of Quark: `weight` U8 with `weight_scale` U8."""
    random = np.random.default_rng(28)
    tensors, config = llama(hidden=64, inter=128, seed=28)
    right = {}
    for layer in range(2):
        module = mlp(layer, "gate_proj")
        codes = random.integers(0, 16, (128, 64))
        powers = random.integers(118, 124, (128, 2)).astype("u1")
        tensors |= {
            f"{module}.weight": (codes[:, 0::2] | codes[:, 1::2] << 4).astype("u1"),
            f"{module}.weight_scale": powers,
        }
        right[f"{module}.weight"] = E2M1[codes] * np.repeat(2.0 ** (powers - 127.0), 32, axis=1)
    config["quantization_config"] = {"quant_method": "quark"}
    return tensors, config, right


@CASES.add
def fp4_experts_as_deepseek_stores_them():
    """DeepSeek-V4: `w1.weight` I8 of two codes a byte, `w1.scale` of powers of two."""
    random = np.random.default_rng(41)
    tensors, config = llama(hidden=64)
    module = "model.layers.0.ffn.experts.0.w1"
    codes, powers = random.integers(0, 16, (48, 64)), random.integers(118, 124, (48, 2))
    tensors |= {
        f"{module}.weight": (codes[:, 0::2] | codes[:, 1::2] << 4).astype("u1").view("i1"),
        f"{module}.scale": Raw("F8_E8M0", powers.astype("u1")),
    }
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    right = E2M1[codes] * (2.0 ** (powers - 127)).repeat(32, 1)
    return tensors, config, {f"{module}.weight": right}


def nvfp4(rows=128, settings=None, **beside):
    """One weight as ModelOpt and ComfyUI name it."""
    random = np.random.default_rng(42)
    tensors, config = llama(hidden=64, inter=128)
    module = mlp(0, "gate_proj")
    codes, scales = random.integers(0, 16, (rows, 64)), random.integers(40, 120, (rows, 4))
    tensors |= {
        f"{module}.weight": (codes[:, 0::2] | codes[:, 1::2] << 4).astype("u1"),
        f"{module}.weight_scale": Raw("F8_E4M3", scales.astype("u1")),
        f"{module}.weight_scale_2": np.array(1e-4, "<f4"),
    }
    pieces = {f"{module}.{end}": np.frombuffer(text, "u1") for end, text in beside.items()}
    if settings:
        config["quantization_config"] = settings
    right = E2M1[codes] * E4M3[scales].repeat(16, 1) * np.float32(1e-4)
    return tensors | pieces, config, {f"{module}.weight": right}


MIXED = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}


@CASES.add
def nvfp4_of_a_mixed_recipe():
    return nvfp4(settings=MIXED)


@CASES.add
def nvfp4_fused_with_a_scale_for_each_part():
    """Nothing says which rows are whose: parts of one projection may differ in size."""
    tensors, config, right = nvfp4(settings=MIXED)
    tensors[mlp(0, "gate_proj.weight_scale_2")] = np.array([1e-4, 2e-4], "<f4")
    return tensors, config, dict.fromkeys(right, "scale_2")


@CASES.add
def nvfp4_that_lost_its_scale_for_all():
    return without(nvfp4(settings=MIXED), "weight_scale_2")


@CASES.add
def nvfp4_of_comfyui_is_named():
    """ComfyUI issue 11822, Model-Optimizer pull request 1195: its scales are shuffled."""
    tensors, config, right = nvfp4(comfy_quant=b'{"format": "nvfp4"}')
    return tensors, config, dict.fromkeys(right, "ComfyUI's nvfp4")


@CASES.add
def nvfp4_of_an_unnamed_library_may_be_shuffled():
    tensors, config, right = nvfp4()
    return tensors, config, dict.fromkeys(right, "unnamed library")


@CASES.add
def nvfp4_of_an_unnamed_library_without_whole_tiles():
    return nvfp4(rows=120)


@CASES.add
def nvfp4_stacks_with_a_scale_for_each_expert():
    random = np.random.default_rng(44)
    tensors, config = llama(hidden=64)
    name = mlp(0, "experts.down_proj")
    codes, scales = random.integers(0, 16, (3, 32, 64)), random.integers(40, 120, (3, 32, 4))
    overall = random.uniform(5e3, 1e4, (3, 1, 1)).astype("<f4")
    tensors |= {
        f"{name}_packed": (codes[..., 0::2] | codes[..., 1::2] << 4).astype("u1"),
        f"{name}_scale": Raw("F8_E4M3", scales.astype("u1")),
        f"{name}_global_scale": overall,
        f"{name}_input_global_scale": np.ones((3, 1), "<f4"),
    }
    weights = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
    config["quantization_config"] = {
        **{"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    right = E2M1[codes] * E4M3[scales].repeat(16, 2) / overall
    return tensors, config, {f"{name}_packed": right}
