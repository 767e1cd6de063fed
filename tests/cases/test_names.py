"""Names of public reports: tied tables stored once, experts in lists and in stacks.

Sources: lerobot issue 1529, gemma issue 8 and safetensors issue 520 (one of several tied tensors
is stored); unsloth pull request 6936 and unsloth-zoo pull request 862 (lists of experts);
realizar issue 134 and torchtitan pull request 4373 (stacks of Qwen3.5-MoE).
"""

import json

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.measurement import merge
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.naming.roles import classify
from blockresearch.tokens.analysis import analyze_embedding
from blockresearch.tokens.rows import read_row_tokens, read_rows
from tests.cases.checkpoints import brain, from_bf16, llama, save

NOW = "2026-01-01T00:00:00Z"

T5 = ["shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head"]

BART = ["model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"]

GPT2 = ["transformer.wte", "lm_head"]

LLAMA = ["model.embed_tokens", "lm_head"]

STACKS = {"is_encoder_decoder": True, "d_model": 32, "vocab_size": 64}

CONFIGS = {
    "t5": STACKS | {"architectures": ["T5ForConditionalGeneration"], "num_layers": 2},
    "bart": STACKS | {"architectures": ["BartForConditionalGeneration"], "encoder_layers": 2},
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "n_embd": 32, "n_layer": 2, "vocab_size": 64},
    "llama": {"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "vocab_size": 64},
}


def one_table(folder, names, kept, model_type, ties=None, metadata=True):
    """A checkpoint in which `save_model` kept one of several names of the tied table."""
    random = np.random.default_rng(6)
    tensors = {f"{kept}.weight": brain(random.normal(0, 1, (64, 32)))}
    start = "encoder.block.0.layer.0.SelfAttention.q" if model_type == "t5" else None
    start = start or ("transformer.h.0.attn.c_proj" if model_type == "gpt2" else "model.layers.0.q")
    tensors[f"{start}.weight"] = brain(random.normal(0, 1, (32, 32)))
    others = {f"{name}.weight": f"{kept}.weight" for name in names if name != kept}
    save(folder / "model.safetensors", tensors, {"format": "pt"} | (others if metadata else {}))
    config = {"model_type": model_type} | CONFIGS[model_type]
    config |= {} if ties is None else {"tie_word_embeddings": ties}
    (folder / "config.json").write_text(json.dumps(config))
    return describe_folder(folder, NOW, hashed=False)


@pytest.mark.parametrize(
    ("names", "kept", "model_type", "ties", "metadata"),
    [
        (T5, "decoder.embed_tokens", "t5", None, True),
        (T5, "encoder.embed_tokens", "t5", True, False),
        (T5, "shared", "t5", None, False),
        (T5, "lm_head", "t5", None, True),
        (T5, "lm_head", "t5", None, False),
        (BART, "lm_head", "bart", None, True),
        (BART, "lm_head", "bart", True, False),
        (BART, "lm_head", "bart", None, False),
        (BART, "model.decoder.embed_tokens", "bart", None, True),
        (GPT2, "lm_head", "gpt2", None, True),
        (GPT2, "lm_head", "gpt2", None, False),
        (LLAMA, "lm_head", "llama", None, True),
        (LLAMA, "lm_head", "llama", True, False),
        (LLAMA, "lm_head", "llama", False, True),
        (LLAMA, "model.embed_tokens", "llama", False, True),
    ],
)
def test_a_tied_table_is_found(names, kept, model_type, ties, metadata, tmp_path):
    manifest = one_table(tmp_path, names, kept, model_type, ties, metadata)
    assert (manifest.embedding, manifest.output) == (f"{kept}.weight", None)
    notes = [problem.check for problem in manifest.problems]
    guessed = kept == "lm_head" and ties is None and not metadata
    assert manifest.tied in (True, None) and notes == ["assumed_tie"] * guessed
    assert manifest.totals.parameters == 64 * 32 + 32 * 32
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, NOW)
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    found = audit.audit(result.manifest, result.params, ledger)["findings"]
    tables = ("token embedding", "output layer", f"{kept}.weight")
    assert not [f for f in found if f["severity"] != "note" and f["where"] in tables]


