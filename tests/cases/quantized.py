"""Quantized checkpoints as public reports describe them, each with its right weights.

A case is a function that returns (tensors, config, right): `right` gives the weights of a stored
tensor, or the word that the reason of an unsupported one contains. Sources are public issues and
pull requests of the libraries that write or read these files.
"""

import json

import numpy as np

from tests.cases.checkpoints import (
    E2M1,
    E4M3,
    Raw,
    brain,
    from_bf16,
    llama,
    pack_dense,
    pack_words,
    to_bf16,
    to_e4m3,
)

CASES = {}


def case(build):
    CASES[build.__name__] = build
    return build


def mlp(layer, name):
    return f"model.layers.{layer}.mlp.{name}"


NF4 = np.array(
    [
        *(-1, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0),
        *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1),
    ],
    "<f4",
)


def nf4(random, shape, name, dtype="U8", view="u1"):
    """Pieces of an NF4 weight whose bytes are stored as another type."""
    size = int(np.prod(shape))
    codes = random.integers(0, 16, size).astype("u1")
    absmax = random.uniform(0.02, 0.05, size // 64).astype("<f4")
    weights = (NF4[codes].reshape(-1, 64) * absmax[:, None]).reshape(shape)
    packed = (codes[0::2] << 4 | codes[1::2]).astype("u1").view(view).reshape(-1, 1)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(shape)}
    pieces = {
        name: Raw(dtype, packed),
        f"{name}.absmax": absmax,
        f"{name}.quant_map": NF4,
        f"{name}.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), "u1"),
    }
    return pieces, weights


def storage(dtype, view):
    tensors, config = llama(seed=1)
    name = mlp(0, "gate_proj.weight")
    pieces, weights = nf4(np.random.default_rng(1), (64, 32), name, dtype, view)
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors | pieces, config, {name: weights}


@case
def nf4_stored_as_bf16():
    """bitsandbytes pull request 1295: `bnb_4bit_quant_storage`."""
    return storage("BF16", "<u2")


@case
def nf4_stored_as_f32():
    return storage("F32", "<u4")


@case
def nf4_stored_as_f16():
    return storage("F16", "<u2")


@case
def nf4_stored_as_i8():
    return storage("I8", "i1")


@case
def nf4_over_stacks_of_experts():
    """unsloth-zoo pull requests 527 and 809: the shape is in quant_state."""
    experts, inter, hidden = 4, 32, 64
    random = np.random.default_rng(20)
    tensors, config = llama(hidden=hidden, inter=inter, seed=20)
    right = {}
    for layer in range(2):
        for word in ("gate_proj", "up_proj", "down_proj"):
            tensors.pop(mlp(layer, f"{word}.weight"))
        for word, shape in (("gate_up_proj", (2 * inter, hidden)), ("down_proj", (hidden, inter))):
            name = mlp(layer, f"experts.{word}")
            pieces, right[name] = nf4(random, (experts, *shape), name)
            tensors |= pieces
    config |= {"model_type": "qwen3_moe", "num_experts": experts}
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors, config, right


def kept_2_of_4(weights):
    keep = np.zeros(weights.shape, bool)
    for start in range(0, weights.shape[1], 4):
        top = np.argsort(-abs(weights[:, start : start + 4]), axis=1)[:, :2]
        np.put_along_axis(keep[:, start : start + 4], top, True, axis=1)
    return keep


SPARSE = {"quant_method": "compressed-tensors", "format": "dense"}


@case
def sparse_2_of_4():
    """compressed-tensors pull request 250."""
    random = np.random.default_rng(2)
    tensors, config = llama()
    right = {}
    for word in ("gate_proj", "up_proj"):
        module = mlp(0, word)
        weights = from_bf16(to_bf16(random.normal(0, 0.02, (64, 32))))
        keep = kept_2_of_4(weights)
        tensors.pop(f"{module}.weight")
        tensors |= {
            f"{module}.compressed": brain(weights[keep].reshape(64, -1)),
            f"{module}.bitmask": np.packbits(keep, axis=1, bitorder="little"),
            f"{module}.shape": np.array([[64], [32]], "<i8"),
        }
        right[f"{module}.compressed"] = weights * keep
    config["quantization_config"] = SPARSE | {"sparsity_config": {"format": "sparse-24-bitmask"}}
    return tensors, config, right


