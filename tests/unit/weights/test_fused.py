"""Fused queries, keys and values, and fused gates: told apart for known families only."""

import numpy as np
import pytest

from blockresearch.measurement import merge
from tests.unit.measurement.test_stored_weights import GPT, HEADS, PAIRS, SIZE, WIDTH, analyze


def projections(pairs=PAIRS):
    random = np.random.default_rng(1)
    sizes = {"q_proj": HEADS * SIZE, "k_proj": pairs * SIZE, "v_proj": pairs * SIZE}
    return {part: random.normal(size=(rows, WIDTH)) for part, rows in sizes.items()}


def contiguous(q, k, v):
    return np.concatenate((q, k, v))


def per_head(q, k, v):
    parts = [part.reshape(HEADS, SIZE, WIDTH) for part in (q, k, v)]
    return np.concatenate(parts, axis=1).reshape(-1, WIDTH)


def grouped(q, k, v):
    parts = [part.reshape(PAIRS, -1, SIZE, WIDTH) for part in (q, k, v)]
    return np.concatenate(parts, axis=1).reshape(-1, WIDTH)


def four_blocks(q, k, v):
    parts = [part.reshape(4, -1, WIDTH) for part in (q, v, k)]
    return np.concatenate(parts, axis=1).reshape(-1, WIDTH)


LLAMA = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_key_value_heads": PAIRS}
FALCON = {"model_type": "falcon", "hidden_size": WIDTH, "num_attention_heads": HEADS}
FUSED = {
    "phi3": (LLAMA, "model.layers.0.self_attn.qkv_proj.weight", PAIRS, contiguous),
    "gpt_neox": (
        {**LLAMA, "num_key_value_heads": HEADS},
        "gpt_neox.layers.0.attention.query_key_value.weight",
        HEADS,
        per_head,
    ),
    "bloom": (GPT, "h.0.self_attention.query_key_value.weight", HEADS, per_head),
    "falcon old": (
        {**FALCON, "multi_query": True},
        "transformer.h.0.self_attention.query_key_value.weight",
        1,
        contiguous,
    ),
    "falcon new": (
        {**FALCON, "multi_query": True, "new_decoder_architecture": True, "num_kv_heads": PAIRS},
        "transformer.h.0.self_attention.query_key_value.weight",
        PAIRS,
        grouped,
    ),
    "chatglm": (
        {**LLAMA, "multi_query_attention": True, "multi_query_group_num": PAIRS},
        "transformer.encoder.layers.0.self_attention.query_key_value.weight",
        PAIRS,
        contiguous,
    ),
    "chatglm of 2023": (
        {"hidden_size": WIDTH, "num_attention_heads": HEADS},
        "transformer.layers.0.attention.query_key_value.weight",
        HEADS,
        per_head,
    ),
    "minimax": (LLAMA, "model.layers.0.self_attn.qkv_proj.weight", HEADS, per_head),
    "internlm2": (LLAMA, "model.layers.0.attention.wqkv.weight", PAIRS, grouped),
    "codegen": (GPT, "transformer.h.0.attn.qkv_proj.weight", HEADS, four_blocks),
    "gpt2": (GPT, "h.0.attn.c_attn.weight", HEADS, lambda q, k, v: contiguous(q, k, v).T),
    "qwen": (LLAMA, "transformer.h.0.attn.c_attn.weight", PAIRS, contiguous),
    "gpt_bigcode": (
        {**GPT, "multi_query": True},
        "transformer.h.0.attn.c_attn.weight",
        1,
        contiguous,
    ),
}


@pytest.mark.parametrize("family", FUSED)
def test_fused_queries_keys_and_values_are_told_apart(family, tmp_path):
    config, name, pairs, fuse = FUSED[family]
    parts = projections(pairs)
    result = analyze(
        tmp_path, {name: fuse(*parts.values())}, {"model_type": family.split()[0], **config}
    )
    table = result.matrices.set_index("block_type")
    assert list(result.matrices["slice"]) == list(parts) and set(table.index) == set(parts)
    for part, wanted in parts.items():
        wanted = wanted.astype("<f4").astype(float)
        row = table.loc[part]
        assert (row["rows"], row["cols"]) == wanted.shape and row["layer_index"] == 0
        assert row["mean"] == pytest.approx(wanted.mean(), rel=1e-9)
        assert row["spectral_norm"] == pytest.approx(np.linalg.norm(wanted, 2), rel=1e-6)
        norms = np.linalg.norm(wanted, axis=1)
        assert row["row_norm_cv"] == pytest.approx(norms.std() / norms.mean(), rel=1e-5)
    assert len(result.params) == 1 and result.params["block_type"].tolist() == ["qkv_proj"]