@pytest.mark.parametrize("ties", [None, False])
def test_an_output_layer_alone_is_no_embedding(ties, tmp_path):
    manifest = one_table(tmp_path, LLAMA, "lm_head", "llama", ties, metadata=False)
    assert (manifest.embedding, manifest.output) == (None, "lm_head.weight")
    assert one_table(tmp_path, BART, "lm_head", "bart", False, False).embedding is None


def test_a_name_in_metadata_is_no_missing_tensor(tmp_path):
    one_table(tmp_path, LLAMA, "lm_head", "llama")
    shards = dict.fromkeys([f"{name}.weight" for name in [*LLAMA, "model.layers.0.q", "x"]])
    index = {"metadata": {}, "weight_map": {name: "model.safetensors" for name in shards}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    problems = describe_folder(tmp_path, NOW, hashed=False).problems
    assert [(p.check, p.where) for p in problems] == [("missing_tensor", "x.weight")]


def test_metadata_may_state_anything(tmp_path):
    tensors, config = llama()
    strange = {"": "", "a": "a", "lm_head.weight": "a", "b": "lm_head.weight", "format": "pt"}
    save(tmp_path / "model.safetensors", tensors, strange)
    (tmp_path / "config.json").write_text(json.dumps(config))
    manifest = describe_folder(tmp_path, NOW, hashed=False)
    assert (manifest.embedding, manifest.output) == ("model.embed_tokens.weight", "lm_head.weight")


def test_tokens_of_a_tied_output_layer_are_clustered(tmp_path):
    tensors, config = llama()
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
    metadata = {"format": "pt", "model.embed_tokens.weight": "lm_head.weight"}
    save(tmp_path / "model.safetensors", tensors, metadata)
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, NOW)
    rows, _ = read_rows(result.manifest, tmp_path.joinpath)
    tokens = read_row_tokens(result.manifest, tmp_path.joinpath, len(rows))
    assert len(analyze_embedding(rows, tokens, k_max=4).clusters) == 64
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert not audit.audit(result.manifest, result.params, ledger)["findings"]


def mlp(layer, name):
    return f"model.layers.{layer}.mlp.{name}"


