"""A small mixture of experts, one layer with what is planted in it, in several layouts."""

import numpy as np

EXPERTS, NEURONS, WIDTH = 12, 40, 96

START = "model.layers.0.mlp"

CONFIG = {"model_type": "qwen3_moe", "num_experts": EXPERTS, "num_experts_per_tok": 2}

SHAPES = {"gate_proj": (NEURONS, WIDTH), "up_proj": (NEURONS, WIDTH), "down_proj": (WIDTH, NEURONS)}


def independent(seed=0):
    """Tensors by name, float32: random experts, a router and a shared expert."""
    random = np.random.default_rng(seed)
    tensors = {
        f"{START}.experts.{number}.{name}.weight": random.normal(0, 0.05, shape)
        for number in range(EXPERTS)
        for name, shape in SHAPES.items()
    }
    for name, shape in SHAPES.items():
        tensors[f"{START}.shared_expert.{name}.weight"] = random.normal(0, 0.05, shape)
    tensors[f"{START}.gate.weight"] = random.normal(0, 0.02, (EXPERTS, WIDTH))
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def name_of(number, projection):
    """Name of a matrix of an expert."""
    return f"{START}.experts.{number}.{projection}.weight"


def duplicate(tensors, source, target, seed=1):
    """Expert `target` as expert `source` with its neurons in another order; returns the order."""
    order = np.random.default_rng(seed).permutation(NEURONS)
    for projection in SHAPES:
        values = tensors[name_of(source, projection)]
        is_down = projection == "down_proj"
        tensors[name_of(target, projection)] = values[:, order] if is_down else values[order]
    return order


def stacked(tensors, transposed=False):
    """The same in one tensor for gate and up, and one for down, [in, out] if transposed."""
    result = {name: values for name, values in tensors.items() if ".experts." not in name}
    every = {
        projection: np.stack([tensors[name_of(number, projection)] for number in range(EXPERTS)])
        for projection in SHAPES
    }
    fused = np.concatenate([every["gate_proj"], every["up_proj"]], axis=1)
    for name, stack in (("gate_up_proj", fused), ("down_proj", every["down_proj"])):
        result[f"{START}.experts.{name}"] = stack.transpose(0, 2, 1) if transposed else stack
    return {name: np.ascontiguousarray(values) for name, values in result.items()}
