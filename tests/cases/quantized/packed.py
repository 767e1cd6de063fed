"""Cases of compressed-tensors' packed integers."""

import numpy as np

from tests.cases.checkpoints import (
    Cases,
    Raw,
    brain,
    from_bf16,
    llama,
    mlp,
    pack_dense,
    pack_words,
    to_bf16,
)
from tests.cases.quantized.sparse import SPARSE

CASES = Cases()


@CASES.add
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


@CASES.add
def packed_4_and_8_bits_in_one_file():
    """compressed-tensors pull request 702, llm-compressor issue 2118."""
    return packed(FOUR_AND_EIGHT, ["gate_proj", "down_proj"], pack_words)


@CASES.add
def packed_8_and_4_bits_in_one_file():
    return packed(FOUR_AND_EIGHT, ["down_proj", "gate_proj"], pack_words)


@CASES.add
def packed_4_and_8_bits_whose_targets_name_other_modules():
    tensors, config, right = packed(FOUR_AND_EIGHT, ["gate_proj", "down_proj"], pack_words)
    groups = config["quantization_config"]["config_groups"]
    groups["group_0"]["targets"], groups["group_1"]["targets"] = ["Linear"], ["re:language.*down"]
    return tensors, config, right


@CASES.add
def packed_in_other_bits_than_the_config_says():
    tensors, config, right = packed({"gate_proj": 8}, ["gate_proj"], pack_words)
    groups = config["quantization_config"]["config_groups"]
    groups["group_0"]["weights"]["num_bits"] = 4
    return tensors, config, dict.fromkeys(right, "weight_shape")


@CASES.add
def packed_3_bits_in_whole_codes():
    """compressed-tensors pull request 715: releases before it."""
    return packed({"gate_proj": 3}, ["gate_proj"], pack_words, hidden=320, version="0.13.0")


@CASES.add
def packed_3_bits_densely():
    return packed({"gate_proj": 3}, ["gate_proj"], pack_dense, hidden=320)


@CASES.add
def packed_6_bits_in_whole_codes_that_fit_both_ways():
    """Two words hold ten whole codes of six bits, and ten codes without gaps."""
    return packed({"gate_proj": 6}, ["gate_proj"], pack_words, hidden=8)


@CASES.add
def packed_6_bits_densely_that_fit_both_ways():
    return packed({"gate_proj": 6}, ["gate_proj"], pack_dense, hidden=8)


@CASES.add
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


@CASES.add
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


@CASES.add
def packed_in_activation_order_that_lost_its_groups():
    tensors, config, right = packed({"gate_proj": 4}, ["gate_proj"], pack_words, hidden=64)
    for name in right:
        scale = name.replace("_packed", "_scale")
        tensors[scale] = Raw("BF16", np.repeat(tensors[scale].codes, 2, axis=1))
    weights = config["quantization_config"]["config_groups"]["group_0"]["weights"]
    weights |= {"strategy": "group", "group_size": 32, "actorder": "group"}
    return tensors, config, dict.fromkeys(right, "g_idx")
