"""Checkpoints of every supported format in one run: the numbers are those of the script by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.tables.io import read_table
from tests.conftest import write_safetensors
from tests.unit.weights.test_reading import CASES, DATA
from tests.workflow.conftest import copy_of_the_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "head_dim": 8}


def quantized(case):
    tensors = {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }
    return tensors, {"quantization_config": CASES[case]["config"]}


def plain(shapes, config):
    random = np.random.default_rng(0)
    tensors = {
        name: ("F32", list(shape), random.normal(size=shape).astype("<f4").tobytes())
        for name, shape in shapes.items()
    }
    return tensors, config


LAYER = "model.layers.0."
FORMATS = {case: quantized(case) for case in CASES} | {
    "fused_qkv": plain(
        {
            LAYER + "self_attn.qkv_proj.weight": (64, 32),
            LAYER + "mlp.gate_up_proj.weight": (96, 32),
        },
        {"model_type": "phi3", **HEADS},
    ),
    "transposed": plain(
        {"h.0.attn.c_attn.weight": (32, 96), "h.0.mlp.c_fc.weight": (32, 128)},
        {"model_type": "gpt2", "n_embd": 32, "n_head": 4},
    ),
    "stacked_experts": plain(
        {
            LAYER + "mlp.experts.gate_up_proj": (3, 48, 32),
            LAYER + "mlp.experts.down_proj": (3, 32, 24),
        },
        {"model_type": "qwen3_5_moe", "hidden_size": 32, "moe_intermediate_size": 24},
    ),
    "adapter": plain(
        {
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (4, 32),
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": (40, 4),
        },
        {},
    ),
}


def write(folder, name):
    tensors, config = FORMATS[name]
    is_adapter = name == "adapter"
    write_safetensors(
        folder / ("adapter_model.safetensors" if is_adapter else "model.safetensors"), tensors
    )
    (folder / "config.json").write_text(json.dumps(config))
    if is_adapter:
        adapter = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
        (folder / "adapter_config.json").write_text(json.dumps(adapter))


def test_workflow_and_script_agree_on_every_format(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    for name in FORMATS:
        write(project.folder / name, name)
    results = {name: project.folder / f"results/local--{name}" for name in FORMATS}
    targets = [folder.relative_to(project.folder) / "params.csv" for folder in results.values()]
    run = project.snakemake("--config", f"models={json.dumps(list(FORMATS))}", "--", *targets)
    assert run.code == 0, run.text
    for name, folder in results.items():
        by_hand = analyze_folder(str(project.folder / name), Settings(1e-6), 1, "now")
        for table in ("params", "matrices"):
            found = read_table(folder / f"{table}.parquet", table)
            wanted = getattr(by_hand, table)
            same = [c for c in wanted if c not in ("model", "model_path", "created_at")]
            pd.testing.assert_frame_equal(found[same], wanted[same], obj=f"{name} {table}")
        assert len(read_table(folder / "matrices.parquet", "matrices")) > 0, name
    split = read_table(results["fused_qkv"] / "matrices.parquet", "matrices")
    assert {"q_proj", "k_proj", "v_proj", "gate_proj", "up_proj"} == set(split["block_type"])
