"""A small mixture of experts with attention, as transformers saves a Qwen3-MoE, and what is planted
in it: a head that copies, one that suppresses, a duplicate and an expert that is never chosen."""

import json
import shutil
from pathlib import Path

import numpy as np

from tests.cases import comparisons
from tests.conftest import ROOT

LAYERS, HEADS, GROUPS, SIZE, WIDTH = 4, 8, 4, 32, 128
EXPERTS, NEURONS, TOKENS = 16, 64, 4128

# Layer and head; layer and both experts; layer and expert.
COPYING, SUPPRESSING, DUPLICATE, DEAD = (2, 3), (1, 6), (1, 2, 9), (2, 5)

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": GROUPS,
    "head_dim": SIZE,
    "intermediate_size": 4 * NEURONS,
    "moe_intermediate_size": NEURONS,
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "attention_bias": False,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "vocab_size": TOKENS,
    "torch_dtype": "float32",
}


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors by name, float32."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, 0.02, shape).astype(np.float32)

    found = {"model.embed_tokens.weight": normal(TOKENS, WIDTH)}
    for layer in range(LAYERS):
        start = f"model.layers.{layer}"
        attention, mlp = f"{start}.self_attn", f"{start}.mlp"
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{start}.{name}.weight"] = np.ones(WIDTH, np.float32)
        for name in ("q_norm", "k_norm"):
            found[f"{attention}.{name}.weight"] = np.ones(SIZE, np.float32)
        found[f"{attention}.q_proj.weight"] = normal(HEADS * SIZE, WIDTH)
        for name in ("k_proj", "v_proj"):
            found[f"{attention}.{name}.weight"] = normal(GROUPS * SIZE, WIDTH)
        found[f"{attention}.o_proj.weight"] = normal(WIDTH, HEADS * SIZE)
        found[f"{mlp}.gate.weight"] = normal(EXPERTS, WIDTH)
        for expert in range(EXPERTS):
            for name in ("gate_proj", "up_proj"):
                found[f"{mlp}.experts.{expert}.{name}.weight"] = normal(NEURONS, WIDTH)
            found[f"{mlp}.experts.{expert}.down_proj.weight"] = normal(WIDTH, NEURONS)
    found["model.norm.weight"] = np.ones(WIDTH, np.float32)
    for (layer, head), sign in ((COPYING, 1), (SUPPRESSING, -1)):
        _plant_head(found, layer, head, sign)
    _plant_experts(found, random)
    return found


def _plant_head(found: dict[str, np.ndarray], layer: int, head: int, sign: int) -> None:
    """A head that writes back what it reads, or its opposite."""
    attention = f"model.layers.{layer}.self_attn"
    rows = slice(head * GROUPS // HEADS * SIZE, (head * GROUPS // HEADS + 1) * SIZE)
    read = found[f"{attention}.v_proj.weight"][rows]
    found[f"{attention}.o_proj.weight"][:, head * SIZE : (head + 1) * SIZE] = sign * read.T


def _plant_experts(found: dict[str, np.ndarray], random: np.random.Generator) -> None:
    layer, source, target = DUPLICATE
    order = random.permutation(NEURONS)
    for name in ("gate_proj", "up_proj", "down_proj"):
        start = f"model.layers.{layer}.mlp.experts"
        values = found[f"{start}.{source}.{name}.weight"]
        moved = values[:, order] if name == "down_proj" else values[order]
        found[f"{start}.{target}.{name}.weight"] = moved.copy()
    layer, expert = DEAD
    found[f"model.layers.{layer}.mlp.gate.weight"][expert] *= 1e-3


def write(folder: Path) -> Path:
    """The model in a new folder, with the tokenizer of the demo."""
    model = comparisons.write(folder, tensors(), CONFIG)
    for path in (ROOT / "resources/demo").glob("tokenizer*.json"):
        shutil.copy(path, model)
    (model / "config.json").write_text(json.dumps(CONFIG))
    return model
