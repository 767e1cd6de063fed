"""Small checkpoints of many formats through the analysis by hand: the same weights, however stored.

What is compared is always computed from plain arrays by NumPy, or from the plain way to store them.
"""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from blockresearch.audit import audit
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.measurement import merge
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.safetensors.dtypes import DTYPES, decode, nbytes
from blockresearch.tokens.rows import read_rows
from tests.conftest import bf16, write_safetensors
from tests.unit.weights.test_reading import CASES, DATA

NOW = "2026-01-01T00:00:00Z"
WIDTH, INNER, EXPERTS = 16, 24, 3
KEY = ["layer_index", "component", "block_type", "projection", "expert_index"]


def analyze(folder, tensors, config, name="model.safetensors"):
    """Analysis of float32 arrays (or of (dtype, shape, bytes)) saved as one file."""
    stored = {
        key: value
        if isinstance(value, tuple)
        else ("F32", list(value.shape), np.ascontiguousarray(value, "<f4").tobytes())
        for key, value in tensors.items()
    }
    write_safetensors(folder / name, stored)
    (folder / "config.json").write_text(json.dumps(config))
    return analyze_folder(str(folder), Settings(1e-6, chunk_bytes=200), 1, NOW)


def comparable(result):
    """The matrices without what says where they are stored, in the order of their roles."""
    table = result.matrices.drop(columns=["param_name", "slice", "piece"])
    return table.sort_values(KEY, ignore_index=True)


@pytest.fixture(scope="module")
def experts():
    random = np.random.default_rng(0)
    return {
        "gate": random.normal(size=(EXPERTS, INNER, WIDTH)).astype("<f4"),
        "up": random.normal(size=(EXPERTS, INNER, WIDTH)).astype("<f4"),
        "down": random.normal(size=(EXPERTS, WIDTH, INNER)).astype("<f4"),
    }


@pytest.fixture(scope="module")
def per_expert(experts, tmp_path_factory):
    """As Mixtral's files have them: w1, w3 and w2 of each expert."""
    prefix = "model.layers.0.block_sparse_moe.experts."
    tensors = {
        f"{prefix}{number}.{word}.weight": experts[part][number]
        for number in range(EXPERTS)
        for word, part in (("w1", "gate"), ("w2", "down"), ("w3", "up"))
    }
    config = {"model_type": "mixtral", "hidden_size": WIDTH, "num_local_experts": EXPERTS}
    return analyze(tmp_path_factory.mktemp("plain"), tensors, config)


def halves(experts):
    return np.concatenate((experts["gate"], experts["up"]), axis=1)


def alternating(experts):
    return np.stack((experts["gate"], experts["up"]), axis=2).reshape(EXPERTS, -1, WIDTH)


def across(stack):
    return stack.transpose(0, 2, 1)


STACKS = {
    "linear": ("mixtral", lambda e: {"gate_up_proj": halves(e), "down_proj": e["down"]}),
    "transposed": (
        "llama4",
        lambda e: {"gate_up_proj": across(halves(e)), "down_proj": across(e["down"])},
    ),
    "interleaved": (
        "gpt_oss",
        lambda e: {"gate_up_proj": across(alternating(e)), "down_proj": across(e["down"])},
    ),
    "apart": (
        "step3",
        lambda e: {
            "gate_proj.weight": e["gate"],
            "up_proj.weight": e["up"],
            "down_proj.weight": e["down"],
        },
    ),
    "apart, transposed": (
        "x",
        lambda e: {f"{part}_proj": across(e[part]) for part in ("gate", "up", "down")},
    ),
}


@pytest.mark.parametrize("layout", STACKS)
def test_experts_have_equal_matrices_in_any_storage(layout, experts, per_expert, tmp_path):
    family, stored = STACKS[layout]
    prefix = "model.layers.0.mlp.experts."
    tensors = {prefix + name: array for name, array in stored(experts).items()}
    # Shapes of gate and down alone do not tell the two orders apart.
    width = {"hidden_size": WIDTH} if layout.startswith("apart") else {}
    result = analyze(tmp_path, tensors, {"model_type": family, **width})
    assert len(result.matrices) == 3 * EXPERTS
    pd.testing.assert_frame_equal(comparable(result), comparable(per_expert), rtol=1e-9)


