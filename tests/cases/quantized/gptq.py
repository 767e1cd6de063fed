"""Cases of GPTQ, AutoRound and AWQ: words with zero points along the outputs."""

import numpy as np

from tests.cases.checkpoints import Cases, brain, llama, mlp, pack_words

CASES = Cases()


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


@CASES.add
def autoround_stores_zero_points_as_they_are():
    """auto-round issue 734, pull request 1857."""
    return gptq(8, quant_method="auto-round", packing_format="auto_round", sym=True)


@CASES.add
def autoround_gptqmodel_stores_them_as_they_are():
    packing = "auto_round:gptqmodel"
    return gptq(9, zero=9, quant_method="intel/auto-round", packing_format=packing, sym=False)


@CASES.add
def autoround_auto_gptq_stores_them_less_one():
    packing = "auto_round:auto_gptq"
    return gptq(7, quant_method="auto-round", packing_format=packing, sym=True)


@CASES.add
def autoround_of_one_layer_is_asymmetric():
    extra = {mlp(layer, "gate_proj"): {"sym": False} for layer in range(2)}
    packing = {"packing_format": "auto_round:gptq", "extra_config": extra}
    return gptq(8, zero=9, quant_method="auto-round", sym=True, **packing)


@CASES.add
def gptq_symmetric_with_the_middle_stored():
    """vllm pull request 38966: `checkpoint_format` is wrong, `sym` is right."""
    return gptq(8, g_idx=True, quant_method="gptq", checkpoint_format="gptq", sym=True)


@CASES.add
def gptq_v2_with_one_less_stored():
    return gptq(7, g_idx=True, quant_method="gptq", checkpoint_format="gptq_v2", sym=True)


@CASES.add
def gptq_with_its_settings_beside_config_json():
    tensors, config, right = gptq(9, zero=9)
    config["quantize_config.json"] = {"bits": 4, "sym": False, "checkpoint_format": "gptq_v2"}
    del config["quantization_config"]
    return tensors, config, right


@CASES.add
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


@CASES.add
def gptq_symmetric_with_another_zero_point():
    tensors, config, right = gptq(3, quant_method="gptq", sym=True)
    return tensors, config, dict.fromkeys(right, "sym")


@CASES.add
def gptq_without_any_config_and_asymmetric():
    tensors, config, right = gptq(3, g_idx=True, zero=4)
    del config["quantization_config"]
    return tensors, config, dict.fromkeys(right, "zero points")


@CASES.add
def gptq_planar_is_named():
    tensors, config, right = gptq(7, quant_method="gptq", checkpoint_format="gptq_p", sym=True)
    return tensors, config, dict.fromkeys(right, "gptq_p")


@CASES.add
def awq_gemv_is_named():
    tensors, config, right = gptq(7, quant_method="awq", version="gemv")
    return tensors, config, dict.fromkeys(right, "gemv")


@CASES.add
def gptq_of_which_a_column_has_no_group():
    tensors, config, right = gptq(7, g_idx=True, quant_method="gptq", sym=True)
    for name in right:
        tensors[name.replace("qweight", "g_idx")][3] = -1
    return tensors, config, dict.fromkeys(right, "g_idx")


@CASES.add
def gptq_in_activation_order_that_lost_its_groups():
    tensors, config, right = gptq(7, quant_method="gptq", sym=True, desc_act=True, group_size=16)
    for name in [name for name in tensors if name.endswith((".scales", ".qzeros"))]:
        tensors[name] = np.repeat(tensors[name], 2, axis=0)
    return tensors, config, dict.fromkeys(right, "g_idx")


@CASES.add
def svdquant_is_named():
    tensors, config = llama(hidden=64, inter=128)
    module = mlp(0, "gate_proj")
    tensors |= {
        f"{module}.qweight": np.ones((128, 32), "i1"),
        f"{module}.wscales": brain(np.ones((1, 128))),
        f"{module}.smooth_factor": brain(np.ones(64)),
    }
    return tensors, config, {f"{module}.qweight": "SVDQuant"}


@CASES.add
def codes_that_lost_all_that_explains_them():
    tensors, config = llama()
    name = mlp(0, "up_proj.qweight")
    tensors[name] = np.arange(4 * 64, dtype="<i4").reshape(4, 64)
    return tensors, config, {name: "not decoded"}


@CASES.add
def gptq_with_zero_points_that_are_no_integers():
    tensors, config, right = gptq(7)
    for layer in range(2):
        name = mlp(layer, "gate_proj.qzeros")
        tensors[name] = tensors[name].view("<f4")
    return tensors, config, dict.fromkeys(right, "integers")
