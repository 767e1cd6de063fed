"""Names to roles: the tables against their examples, real architectures, names of the hub.

`tests/data/architectures.jsonl.xz` holds 60 architectures with two layers each, as transformers
5.23.0 saves them: [name, shape, layer, owned by a norm class] for every tensor (null = unknown),
and by the model itself, not by name, which tensors embed tokens and give logits.
"""

import json
import lzma
import math
import sys
from pathlib import Path

import pytest

from blockresearch.naming.roles import Role, classify, input_embedding, output_head

DATA = Path(__file__).parents[2] / "data" / "architectures.jsonl.xz"
ARCHITECTURES = [json.loads(line) for line in lzma.decompress(DATA.read_bytes()).splitlines()]


def tensors_of(*names, **shaped):
    """Tensors of shape [8, 8], or with the shapes given by name."""
    shaped = {name.replace("__", "."): shape for name, shape in shaped.items()}
    return [(name, shaped.get(name, (8, 8)), "F32") for name in [*names, *shaped]]


def role(name, *others, shape=(8, 8), dtype="F32", config=None):
    return classify([(name, shape, dtype), *tensors_of(*others)], config or {})[name]


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: arch["class"])
def test_architecture(arch):
    tensors = [(name, tuple(shape), "F32") for name, shape, *_ in arch["tensors"]]
    roles = classify(tensors, arch["config"])
    embedding = input_embedding(tensors, roles, arch["config"])
    assert embedding in arch["input"] if arch["input"] else embedding is None
    head = output_head(tensors, roles, arch["config"])
    assert head in arch["output"] if arch["output"] else head is None
    assert {name: roles[name].layer_index for name, *_ in arch["tensors"]} == {
        name: layer for name, _, layer, _ in arch["tensors"]
    }
    assert {n for n, _, _, norm in arch["tensors"] if norm} == {
        n for n, _, _, norm in arch["tensors"] if norm is not None and roles[n].block_type == "norm"
    }
    sizes = {name: math.prod(shape) for name, shape, _ in tensors}
    other = sum(sizes[name] for name, r in roles.items() if r.block_type == "other")
    assert other < 0.02 * sum(sizes.values())


def test_blocks_of_a_plain_decoder():
    blocks = ("q_proj", "k_proj", "v_proj", "o_proj")
    names = [f"model.layers.3.self_attn.{b}.{leaf}" for b in blocks for leaf in ("weight", "bias")]
    roles = classify(tensors_of(*names), {})
    for name in names:
        block = name.split(".")[-2]
        is_bias = name.endswith("bias")
        assert roles[name] == Role("text", 3, block, block, "self", None, is_bias, False)


@pytest.mark.parametrize(
    ("name", "block_type", "projection"),
    [
        ("h.0.attn.c_proj.weight", "o_proj", "o_proj"),
        ("h.0.mlp.c_proj.weight", "down_proj", "down_proj"),
        ("layers.0.attention.wo.weight", "o_proj", "o_proj"),
        ("decoder.block.0.layer.2.DenseReluDense.wo.weight", "down_proj", "down_proj"),
        ("decoder.block.0.layer.1.EncDecAttention.q.weight", "q_proj", "cross_attention q_proj"),
        ("bert.encoder.layer.0.attention.output.dense.weight", "o_proj", "o_proj"),
        ("bert.encoder.layer.0.output.dense.weight", "down_proj", "down_proj"),
        ("bert.embeddings.LayerNorm.gamma", "norm", "LayerNorm"),
        ("transformer.word_embeddings_layernorm.weight", "norm", "word_embeddings_layernorm"),
        ("model.layers.0.self_attn.W_pack.weight", "qkv_proj", "qkv_proj"),
        ("model.layers.0.attention.wqkv.weight", "qkv_proj", "qkv_proj"),
        ("layers.0.self_attn.kv_a_proj_with_mqa.weight", "qkv_proj", "kv_a_proj_with_mqa"),
        ("model.layers.0.self_attn.gate_proj.weight", "gate_proj", "attention gate_proj"),
        ("model.layers.0.self_attn.indexer.wk.weight", "k_proj", "indexer k_proj"),
        ("model.layers.0.linear_attn.in_proj_qkvz.weight", "ssm", "in_proj_qkvz"),
        ("backbone.layers.0.mixer.q_proj.weight", "q_proj", "q_proj"),
        ("backbone.layers.0.mixer.gate.weight", "router", "gate"),
        ("layers.0.mlp.shared_expert_gate.weight", "moe", "shared_expert_gate"),
        ("embeddings.token_type_embeddings.weight", "position_embedding", "token_type_embeddings"),
        ("layers.0.self_attn.xyz_proj.weight", "other", "xyz_proj"),
        ("linear.weight", "mlp", "linear"),
        ("layers.0.qk_norm.temp", "norm", "qk_norm"),  # a norm's own parameter
        ("enc_to_dec_proj.weight", "mlp", "enc_to_dec_proj"),
        ("blocks.0.att.w1", "ssm", "w1"),
    ],
)
def test_block(name, block_type, projection):
    found = role(name)
    assert (found.block_type, found.projection) == (block_type, projection)
    assert not found.is_bias


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.0.self_attn.q_proj.weight", "self"),
        ("model.layers.0.self_attn.q_norm.weight", "self"),
        ("model.layers.0.post_attention_layernorm.weight", None),
        ("model.decoder.layers.0.encoder_attn.k_proj.bias", "cross"),
        ("model.decoder.layers.0.encoder_attn_layer_norm.weight", None),
        ("decoder.block.0.layer.1.EncDecAttention.q.weight", "cross"),
        ("model.layers.0.self_attn.indexer.wk.weight", "indexer"),
        ("model.layers.0.mlp.experts.3.up_proj.weight", "routed"),
        ("model.layers.0.mlp.shared_experts.up_proj.weight", "shared"),
        ("model.layers.0.mlp.experts.router.weight", None),
        ("model.layers.0.mlp.up_proj.weight", None),
    ],
)
def test_attention_and_experts_have_roles(name, expected):
    assert role(name).role == expected


