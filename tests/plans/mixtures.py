"""A small mixture of experts that transformers loads, stored expert by expert or in stacks."""

import numpy as np

EXPERTS, LAYERS, WIDTH, NEURONS, TOKENS = 12, 2, 64, 40, 96

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "num_hidden_layers": LAYERS,
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "moe_intermediate_size": NEURONS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": TOKENS,
    "max_position_embeddings": 64,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}

ATTENTION = {"q_proj": (64, WIDTH), "k_proj": (32, WIDTH), "v_proj": (32, WIDTH)}

ATTENTION |= {"o_proj": (WIDTH, 64)}

EXPERT = {"gate_proj": (NEURONS, WIDTH), "up_proj": (NEURONS, WIDTH), "down_proj": (WIDTH, NEURONS)}


def expert_name(layer, number, projection):
    """Name of a matrix of an expert."""
    return f"model.layers.{layer}.mlp.experts.{number}.{projection}.weight"


def router_name(layer):
    """Name of the router of a layer."""
    return f"model.layers.{layer}.mlp.gate.weight"


def mixture():
    """Tensors by name, float32, stored expert by expert. In layer 0 expert 7 is 2 again with its
    neurons in another order and a longer row of the router, and expert 9 is zero."""
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.normal(0, 0.05, shape).astype(np.float32)

    tensors = {"model.embed_tokens.weight": normal(TOKENS, WIDTH)}
    for layer in range(LAYERS):
        start = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{start}.{name}.weight"] = np.ones(WIDTH, np.float32)
        for name in ("q_norm", "k_norm"):
            tensors[f"{start}.self_attn.{name}.weight"] = np.ones(16, np.float32)
        for name, shape in ATTENTION.items():
            tensors[f"{start}.self_attn.{name}.weight"] = normal(*shape)
        tensors[router_name(layer)] = normal(EXPERTS, WIDTH)
        for number in range(EXPERTS):
            for name, shape in EXPERT.items():
                tensors[expert_name(layer, number, name)] = normal(*shape)
    order = random.permutation(NEURONS)
    for name in EXPERT:
        same = tensors[expert_name(0, 2, name)]
        same = same[:, order] if name == "down_proj" else same[order]
        tensors[expert_name(0, 7, name)] = np.ascontiguousarray(same)
        tensors[expert_name(0, 9, name)] *= 0
    tensors[router_name(0)][7] *= 2
    tensors["model.norm.weight"] = np.ones(WIDTH, np.float32)
    tensors["lm_head.weight"] = normal(TOKENS, WIDTH)
    return tensors


def stacked(tensors):
    """The same with the experts of a layer in two tensors, as transformers has them in memory."""
    result = {name: values for name, values in tensors.items() if ".experts." not in name}
    for layer in range(LAYERS):
        gate, up, down = (
            np.stack([tensors[expert_name(layer, number, name)] for number in range(EXPERTS)])
            for name in EXPERT
        )
        start = f"model.layers.{layer}.mlp.experts"
        result[f"{start}.gate_up_proj"] = np.concatenate([gate, up], axis=1)
        result[f"{start}.down_proj"] = down
    return result