@pytest.mark.parametrize(
    "config",
    [{"model_type": "unheard_of", **LLAMA}, {"model_type": "phi3"}, {"model_type": ["phi3"]}],
    ids=["family", "no heads", "hostile"],
)
def test_an_order_that_is_not_known_is_not_guessed(config, tmp_path):
    name = "model.layers.0.self_attn.qkv_proj.weight"
    result = analyze(tmp_path, {name: contiguous(*projections().values())}, config)
    assert result.matrices["block_type"].tolist() == ["qkv_proj"]
    (row,) = merge.coverage(result.manifest, {name: 1}).to_dict("records")
    assert row["status"] == "analysed" and "order" in row["reason"]


FIRST, SECOND, EVEN, ODD = range(6), range(6, 12), range(0, 12, 2), range(1, 12, 2)


@pytest.mark.parametrize(
    ("family", "module", "gate", "up"),
    [
        ("phi3", "mlp.gate_up_proj", FIRST, SECOND),
        ("new", "mlp.up_gate_proj", SECOND, FIRST),
        ("moshi", "mlp.fc1", FIRST, SECOND),
        ("moonshine", "mlp.fc1", SECOND, FIRST),
        ("inkling_text", "mlp.w13_dn", EVEN, ODD),
        ("phi3small", "mlp.up_proj", EVEN, ODD),
    ],
)
def test_gate_and_up_are_told_apart_outside_of_experts(family, module, gate, up, tmp_path):
    down = {"fc1": "fc2", "up_proj": "down_proj"}.get(module.rpartition(".")[2], "x")
    tensors = {
        f"model.layers.3.{module}.weight": np.repeat(np.arange(12.0), WIDTH).reshape(12, WIDTH),
        f"model.layers.3.mlp.{down}.weight": np.ones((WIDTH, 6)),
    }
    table = analyze(tmp_path, tensors, {"model_type": family}).matrices.set_index("slice")
    for part, rows in (("gate_proj", gate), ("up_proj", up)):
        row = table.loc[part]
        assert (row["block_type"], row["projection"], row["layer_index"]) == (part, part, 3)
        assert (row["min"], row["max"], row["mean"]) == (min(rows), max(rows), np.mean(rows))


def test_gate_and_up_of_no_family_stay_one(tmp_path):
    name = "model.layers.3.mlp.experts.gate_up_proj"
    tensors = {
        name: np.ones((2, 12, WIDTH)),
        name.replace("gate_up", "down"): np.ones((2, WIDTH, 6)),
    }
    result = analyze(tmp_path, tensors, {})
    assert set(result.matrices["projection"]) == {"gate_up_proj", "down_proj"}
    assert "order" in merge.coverage(result.manifest, {n: 1 for n in tensors})["reason"].sum()


def test_a_gate_fused_with_qkv_is_of_the_attention(tmp_path):
    parts = projections(HEADS)
    stored = {"attention gate_proj": np.ones((HEADS * SIZE, WIDTH)), **parts}
    name = "model.H_module.layers.0.attn.gqkv_proj.weight"
    config = {"model_type": "hrm_text", "hidden_size": WIDTH, "num_attention_heads": HEADS}
    result = analyze(tmp_path, {name: np.concatenate(list(stored.values()))}, config)
    found = result.matrices.set_index("projection")
    assert list(found.index) == list(stored)
    assert found["block_type"].tolist() == ["gate_proj", *parts]
    for part, wanted in stored.items():
        assert found.loc[part, "mean"] == pytest.approx(wanted.astype("<f4").mean(), rel=1e-6)