def test_experts():
    one = role("model.layers.7.mlp.experts.41.down_proj.weight")
    assert one == Role("text", 7, "moe", "down_proj", "routed", 41, False, False)
    stack = role("model.layers.7.mlp.experts.gate_up_proj", shape=(4, 16, 8))
    assert (stack.block_type, stack.projection, stack.expert_index) == ("moe", "gate_up_proj", None)
    assert role("layers.0.moe.up_proj.weight", shape=(4, 16, 8)).block_type == "moe"
    assert role("layers.0.moe.up_proj.weight").block_type == "up_proj"
    shared = "model.layers.7.mlp.shared_experts.gate_proj.weight"
    assert role(shared).block_type == "moe"
    assert role(shared).projection == "shared_gate_proj"
    dense = "model.layers.7.shared_mlp.up_proj.weight"
    assert role(dense).block_type == "up_proj"  # no experts in the checkpoint
    assert role(dense, "model.layers.7.moe.router.weight").block_type == "moe"
    assert role("decoder.block.1.layer.2.mlp.experts.expert_3.wi.weight").expert_index == 3
    bias = role("model.layers.0.mlp.experts.down_proj_bias", shape=(4, 8))
    assert (bias.block_type, bias.projection, bias.is_bias) == ("moe", "down_proj", True)


def test_shape_decides():
    assert role("mlp1.0.weight", shape=(8,)).block_type == "norm"
    assert role("mlp1.0.weight").block_type == "mlp"
    assert role("projector.query", shape=(1, 3, 8)).block_type == "other"  # learned, no projection
    assert role("visual.downsample.weight", shape=(8, 8, 2, 2)).block_type == "conv"


def test_neighbors_decide():
    gated = [f"layers.0.feed_forward.w{i}.weight" for i in (1, 2, 3)]
    assert [r.block_type for r in classify(tensors_of(*gated), {}).values()] == [
        "gate_proj",
        "down_proj",
        "up_proj",
    ]
    assert role("layers.0.mlp.w1.weight", "layers.0.mlp.w2.weight").block_type == "up_proj"
    qwen = [f"transformer.h.0.mlp.{word}.weight" for word in ("w1", "w2", "c_proj")]
    assert role(qwen[1], qwen[0], qwen[2]).block_type == "gate_proj"
    words = ("key", "value", "receptance", "output")
    rwkv = [f"rwkv.blocks.0.attention.{word}.weight" for word in words]
    assert role(*rwkv).block_type == "ssm"
    assert role(rwkv[0]).block_type == "k_proj"
    assert role("blocks.0.ffn.key.weight").block_type == "up_proj"
    up, down = "layers.0.mlp.dense_h_to_4h.weight", "layers.0.mlp.dense_4h_to_h.weight"
    fused = classify([(up, (64, 8), "F32"), (down, (8, 32), "F32")], {})
    assert fused[up].block_type == "gate_up_proj"
    plain = classify([(up, (32, 8), "F32"), (down, (8, 32), "F32")], {})
    assert plain[up].block_type == "up_proj"