@case
def sparse_fp8_with_scales_and_a_ragged_mask():
    random = np.random.default_rng(22)
    tensors, config = llama(hidden=36)
    module = mlp(1, "gate_proj")
    keep = random.random((64, 36)) < 0.3
    codes = to_e4m3(random.normal(0, 100, (64, 36)))
    scales = random.uniform(1e-4, 2e-4, (64, 1)).astype("<f4")
    tensors.pop(f"{module}.weight")
    counts = keep.sum(axis=1)
    tensors |= {
        f"{module}.compressed": Raw("F8_E4M3", codes[keep]),
        f"{module}.bitmask": np.packbits(keep, axis=1, bitorder="little"),
        f"{module}.shape": np.array([64, 36], "<i8"),
        f"{module}.row_offsets": (np.cumsum(counts) - counts).astype("<i8"),
        f"{module}.weight_scale": scales,
    }
    config["quantization_config"] = SPARSE | {"format": "float-quantized"}
    return tensors, config, {f"{module}.compressed": E4M3[codes] * keep * scales}


@case
def marlin_24_is_named():
    tensors, config = llama(hidden=64, inter=128)
    module = mlp(0, "gate_proj")
    tensors.pop(f"{module}.weight")
    tensors |= {
        f"{module}.weight_packed": np.zeros((2, 256), "<i4"),
        f"{module}.scale_packed": np.ones((1, 128), "<f2"),
        f"{module}.meta": np.ones((8, 64), "<i2"),
    }
    config["quantization_config"] = SPARSE | {"format": "marlin-24"}
    return tensors, config, {f"{module}.weight_packed": "marlin-24"}


def gptq(stored, g_idx=False, zero=8, **settings):
    """4 bits with zero point 8, of which `stored` is stored."""
    random = np.random.default_rng(3)
    tensors, config = llama(seed=3)
    right = {}
    for layer in range(2):
        module = mlp(layer, "gate_proj")
        tensors.pop(f"{module}.weight")
        codes = random.integers(0, 16, (32, 64))
        scales = random.uniform(0.002, 0.004, (1, 64)).astype("<f2")
        tensors |= {
            f"{module}.qweight": pack_words(codes.T, 4).T.copy().view("<i4"),
            f"{module}.qzeros": pack_words(np.full((1, 64), stored), 4).view("<i4"),
            f"{module}.scales": scales,
        }
        if g_idx:
            tensors[f"{module}.g_idx"] = np.zeros(32, "<i4")
        right[f"{module}.qweight"] = ((codes - zero) * scales.astype("<f4")).T
    config["quantization_config"] = {"bits": 4, "group_size": 32} | settings
    return tensors, config, right


@case
def autoround_stores_zero_points_as_they_are():
    """auto-round issue 734, pull request 1857."""
    return gptq(8, quant_method="auto-round", packing_format="auto_round", sym=True)


@case
def autoround_gptqmodel_stores_them_as_they_are():
    packing = "auto_round:gptqmodel"
    return gptq(9, zero=9, quant_method="intel/auto-round", packing_format=packing, sym=False)


@case
def autoround_auto_gptq_stores_them_less_one():
    packing = "auto_round:auto_gptq"
    return gptq(7, quant_method="auto-round", packing_format=packing, sym=True)


@case
def autoround_of_one_layer_is_asymmetric():
    extra = {mlp(layer, "gate_proj"): {"sym": False} for layer in range(2)}
    packing = {"packing_format": "auto_round:gptq", "extra_config": extra}
    return gptq(8, zero=9, quant_method="auto-round", sym=True, **packing)


@case
def gptq_symmetric_with_the_middle_stored():
    """vllm pull request 38966: `checkpoint_format` is wrong, `sym` is right."""
    return gptq(8, g_idx=True, quant_method="gptq", checkpoint_format="gptq", sym=True)


@case
def gptq_v2_with_one_less_stored():
    return gptq(7, g_idx=True, quant_method="gptq", checkpoint_format="gptq_v2", sym=True)


@case
def gptq_with_its_settings_beside_config_json():
    tensors, config, right = gptq(9, zero=9)
    config["quantize_config.json"] = {"bits": 4, "sym": False, "checkpoint_format": "gptq_v2"}
    del config["quantization_config"]
    return tensors, config, right