def test_lists_of_experts_have_numbers_and_projections(tmp_path):
    random, experts = np.random.default_rng(23), 3
    tensors, config = llama(inter=24)
    for layer in range(2):
        for word in ("gate_proj", "up_proj", "down_proj"):
            tensors.pop(mlp(layer, f"{word}.weight"))
        for e in range(experts):
            up, down = (mlp(layer, f"experts.{word}_projs.{e}") for word in ("gate_up", "down"))
            tensors |= {f"{up}.weight": brain(random.normal(0, 1, (48, 32)))}
            tensors |= {f"{up}.bias": brain(random.normal(0, 1, 48))}
            tensors |= {f"{down}.weight": brain(random.normal(0, 1, (32, 24)))}
    save(tmp_path / "model.safetensors", tensors)
    config |= {"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, NOW)
    rows = result.params.set_index("param_name")
    for layer in range(2):
        for e in range(experts):
            up, down = (mlp(layer, f"experts.{word}_projs.{e}") for word in ("gate_up", "down"))
            for name, projection in (
                (f"{up}.weight", "gate_up_proj"),
                (f"{down}.weight", "down_proj"),
            ):
                place = rows.loc[name, ["layer_index", "expert_index", "block_type", "projection"]]
                assert place.tolist() == [layer, e, "moe", projection]
            assert rows.loc[f"{up}.bias", ["expert_index", "block_type"]].tolist() == [e, "moe"]
            # Rows of gate and up alternate in this family.
            weights = from_bf16(tensors[f"{up}.weight"].codes)
            found = result.matrices[result.matrices["param_name"] == f"{up}.weight"]
            assert found["slice"].tolist() == ["gate_proj", "up_proj"]
            for start, norm in enumerate(found["spectral_norm"]):
                assert norm == pytest.approx(np.linalg.norm(weights[start::2], 2), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "expert", "projection"),
    [
        (mlp(2, "experts.gate_up_projs.3.weight"), (48, 32), 3, "gate_up_proj"),
        (mlp(2, "experts.gate_up_projs.3.bias"), (48,), 3, "gate_up_proj"),
        (mlp(2, "experts.down_projs.3"), (32, 24), 3, "down_proj"),
        (mlp(2, "experts.up_projs.1.weight"), (24, 32), 1, "up_proj"),
        (mlp(2, "experts.w1.3.weight"), (24, 32), 3, "gate_proj"),
        (mlp(2, "experts.down_proj.0.weight"), (32, 24), 0, "down_proj"),
        (mlp(2, "experts.w13_weight"), (4, 48, 32), None, "gate_up_proj"),
        (mlp(2, "switch_mlp.up_proj.weight"), (4, 24, 32), None, "up_proj"),
        (
            "model.layers.2.block_sparse_moe.switch_mlp.down_proj.weight",
            (4, 32, 24),
            None,
            "down_proj",
        ),
        ("model.layers.2.moe.experts.w2", (4, 32, 24), None, "down_proj"),
        ("decoder.layers.2.mlp.experts.linear_fc1.weight3", (24, 32), 3, "up_proj"),
        (
            "decoder.layers.2.mlp.experts.local_experts.3.linear_fc2.weight",
            (32, 24),
            3,
            "down_proj",
        ),
        (
            mlp(2, "deepspeed_moe.experts.deepspeed_experts.3.up_proj.weight"),
            (24, 32),
            3,
            "up_proj",
        ),
        ("model.layers.2.ffn.experts.expert_3.fc1.weight", (24, 32), 3, "up_proj"),
        ("model.layers.2.experts.3.mlp.gate_proj.weight", (24, 32), 3, "gate_proj"),
    ],
)
def test_experts_as_other_converters_spell_them(name, shape, expert, projection):
    role = classify([(name, shape, "BF16")], {})[name]
    assert (role.layer_index, role.block_type) == (2, "moe")
    assert (role.expert_index, role.projection) == (expert, projection)


def test_a_mixture_with_linear_attention():
    """Qwen3.5-MoE: each part in its place."""
    start = "model.language_model.layers.0."
    shapes = {
        f"{start}mlp.experts.gate_up_proj": ((4, 32, 64), "text", 0, "moe"),
        f"{start}mlp.experts.down_proj": ((4, 64, 16), "text", 0, "moe"),
        f"{start}linear_attn.in_proj_qkv.weight": ((128, 64), "text", 0, "ssm"),
        f"{start}linear_attn.out_proj.weight": ((64, 64), "text", 0, "ssm"),
        f"{start}self_attn.q_proj.weight": ((128, 64), "text", 0, "q_proj"),
        "mtp.layers.0.mlp.experts.gate_up_proj": ((4, 32, 64), "mtp", 0, "moe"),
        "mtp.fc.weight": ((64, 128), "mtp", None, None),
        "model.visual.blocks.0.attn.qkv.weight": ((96, 32), "vision", 0, "qkv_proj"),
        "model.language_model.embed_tokens.weight": ((128, 64), "text", None, "embedding"),
    }
    config = {"model_type": "qwen3_5_moe", "text_config": {"hidden_size": 64, "num_experts": 4}}
    roles = classify([(name, shape, "BF16") for name, (shape, *_) in shapes.items()], config)
    for name, (_, component, layer, block) in shapes.items():
        assert (roles[name].component, roles[name].layer_index) == (component, layer), name
        assert block in (None, roles[name].block_type), name
