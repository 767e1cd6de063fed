"""Files of all engines, matched as each tool matches its patterns.

tests/plans reads them with the tools themselves, if these can be installed.
"""

import json
import re

import pytest

from blockresearch.plans.engine import KEPT
from blockresearch.plans.engines import auto_round, gptqmodel, torchao
from blockresearch.plans.engines.registry import ENGINES
from blockresearch.plans.quantization import Settings, quantization_plan
from tests.unit.plans.examples import size, tables


def by_compressed_tensors(files, name):
    config = json.loads(files["compressed_tensors.json"])
    recipe = json.loads(files["llmcompressor_recipe.yaml"])["quant_stage"]["quant_modifiers"]
    assert recipe["QuantizationModifier"]["config_groups"].keys() == config["config_groups"].keys()
    matched = [
        group.removeprefix("group_").upper()
        for group, scheme in config["config_groups"].items()
        if any(re.match(target.removeprefix("re:"), name) for target in scheme["targets"])
    ]
    if any(re.match(f"{word.removeprefix('re:')}$", name) for word in config["ignore"]):
        matched.append(KEPT)
    return matched


def by_gptqmodel(files, name):
    config = json.loads(files["quantize_config.json"])
    setting = {key: config[key] for key in ("bits", "group_size", "sym", "desc_act")}
    for key, value in config["dynamic"].items():
        if re.match(key[2:], name):
            if key.startswith("-:"):
                return [KEPT]
            setting |= value
            break
    return [format for format, known in gptqmodel.SETTINGS.items() if known == setting]


def by_llama_cpp(files, name):
    _, _, layer, part, leaf = name.split(".")
    word = leaf.replace("_proj", "").replace("o", "output") if leaf == "o_proj" else leaf[:-5]
    tensor = f"blk.{layer}.{'attn' if part == 'self_attn' else 'ffn'}_{word}.weight"
    rules = [line.split("=", 1) for line in files["tensor_types.txt"].split()]
    found = [kind for pattern, kind in rules if re.search(pattern.lower(), tensor)]
    return [{"q4_k": "Q4_K", "q8_0": "Q8_0", "mxfp4": "MXFP4", "bf16": KEPT}[f] for f in found]


def by_auto_round(files, name):
    config = json.loads(files["layer_config.json"])
    # AutoRound escapes every dot, whatever is before it.
    keys = {key: key.replace(".", "\\.") for key in config}
    found = [setting for key, setting in config.items() if re.search(keys[key], name)]
    return [next(f for f, known in auto_round.SETTINGS.items() if known == s) for s in found]


def by_torchao(files, name):
    config = json.loads(files["fqn_to_config.json"])["_data"]["fqn_to_config"]
    found = [value for key, value in config.items() if re.fullmatch(key[3:], name)]
    return [f for f, known in torchao.CONFIGS.items() if known in found] or [KEPT]


MATCHES = {
    "compressed-tensors": by_compressed_tensors,
    "gptqmodel": by_gptqmodel,
    "llama.cpp": by_llama_cpp,
    "auto-round": by_auto_round,
    "torchao": by_torchao,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bits", [6, 11])
def test_each_matrix_is_matched_by_its_format_alone(engine, bits):
    params, matrices = tables(12)
    settings = Settings(engine, bits=bits, protect=("first_layer",))
    made = quantization_plan(params, matrices, size(params), settings)
    assert len({m["format"] for m in made.record["matrices"]}) > 1
    for each in made.record["matrices"]:
        assert MATCHES[engine](made.files, each["name"]) == [each["format"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_format_is_larger_than_what_is_stored(engine):
    params, matrices = tables()
    made = quantization_plan(params, matrices, size(params), Settings(engine))
    for each in made.record["uniform"]:
        assert 4 < each["bits"] < 9