def test_components():
    names = {
        "language_model.model.layers.1.mlp.up_proj.weight": ("text", 1),
        "vision_tower.encoder.layers.5.mlp.fc1.weight": ("vision", 5),
        "model.visual.merger.mlp.0.weight": ("projector", None),
        "thinker.audio_tower.layers.2.fc1.weight": ("audio", 2),
        "model.layers.0.self_attn.qkv_proj.lora_A.speech.weight": ("adapter", 0),
        "model.embed_tokens_extend.image_embed.img_processor.layers.3.fc1.weight": ("vision", 3),
    }
    roles = classify(tensors_of(*names, "model.embed_tokens.weight"), {})
    assert {n: (roles[n].component, roles[n].layer_index) for n in names} == names
    both = classify(tensors_of("encoder.block.1.layer.0.q.weight", "decoder.block.2.layer.0.x"), {})
    assert [(r.component, r.layer_index) for r in both.values()] == [("encoder", 1), ("decoder", 2)]
    assert role("model.decoder.layers.0.fc1.weight").component == "text"  # a decoder alone


def test_layers_beyond_the_config_are_mtp():
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in (59, 60, 61)]
    table = "model.layers.61.embed_tokens.weight"
    tensors = tensors_of(*names, "model.embed_tokens.weight", table, "lm_head.weight")
    roles = classify(tensors, {"text_config": {"num_hidden_layers": 61}})
    assert [roles[name].component for name in names] == ["text", "text", "mtp"]
    assert roles[names[2]].layer_index == 61
    assert input_embedding(tensors, roles, {}) == "model.embed_tokens.weight"
    marked = [*tensors, ("model.layers.61.eh_proj.weight", (8, 16), "F32")]
    assert classify(marked, {})[names[2]].component == "mtp"  # by a module of its own
    assert classify(tensors, {"num_hidden_layers": 2})[names[2]].component == "text"  # not few
    assert classify(tensors, {})[names[2]].component == "text"
    assert role("mtp.layers.0.mlp.up_proj.weight").component == "mtp"


@pytest.mark.parametrize(
    ("owner", "companions"),
    [
        ("model.layers.3.mlp.experts.9.up_proj.weight", ["weight_scale_inv"]),
        ("model.layers.3.mlp.up_proj.weight", ["scales", "biases", "weight_scale", "SCB"]),
        ("model.layers.3.mlp.up_proj.qweight", ["qzeros", "scales", "g_idx"]),
        ("model.layers.3.mlp.up_proj.weight_packed", ["weight_shape", "weight_global_scale"]),
        (
            "model.layers.3.self_attn.o_proj.weight",
            ["weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"],
        ),
    ],
)
def test_companions_have_the_role_of_their_owner(owner, companions):
    module = owner.rpartition(".")[0]
    tensors = [(owner, (8, 8), "U8"), *((f"{module}.{c}", (8,), "U8") for c in companions)]
    roles = classify(tensors, {})
    assert len(set(roles.values())) == 1
    assert not roles[owner].is_buffer and not roles[owner].is_bias


def test_packed_experts():
    names = [f"model.layers.0.mlp.experts.gate_up_proj_{part}" for part in ("blocks", "scales")]
    roles = classify([(names[0], (4, 8, 2, 16), "U8"), (names[1], (4, 8, 2), "U8")], {})
    expected = Role("text", 0, "moe", "gate_up_proj", "routed", None, False, False)
    assert list(roles.values()) == [expected, expected]


def test_buffers():
    assert role("h.0.attn.bias", shape=(1, 1, 16, 16)).is_buffer
    mask = role("h.0.attn.bias", shape=(8,))
    assert (mask.is_buffer, mask.is_bias) == (False, True)
    assert role("embeddings.position_ids", shape=(1, 9), dtype="I64").is_buffer
    assert role("model.layers.0.mlp.up_proj.weight", dtype="I8").is_buffer
    packed = {"quantization_config": {"quant_method": "anything"}}
    assert not role("model.layers.0.mlp.up_proj.weight", dtype="I8", config=packed).is_buffer