@case
def gptq_of_which_one_layer_has_other_bits():
    """GPTQModel's `dynamic`: without `g_idx` the shapes alone leave it open."""
    tensors, config, right = gptq(7, quant_method="gptq", sym=True)
    random = np.random.default_rng(33)
    module = mlp(1, "gate_proj")
    codes = random.integers(0, 256, (32, 64))
    tensors[f"{module}.qweight"] = pack_words(codes.T, 8).T.copy().view("<i4")
    tensors[f"{module}.qzeros"] = pack_words(np.full((1, 64), 127), 8).view("<i4")
    scales = tensors[f"{module}.scales"].astype("<f4")
    right[f"{module}.qweight"] = ((codes - 128) * scales).T
    config["quantization_config"]["dynamic"] = {r"+:.*layers\.1\..*gate.*": {"bits": 8}}
    return tensors, config, right


@case
def gptq_symmetric_with_another_zero_point():
    tensors, config, right = gptq(3, quant_method="gptq", sym=True)
    return tensors, config, dict.fromkeys(right, "sym")


@case
def gptq_without_any_config_and_asymmetric():
    tensors, config, right = gptq(3, g_idx=True, zero=4)
    del config["quantization_config"]
    return tensors, config, dict.fromkeys(right, "zero points")


@case
def gptq_planar_is_named():
    tensors, config, right = gptq(7, quant_method="gptq", checkpoint_format="gptq_p", sym=True)
    return tensors, config, dict.fromkeys(right, "gptq_p")


@case
def awq_gemv_is_named():
    tensors, config, right = gptq(7, quant_method="awq", version="gemv")
    return tensors, config, dict.fromkeys(right, "gemv")


def packed(widths, order, pack, hidden=32, seed=8, **more):
    """By channel: `widths` are bits of a projection, `order` the groups of the config."""
    tensors, config = llama(hidden=hidden, seed=seed)
    right = {}
    for layer in range(2):
        for word, bits in widths.items():
            module, top = mlp(layer, word), 2 ** (bits - 1)
            weights = from_bf16(tensors.pop(f"{module}.weight").codes)
            largest = abs(weights).max(1, keepdims=True)
            scales = from_bf16(to_bf16(largest / (top - 1)))
            codes = np.clip(np.rint(weights / scales), -top, top - 1).astype(int)
            tensors |= {
                f"{module}.weight_packed": pack(codes + top, bits).view("<i4"),
                f"{module}.weight_scale": brain(scales),
                f"{module}.weight_shape": np.array(weights.shape, "<i8"),
            }
            right[f"{module}.weight_packed"] = codes * scales
    groups = {
        f"group_{i}": {
            "targets": [f"re:.*{word}"],
            "weights": {"num_bits": widths[word], "type": "int", "strategy": "channel"},
        }
        for i, word in enumerate(order)
    }
    config["quantization_config"] = {
        **{"quant_method": "compressed-tensors", "format": "pack-quantized"},
        **{"config_groups": groups, **more},
    }
    return tensors, config, right


FOUR_AND_EIGHT = {"gate_proj": 4, "down_proj": 8}


@case
def packed_4_and_8_bits_in_one_file():
    """compressed-tensors pull request 702, llm-compressor issue 2118."""
    return packed(FOUR_AND_EIGHT, ["gate_proj", "down_proj"], pack_words)


@case
def packed_8_and_4_bits_in_one_file():
    return packed(FOUR_AND_EIGHT, ["down_proj", "gate_proj"], pack_words)


@case
def packed_4_and_8_bits_whose_targets_name_other_modules():
    tensors, config, right = packed(FOUR_AND_EIGHT, ["gate_proj", "down_proj"], pack_words)
    groups = config["quantization_config"]["config_groups"]
    groups["group_0"]["targets"], groups["group_1"]["targets"] = ["Linear"], ["re:language.*down"]
    return tensors, config, right


@case
def packed_in_other_bits_than_the_config_says():
    tensors, config, right = packed({"gate_proj": 8}, ["gate_proj"], pack_words)
    groups = config["quantization_config"]["config_groups"]
    groups["group_0"]["weights"]["num_bits"] = 4
    return tensors, config, dict.fromkeys(right, "weight_shape")