def test_stacks_of_dbrx(experts, per_expert, tmp_path):
    prefix = "transformer.blocks.0.ffn.experts.mlp."
    tensors = {
        prefix + "w1": experts["gate"].reshape(-1, WIDTH),
        prefix + "v1": experts["up"].reshape(-1, WIDTH),
        prefix + "w2": across(experts["down"]).reshape(-1, WIDTH),
    }
    config = {"model_type": "dbrx", "d_model": WIDTH, "ffn_config": {"moe_num_experts": EXPERTS}}
    result = analyze(tmp_path, tensors, config)
    pd.testing.assert_frame_equal(comparable(result), comparable(per_expert), rtol=1e-9)


def test_biases_of_stacks_are_values(tmp_path):
    prefix = "model.layers.0.mlp.experts."
    tensors = {
        prefix + "gate_up_proj": np.ones((2, 8, 6)),
        prefix + "gate_up_proj_bias": np.ones((2, 6)),
        prefix + "down_proj": np.ones((2, 3, 8)),
        prefix + "down_proj_bias": np.ones((2, 8)),
    }
    result = analyze(tmp_path, tensors, {"model_type": "gpt_oss", "hidden_size": 8})
    assert len(result.params) == 4 and len(result.matrices) == 2 * 3
    biases = result.params[result.params["is_bias"]]
    assert len(biases) == 2 and biases["rank"].isna().all()


HEADS, PAIRS, SIZE = 8, 2, 2
GPT = {"n_embd": WIDTH, "n_head": HEADS}


def test_gpt2_stores_its_weights_transposed(tmp_path):
    random = np.random.default_rng(2)
    up, down = random.normal(size=(64, WIDTH)), random.normal(size=(WIDTH, 64))
    tensors = {
        "h.0.attn.c_attn.weight": random.normal(size=(WIDTH, 3 * WIDTH)),
        "h.0.attn.c_proj.weight": random.normal(size=(WIDTH, WIDTH)),
        "h.0.mlp.c_fc.weight": up.T,
        "h.0.mlp.c_proj.weight": down.T,
        "h.0.attn.bias": np.ones((1, 1, 4, 4)),
    }
    result = analyze(tmp_path, tensors, {"model_type": "gpt2", **GPT})
    for table in (result.params, result.matrices):
        shapes = table.set_index("block_type")[["rows", "cols"]]
        assert tuple(shapes.loc["up_proj"]) == up.shape
        assert tuple(shapes.loc["down_proj"]) == down.shape
    row = result.params.set_index("block_type").loc["up_proj"]
    norms = np.linalg.norm(up, axis=1)
    assert row["row_norm_cv"] == pytest.approx(norms.std() / norms.mean(), rel=1e-5)
    assert row["shape"] == [16, 64]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert ledger.set_index("param_name").loc["h.0.attn.bias", "status"] == "buffer"


def test_modules_may_have_different_expert_counts(experts, tmp_path):
    prefix = "model.layers.0.mlp.experts."
    padded = np.concatenate((halves(experts), np.zeros((1, 2 * INNER, WIDTH))))
    tensors = {prefix + "gate_up_proj": padded, prefix + "down_proj": experts["down"]}
    result = analyze(tmp_path, tensors, {"model_type": "longcat_flash"})
    counts = result.matrices.groupby("projection").size().to_dict()
    assert counts == {"gate_proj": EXPERTS + 1, "up_proj": EXPERTS + 1, "down_proj": EXPERTS}