def test_adapters():
    prefix = "base_model.model.model"
    lora = role(f"{prefix}.layers.5.self_attn.q_proj.lora_A.default.weight")
    assert lora == Role("adapter", 5, "q_proj", "lora_A q_proj", "self", None, False, False)
    tensors = tensors_of(f"{prefix}.embed_tokens.weight", f"{prefix}.embed_tokens.lora_embedding_A")
    roles = classify(tensors, {})
    assert input_embedding(tensors, roles, {}) == f"{prefix}.embed_tokens.weight"


def test_names_without_prefix():
    tensors = [("wte.weight", (50, 8), "F32"), ("h.0.attn.c_attn.weight", (8, 24), "F32")]
    roles = classify(tensors, {})
    assert input_embedding(tensors, roles, {}) == "wte.weight"
    assert roles["h.0.attn.c_attn.weight"].layer_index == 0
    tensors = [("tok_embeddings.weight", (50, 8), "F32"), ("output.weight", (50, 8), "F32")]
    roles = classify(tensors, {})
    assert output_head(tensors, roles, {}) == "output.weight"


def test_the_shared_embedding_goes_first():
    copies = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    tensors = tensors_of(*copies, "encoder.block.0.layer.0.q.x", "decoder.block.0.layer.0.q.x")
    roles = classify(tensors, {})
    assert input_embedding(tensors, roles, {}) == copies[0]
    assert input_embedding(tensors[1:], roles, {}) == copies[1]


def test_the_vocabulary_separates_other_alphabets():
    tensors = [
        ("model.protein_encoder.embeddings.word_embeddings.weight", (50, 8), "F32"),
        ("model.protein_encoder.layer.0.query.weight", (8, 8), "F32"),
        ("model.embed_tokens.weight", (90, 8), "F32"),
        ("model.layers.0.self_attn.q_proj.weight", (8, 8), "F32"),
    ]
    config = {"vocab_size": 90}
    embedding = input_embedding(tensors, classify(tensors, config), config)
    assert embedding == "model.embed_tokens.weight"


def test_a_small_head_gives_no_tokens():
    tensors = [("embeddings.weight", (50, 8), "F32"), ("head.weight", (2, 8), "F32")]
    assert output_head(tensors, classify(tensors, {}), {}) is None
    assert output_head(tensors, classify(tensors, {}), {"vocab_size": 2}) == "head.weight"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {
            "num_hidden_layers": "many",
            "vocab_size": [],
            "text_config": 7,
            "is_encoder_decoder": "x",
        },
        {"num_hidden_layers": -1, "vocab_size": True, "quantization_config": [1]},
        {"text_config": {"num_hidden_layers": {}, "text_config": {"vocab_size": None}}},
        [1, 2],
        None,
    ],
)
def test_hostile_input(config):
    names = ["", ".", "...weight", "a" * 100_000, "#.#", "0", "0.1.weight", "weight", "layers.1."]
    names += [
        "model.layers.0",
        f"model.layers.{'9' * 5000}.q",
        "layers.٣.q.weight",
        "layers.#.q.weight",
    ]
    names += [
        "base_model.",
        "base_model.model.",
        ".weight_scale",
        "_blocks",
        "lora_A.weight",
        "_bias",
    ]
    names += [
        "\0\n.bias",
        "*.?.[^",
        "experts.1.2.3",
        "layers.0.weight",
        "." * 500,
        "x_" * 250 + "norm",
    ]
    tensors = [
        (name, shape, "U8")
        for i, name in enumerate(names)
        for shape in [((), (0,), (3, 3), (1, 1, 1, 1))[i % 4]]
    ]
    roles = classify(tensors, config)
    assert list(roles) == names
    input_embedding(tensors, roles, config)
    output_head(tensors, roles, config)


def lines_run(function, *arguments) -> int:
    """How many lines of Python a call runs, with every turn of a loop."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        lines += event == "line"
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(earlier)
    return lines


def test_work_is_linear_in_the_tensors():
    few, many = (
        lines_run(
            classify,
            [
                (f"model.layers.{layer}.mlp.experts.{expert}.{part}.weight{suffix}", (8, 8), "U8")
                for layer in range(4)
                for expert in range(experts)
                for part in ("gate_proj", "up_proj", "down_proj")
                for suffix in ("", "_scale_inv")
            ],
            {},
        )
        for experts in (8, 64)
    )
    assert many < 8.5 * few