@case
def packed_3_bits_in_whole_codes():
    """compressed-tensors pull request 715: releases before it."""
    return packed({"gate_proj": 3}, ["gate_proj"], pack_words, hidden=320, version="0.13.0")


@case
def packed_3_bits_densely():
    return packed({"gate_proj": 3}, ["gate_proj"], pack_dense, hidden=320)


@case
def packed_6_bits_in_whole_codes_that_fit_both_ways():
    """Two words hold ten whole codes of six bits, and ten codes without gaps."""
    return packed({"gate_proj": 6}, ["gate_proj"], pack_words, hidden=8)


@case
def packed_6_bits_densely_that_fit_both_ways():
    return packed({"gate_proj": 6}, ["gate_proj"], pack_dense, hidden=8)


@case
def packed_stacks_of_experts():
    """vllm pull request 40886, transformers issue 47407: bare parameters."""
    experts, hidden = 4, 64
    random = np.random.default_rng(18)
    tensors, config = llama(hidden=hidden, seed=18)
    right = {}
    for layer in range(2):
        for word in ("gate_proj", "up_proj", "down_proj"):
            tensors.pop(mlp(layer, f"{word}.weight"))
        for word, (rows, cols) in {"gate_up_proj": (64, 64), "down_proj": (64, 32)}.items():
            name = f"model.layers.{layer}.experts.{word}"
            codes = random.integers(0, 16, (experts, rows, cols))
            scales = from_bf16(to_bf16(random.uniform(0.001, 0.002, (experts, rows, cols // 32))))
            tensors |= {
                f"{name}_packed": pack_words(codes, 4).view("<i4"),
                f"{name}_scale": brain(scales),
                f"{name}_shape": np.array([experts, rows, cols], "<i8"),
            }
            right[f"{name}_packed"] = (codes - 8) * np.repeat(scales, 32, axis=2)
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
    config |= {"model_type": "gemma4_text", "num_experts": experts}
    config["quantization_config"] = {
        **{"quant_method": "compressed-tensors", "format": "pack-quantized"},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    return tensors, config, right


@case
def packed_asymmetric_stacks_of_three_bits():
    random = np.random.default_rng(19)
    tensors, config = llama(hidden=64, seed=19)
    name = mlp(0, "experts.down_proj.weight")
    codes, zeros = random.integers(0, 8, (3, 20, 64)), random.integers(0, 8, (3, 20, 2))
    scales = random.uniform(0.001, 0.002, (3, 20, 2)).astype("<f4")
    packed_zeros = pack_dense(zeros.transpose(0, 2, 1).copy(), 3).transpose(0, 2, 1)
    tensors |= {
        f"{name}_packed": pack_dense(codes, 3).view("<i4"),
        f"{name}_scale": scales,
        f"{name}_zero_point": packed_zeros.copy().view("<i4"),
        f"{name}_shape": np.array([20, 64], "<i8"),
    }
    weights = {"num_bits": 3, "type": "int", "group_size": 32, "symmetric": False}
    config["quantization_config"] = {
        **{"quant_method": "compressed-tensors", "format": "pack-quantized"},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
    }
    right = (codes - zeros.repeat(32, 2)) * scales.repeat(32, 2)
    return tensors, config, {f"{name}_packed": right}


@case
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


@case
def modelopt_awq_is_named():
    tensors, config = llama(hidden=128, inter=128, seed=6)
    module = mlp(0, "gate_proj")
    tensors[f"{module}.weight"] = np.ones((64, 128), "u1")
    tensors[f"{module}.weight_scale"] = brain(np.ones((128, 1)))
    tensors[f"{module}.pre_quant_scale"] = brain(np.ones(128))
    config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}
    return tensors, config, {f"{module}.weight": "W4A16_AWQ"}


@case
def experts4bit_are_left_out():
    """bitsandbytes pull request 1965: the shape is nowhere in the file."""
    tensors, config = llama(seed=5)
    name = mlp(0, "experts.gate_up_proj")
    tensors |= {name: np.ones((4, 1024), "u1"), f"{name}_absmax": np.ones((4, 32), "<f4")}
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors, config, {name: "bitsandbytes"}


@case
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


@case
def mlx_mode_of_the_future_is_named():
    tensors, config, right = mlx_modes()
    config["quantization"] = {"mode": "mxfp5", "bits": 8, "group_size": 32}
    return tensors, config, dict.fromkeys(right, "mxfp5")


@case
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


@case
def fp8_that_lost_one_scale():
    """vllm pull request 57108, unsloth issue 6200."""
    return fp8(lambda name: "layers.1.mlp.up_proj" in name)


@case
def fp8_that_lost_one_scale_without_a_config():
    return fp8(lambda name: "layers.1.mlp.up_proj" in name, method="")


@case
def fp8_that_lost_the_scales_of_one_kind():
    return fp8(lambda name: "gate_proj" in name)


@case
def fp8_that_lost_all_scales():
    return fp8(lambda name: True)


# Companions that are lost, and settings that headers alone do not give.


def without(case, *ends):
    """A case that lost all tensors of these endings; none of its weights can be read."""
    tensors, config, right = case
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(ends)}
    return kept, config, dict.fromkeys(right, ends[0].strip("._"))


@case
def nf4_that_lost_the_scales_of_its_scales():
    tensors, config, right = storage("U8", "u1")
    (name,) = right
    tensors[f"{name}.absmax"] = np.arange(32, dtype="u1")
    return tensors, config, {name: "absmax"}


@case
def nf4_with_scales_for_blocks_of_another_size():
    """Half as many would be needed: which elements each is for, nothing says."""
    tensors, config, right = storage("U8", "u1")
    name = mlp(0, "gate_proj.weight.quant_state.bitsandbytes__nf4")
    state = json.loads(tensors[name].tobytes()) | {"blocksize": 128}
    tensors[name] = np.frombuffer(json.dumps(state).encode(), "u1")
    return tensors, config, dict.fromkeys(right, "scales for blocks")


@case
def nf4_that_lost_its_table():
    return without(storage("U8", "u1"), ".quant_map")


@case
def gptq_of_which_a_column_has_no_group():
    tensors, config, right = gptq(7, g_idx=True, quant_method="gptq", sym=True)
    for name in right:
        tensors[name.replace("qweight", "g_idx")][3] = -1
    return tensors, config, dict.fromkeys(right, "g_idx")


@case
def gptq_in_activation_order_that_lost_its_groups():
    tensors, config, right = gptq(7, quant_method="gptq", sym=True, desc_act=True, group_size=16)
    for name in [name for name in tensors if name.endswith((".scales", ".qzeros"))]:
        tensors[name] = np.repeat(tensors[name], 2, axis=0)
    return tensors, config, dict.fromkeys(right, "g_idx")


@case
def packed_in_activation_order_that_lost_its_groups():
    tensors, config, right = packed({"gate_proj": 4}, ["gate_proj"], pack_words, hidden=64)
    for name in right:
        scale = name.replace("_packed", "_scale")
        tensors[scale] = Raw("BF16", np.repeat(tensors[scale].codes, 2, axis=1))
    weights = config["quantization_config"]["config_groups"]["group_0"]["weights"]
    weights |= {"strategy": "group", "group_size": 32, "actorder": "group"}
    return tensors, config, dict.fromkeys(right, "g_idx")


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


@case
def int8_asymmetric_that_lost_its_zero_points():
    codes, scales = codes_and_scales(192, 1)
    settings = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": False}
    return scaled(codes, scales, settings, "zero points")


@case
def int8_in_groups_that_are_no_power_of_two():
    codes, scales = codes_and_scales(192, 3)
    settings = {"num_bits": 8, "type": "int", "strategy": "group", "group_size": 96}
    return scaled(codes, scales, settings, codes * scales.repeat(96, 1))


def blocks_of_96(settings, right=None):
    codes, scales = codes_and_scales(2, 3)
    if right is None:
        right = E4M3[codes.view("u1") & 0xF7] * scales.repeat(96, 0).repeat(96, 1)
    return scaled(Raw("F8_E4M3", codes.view("u1") & 0xF7), scales, settings, right)


@case
def fp8_in_blocks_that_its_group_states():
    structure = {"strategy": "block", "block_structure": [96, 96]}
    return blocks_of_96({"num_bits": 8, "type": "float", **structure})


@case
def fp8_in_blocks_that_nothing_states():
    return blocks_of_96({"num_bits": 8, "type": "float"}, "scale")


@case
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


@case
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


@case
def nvfp4_of_a_mixed_recipe():
    return nvfp4(settings=MIXED)


@case
def nvfp4_fused_with_a_scale_for_each_part():
    """Nothing says which rows are whose: parts of one projection may differ in size."""
    tensors, config, right = nvfp4(settings=MIXED)
    tensors[mlp(0, "gate_proj.weight_scale_2")] = np.array([1e-4, 2e-4], "<f4")
    return tensors, config, dict.fromkeys(right, "scale_2")


@case
def nvfp4_that_lost_its_scale_for_all():
    return without(nvfp4(settings=MIXED), "weight_scale_2")


@case
def nvfp4_of_comfyui_is_named():
    """ComfyUI issue 11822, Model-Optimizer pull request 1195: its scales are shuffled."""
    tensors, config, right = nvfp4(comfy_quant=b'{"format": "nvfp4"}')
    return tensors, config, dict.fromkeys(right, "ComfyUI's nvfp4")


@case
def nvfp4_of_an_unnamed_library_may_be_shuffled():
    tensors, config, right = nvfp4()
    return tensors, config, dict.fromkeys(right, "unnamed library")


@case
def nvfp4_of_an_unnamed_library_without_whole_tiles():
    return nvfp4(rows=120)


@case
def int8_that_comfyui_rotated_is_named():
    """comfy-kitchen pull request 63: ConvRot."""
    codes, scales = codes_and_scales(192, 1)
    tensors, config, right = scaled(codes, scales, {"type": "int"}, "convrot")
    piece = b'{"format": "int8_tensorwise", "convrot": true}'
    tensors[f"{mlp(0, 'up_proj')}.comfy_quant"] = np.frombuffer(piece, "u1")
    config.pop("quantization_config")
    return tensors, config, right


@case
def svdquant_is_named():
    tensors, config = llama(hidden=64, inter=128)
    module = mlp(0, "gate_proj")
    tensors |= {
        f"{module}.qweight": np.ones((128, 32), "i1"),
        f"{module}.wscales": brain(np.ones((1, 128))),
        f"{module}.smooth_factor": brain(np.ones(64)),
    }
    return tensors, config, {f"{module}.qweight": "SVDQuant"}


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


@case
def fp8_of_tensorrt_llm():
    """ModelOpt's export to TensorRT-LLM; its config names the algorithm alone."""
    factors = {"weights_scaling_factor": SCALE, "activation_scaling_factor": SCALE}
    return fp8_with(SCALE[0], {"quantization": {"quant_algo": "FP8"}}, **factors)


@case
def fp8_with_a_scale_of_an_unknown_name():
    return fp8_with("not decoded", weight_amax=SCALE)


@case
def fp8_with_a_scale_of_truth_values():
    return fp8_with("scale", weight_scale=np.array([True]))


@case
def fp8_with_a_complex_scale():
    return fp8_with("scale", weight_scale=Raw("C64", SCALE.astype("<c8").view("<u8")))


@case
def codes_that_lost_all_that_explains_them():
    tensors, config = llama()
    name = mlp(0, "up_proj.qweight")
    tensors[name] = np.arange(4 * 64, dtype="<i4").reshape(4, 64)
    return tensors, config, {name: "not decoded"}


@case
def gptq_with_zero_points_that_are_no_integers():
    tensors, config, right = gptq(7)
    for layer in range(2):
        name = mlp(layer, "gate_proj.qzeros")
        tensors[name] = tensors[name].view("<f4")
    return tensors, config, dict.fromkeys(right, "integers")


@case
def fp8_fused_with_a_scale_for_each_part():
    """Three scales for q, k and v: nothing stored says which rows are whose."""
    codes, scales = codes_and_scales(3)
    codes = Raw("F8_E4M3", codes.view("u1") & 0xF7)
    return scaled(codes, scales, {"num_bits": 8, "type": "float"}, "scale")


@case
def int8_of_an_old_kernel_is_named():
    """bitsandbytes' weight_format: 0 is rows, 2 is the order of a Turing kernel."""
    tensors, config = llama(hidden=64)
    module = mlp(0, "gate_proj")
    tensors |= {
        f"{module}.weight": np.ones((64, 64), "i1"),
        f"{module}.SCB": np.ones(64, "<f4"),
        f"{module}.weight_format": np.array(2, "u1"),
    }
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    return tensors, config, {f"{module}.weight": "LLM.int8 other than rows"}


@case
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