@pytest.mark.parametrize("case", CASES)
def test_quantized_weights_are_measured_dequantized(case, tmp_path):
    stored = {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }
    result = analyze(tmp_path, stored, {"quantization_config": CASES[case]["config"]})
    wanted = DATA[case].astype(float)
    row = result.params.iloc[0]
    assert (len(result.params), row["numel"]) == (1, wanted.size)
    assert (row["rows"], row["cols"]) == (wanted.size // wanted.shape[-1], wanted.shape[-1])
    assert row["std"] == pytest.approx(wanted.std(), rel=2e-3)
    assert row["dtype"] in ("U8", "I8", "I32", "U32", "F8_E4M3") and row["quantisation"]
    size = sum(len(data) for _, _, data in stored.values())
    assert row["bits_per_weight"] == pytest.approx(8 * size / wanted.size)
    norms = [np.linalg.norm(m, 2) for m in wanted.reshape(-1, *wanted.shape[-2:])]
    assert result.matrices["spectral_norm"].tolist() == pytest.approx(norms, rel=2e-3)
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert sorted(ledger["status"])[1:] == ["companion"] * (len(stored) - 1)


def damaged(case, change):
    """The tensors of a quantized weight that contradict each other."""
    stored = {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }
    change(stored)
    return stored


def data(name, value):
    """A change of the bytes of one tensor, all of them `value` (its length: of a U8 vector)."""

    def change(stored):
        dtype, shape, old = stored[name]
        stored[name] = ("U8", [9], value * 9) if dtype == "U8" else (dtype, shape, value * len(old))

    return change


CONTRADICTIONS = {
    "scales of a wrong shape": (
        "fp8_block",
        lambda t: t.update({"p.weight_scale_inv": ("F32", [5, 7], bytes(4 * 35))}),
        r"\[5, 7\] do not fit",
    ),
    "no zero points": ("gptq_4", lambda t: t.pop("p.qzeros"), "p.qzeros missing"),
    "two sets of scales": (
        "fp8_block",
        lambda t: t.update({"p.weight_scale": ("F32", [], bytes(4))}),
        "both p.weight_scale_inv and p.weight_scale claim it",
    ),
    "stored twice": (
        "gptq_4",
        lambda t: t.update({"p.weight": ("F32", [2, 2], bytes(16))}),
        "p.weight is stored as well",
    ),
    "groups beyond the scales": ("gptq_4", data("p.g_idx", b"\x07"), "contradictory: g_idx"),
    "an unreadable state": (
        "bitsandbytes_nf4_64",
        data("p.weight.quant_state.bitsandbytes__nf4", b"\xff"),
        "contradictory: its quant_state",
    ),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_only_the_contradictory_is_unsupported(what, tmp_path):
    case, change, reason = CONTRADICTIONS[what]
    stored = damaged(case, change) | {"lm_head.weight": ("F32", [2, 4], bytes(32))}
    write_safetensors(tmp_path / "model.safetensors", stored)
    config = {"quantization_config": CASES[case]["config"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, NOW)
    numel = result.params.set_index("param_name")["numel"]
    ledger = merge.coverage(result.manifest, numel, merge.refused(result.params, result.spectra))
    assert sorted(ledger["param_name"]) == sorted(stored)
    rows = ledger.set_index("param_name")
    (owner,) = rows.index[rows["status"] == "unsupported"]
    assert owner in ("p.weight", "p.qweight")
    assert re.search(reason, rows.loc[owner, "reason"])
    found = audit.audit(result.manifest, result.params, ledger)["findings"]
    assert ("warning", "contradictory", owner) in [
        (f["severity"], f["check"], f["where"]) for f in found
    ]
    plain = {"lm_head.weight"} | ({"p.weight"} & set(stored) - {owner})
    assert set(numel.index) == plain and rows.loc[list(plain), "status"].eq("analysed").all()
    assert rows.drop([owner, *plain])["status"].eq("companion").all()


def test_a_block_may_claim_more_than_any_memory(tmp_path):
    case = "bitsandbytes_nf4_64"
    stored = damaged(case, lambda tensors: None)
    state = "p.weight.quant_state.bitsandbytes__nf4"
    text = re.sub(rb'("blocksize": ?)64', rb"\g<1>64000000000000", stored[state][2])
    stored[state] = ("U8", [len(text)], text)
    stored["p.weight.absmax"] = ("F32", [1], stored["p.weight.absmax"][2][:4])
    write_safetensors(tmp_path / "model.safetensors", stored)
    config = {"quantization_config": CASES[case]["config"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, NOW)
    assert "p.weight" in set(result.params["param_name"])


def test_a_contradictory_embedding_is_a_reason(tmp_path):
    stored = damaged("bitsandbytes_nf4_64", CONTRADICTIONS["an unreadable state"][1])
    named = {name.replace("p.", "model.embed_tokens.", 1): t for name, t in stored.items()}
    write_safetensors(tmp_path / "model.safetensors", named)
    config = {"quantization_config": CASES["bitsandbytes_nf4_64"]["config"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    manifest = describe_folder(tmp_path, NOW)
    rows, reason = read_rows(manifest, lambda name: str(tmp_path / name))
    assert rows is None
    assert "model.embed_tokens.weight is not read: its quant_state" in reason


def test_the_ledger_excludes_padding_of_words(tmp_path):
    case = next(case for case in CASES if "p.weight_shape" in CASES[case]["tensors"])
    rows, cols = 8, 12  # two words of eight codes hold a row
    tensors = {
        "p.weight_packed": ("I32", [rows, 2], bytes(8 * rows)),
        "p.weight_scale": ("F32", [rows, 1], np.ones(rows, "<f4").tobytes()),
        "p.weight_shape": ("I64", [2], np.array([rows, cols], "<i8").tobytes()),
    }
    groups = {"group_0": {"weights": {"num_bits": 4, "strategy": "channel"}}}
    config = {**CASES[case]["config"], "config_groups": groups}
    result = analyze(tmp_path, tensors, {"quantization_config": config})
    assert result.params["numel"].tolist() == [rows * cols]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert ledger.set_index("param_name").loc["p.weight_packed", "numel"] == rows * cols


def test_a_quantized_stack_has_expert_matrices(tmp_path):
    random = np.random.default_rng(3)
    blocks = random.integers(0, 256, (2, 12, 1, 16), dtype=np.uint8)
    scales = random.integers(120, 125, (2, 12, 1), dtype=np.uint8)
    down = random.integers(0, 256, (2, 32, 1, 16), dtype=np.uint8)
    prefix = "model.layers.0.mlp.experts."
    tensors = {
        f"{prefix}gate_up_proj_blocks": ("U8", list(blocks.shape), blocks.tobytes()),
        f"{prefix}gate_up_proj_scales": ("U8", list(scales.shape), scales.tobytes()),
        f"{prefix}down_proj_blocks": ("U8", list(down.shape), down.tobytes()),
        f"{prefix}down_proj_scales": ("U8", [2, 32, 1], bytes([120]) * 64),
    }
    result = analyze(tmp_path, tensors, {"model_type": "gpt_oss", "hidden_size": 32})
    table = result.matrices
    assert table.groupby("projection").size().to_dict() == {
        "gate_proj": 2,
        "up_proj": 2,
        "down_proj": 2,
    }
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
    low_first = np.stack((values[blocks & 15], values[blocks >> 4]), axis=-1).reshape(2, 12, 32)
    wanted = low_first * 2.0 ** (scales.astype(int) - 127)
    gate = table[(table["projection"] == "gate_proj") & (table["expert_index"] == 1)].iloc[0]
    assert gate["mean"] == pytest.approx(wanted[1, ::2].mean())
    assert gate["spectral_norm"] == pytest.approx(np.linalg.norm(wanted[1, ::2], 2), rel=1e-9)


def test_a_low_rank_adapter_adds_its_product(tmp_path):
    random = np.random.default_rng(4)
    a, b = random.normal(size=(4, 24)), random.normal(size=(40, 4))
    module = "base_model.model.model.layers.5.self_attn.q_proj"
    tensors = {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
    adapter = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "use_rslora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    result = analyze(tmp_path, tensors, {}, "adapter_model.safetensors")
    change = result.matrices[result.matrices["slice"] == "delta"].iloc[0]
    wanted = b.astype("<f4").astype(float) @ a.astype("<f4").astype(float) * 6 / 2
    assert change[["rows", "cols", "rank"]].tolist() == [40, 24, 4]
    assert change["component"] == "adapter" and change["layer_index"] == 5
    assert change["block_type"] == "q_proj" and change["projection"] == "delta q_proj"
    assert change["spectral_norm"] == pytest.approx(np.linalg.norm(wanted, 2), rel=1e-9)
    assert change["std"] == pytest.approx(wanted.std(), rel=1e-6)
    assert change["frobenius_norm"] == pytest.approx(np.linalg.norm(wanted), rel=1e-9)
    assert len(result.matrices) == 3 and len(result.params) == 2


def test_every_type_of_element_is_measured(tmp_path):
    random = np.random.default_rng(5)
    tensors = {}
    for dtype in DTYPES:
        raw = random.integers(1, 60, nbytes(dtype, 8 * 12), dtype=np.uint8)
        tensors[f"some.{dtype.lower()}.weight"] = (dtype, [8, 12], raw.tobytes())
    exact = np.full((8, 12), 2**53, "<i8")
    exact[0, 0] += 1
    tensors["some.i64.weight"] = ("I64", [8, 12], exact.tobytes())
    result = analyze(tmp_path, tensors, {})
    # Truth values are a mask, of any shape.
    assert set(DTYPES) - set(result.params["dtype"]) == {"BOOL"} and len(DTYPES) == 22
    assert result.params["numel"].eq(96).all() and result.params["quantisation"].isna().all()
    assert result.params.set_index("dtype").loc["F4", "bits_per_weight"] == 4
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert set(ledger["status"][ledger["dtype"] != "BOOL"]) == {"analysed"}
    assert ledger.set_index("dtype").loc["BOOL", "status"] == "buffer"


@pytest.mark.parametrize("dtype", ["F4", "F6_E3M2"])
def test_types_below_a_byte_are_split_like_others(dtype, tmp_path):
    random = np.random.default_rng(7)
    # Experts of 5 x 3 elements begin inside a byte.
    shapes = {
        "model.layers.0.self_attn.qkv_proj.weight": (12, 8),
        "model.layers.0.mlp.experts.gate_up_proj": (4, 3, 10),
        "model.layers.0.mlp.experts.down_proj": (4, 5, 3),
        "some.weight": (4, 5),
    }
    config = {"model_type": "phi3", "hidden_size": 3, "num_attention_heads": 2, "head_dim": 2}
    narrow, wide = {}, {}
    for name, shape in shapes.items():
        raw = random.bytes(nbytes(dtype, math.prod(shape)))
        narrow[name] = (dtype, list(shape), raw)
        wide[name] = ("F32", list(shape), decode(raw, dtype).tobytes())
    found, wanted = (
        analyze(tmp_path / name, tensors, config).matrices
        for name, tensors in (("narrow", narrow), ("wide", wide))
    )
    assert len(found) == 3 + 8 + 4 + 1
    same = ["slice", "projection", "rows", "cols", "spectral_norm", "absmax", "zero_fraction"]
    assert found[same].equals(wanted[same])
    assert np.allclose(found["std"], wanted["std"], rtol=1e-12)


def test_totals_count_tied_weights_once(tmp_path):
    table = bf16(np.ones((32, 16)))
    case = "gptq_4"
    tensors = {
        "model.embed_tokens.weight": ("BF16", [32, 16], table),
        "lm_head.weight": ("BF16", [32, 16], table),
        "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(8),
    }
    for name, (dtype, shape) in CASES[case]["tensors"].items():
        module = name.replace("p.", "model.layers.0.mlp.up_proj.")
        tensors[module] = (dtype, shape, DATA[f"{case}/{name}"].tobytes())
    config = {"tie_word_embeddings": True, "quantization_config": CASES[case]["config"]}
    totals = analyze(tmp_path, tensors, config).manifest.totals
    unpacked = DATA[case].size
    packed = sum(int(np.prod(shape)) for _, shape in CASES[case]["tensors"].values())
    assert totals.stored == 2 * 32 * 16 + 8 + packed
    assert totals.logical == 2 * 32 * 16 + 8 + unpacked
    assert totals.parameters == 32 * 16 + unpacked
