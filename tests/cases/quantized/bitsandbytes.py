"""Cases of bitsandbytes: tables of 16 values, and integers with a scale for each row."""

import json

import numpy as np

from tests.cases.checkpoints import Cases, Raw, llama, mlp, without

CASES = Cases()


NF4 = np.array(
    [
        *(-1, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0),
        *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1),
    ],
    "<f4",
)


def nf4(random, shape, name, dtype="U8", view="u1"):
    """Pieces of an NF4 weight whose bytes are stored as another type."""
    size = int(np.prod(shape))
    codes = random.integers(0, 16, size).astype("u1")
    absmax = random.uniform(0.02, 0.05, size // 64).astype("<f4")
    weights = (NF4[codes].reshape(-1, 64) * absmax[:, None]).reshape(shape)
    packed = (codes[0::2] << 4 | codes[1::2]).astype("u1").view(view).reshape(-1, 1)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(shape)}
    pieces = {
        name: Raw(dtype, packed),
        f"{name}.absmax": absmax,
        f"{name}.quant_map": NF4,
        f"{name}.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), "u1"),
    }
    return pieces, weights


def storage(dtype, view):
    tensors, config = llama(seed=1)
    name = mlp(0, "gate_proj.weight")
    pieces, weights = nf4(np.random.default_rng(1), (64, 32), name, dtype, view)
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors | pieces, config, {name: weights}


@CASES.add
def nf4_stored_as_bf16():
    """bitsandbytes pull request 1295: `bnb_4bit_quant_storage`."""
    return storage("BF16", "<u2")


@CASES.add
def nf4_stored_as_f32():
    return storage("F32", "<u4")


@CASES.add
def nf4_stored_as_f16():
    return storage("F16", "<u2")


@CASES.add
def nf4_stored_as_i8():
    return storage("I8", "i1")


@CASES.add
def nf4_over_stacks_of_experts():
    """unsloth-zoo pull requests 527 and 809: the shape is in quant_state."""
    experts, inter, hidden = 4, 32, 64
    random = np.random.default_rng(20)
    tensors, config = llama(hidden=hidden, inter=inter, seed=20)
    right = {}
    for layer in range(2):
        for word in ("gate_proj", "up_proj", "down_proj"):
            tensors.pop(mlp(layer, f"{word}.weight"))
        for word, shape in (("gate_up_proj", (2 * inter, hidden)), ("down_proj", (hidden, inter))):
            name = mlp(layer, f"experts.{word}")
            pieces, right[name] = nf4(random, (experts, *shape), name)
            tensors |= pieces
    config |= {"model_type": "qwen3_moe", "num_experts": experts}
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors, config, right


@CASES.add
def experts4bit_are_left_out():
    """bitsandbytes pull request 1965: the shape is nowhere in the file."""
    tensors, config = llama(seed=5)
    name = mlp(0, "experts.gate_up_proj")
    tensors |= {name: np.ones((4, 1024), "u1"), f"{name}_absmax": np.ones((4, 32), "<f4")}
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    return tensors, config, {name: "bitsandbytes"}


@CASES.add
def nf4_that_lost_the_scales_of_its_scales():
    tensors, config, right = storage("U8", "u1")
    (name,) = right
    tensors[f"{name}.absmax"] = np.arange(32, dtype="u1")
    return tensors, config, {name: "absmax"}


@CASES.add
def nf4_with_scales_for_blocks_of_another_size():
    """Half as many would be needed: which elements each is for, nothing says."""
    tensors, config, right = storage("U8", "u1")
    name = mlp(0, "gate_proj.weight.quant_state.bitsandbytes__nf4")
    state = json.loads(tensors[name].tobytes()) | {"blocksize": 128}
    tensors[name] = np.frombuffer(json.dumps(state).encode(), "u1")
    return tensors, config, dict.fromkeys(right, "scales for blocks")


@CASES.add
def nf4_stored_as_bf16_of_which_one_lost_all_that_explains_it():
    tensors, config, right = storage("BF16", "<u2")
    name = mlp(1, "gate_proj.weight")
    pieces, _ = nf4(np.random.default_rng(2), (64, 32), name, "BF16", "<u2")
    return tensors | {name: pieces[name]}, config, right | {name: "companions"}


@CASES.add
def nf4_that_lost_its_table():
    return without(storage("U8", "u1"), ".quant_map")


@CASES.add
def int8_of_an_old_kernel_is_named():
    """bitsandbytes' weight_format: 0 is rows, 2 is the order of a Turing kernel."""
    tensors, config = llama(hidden=64)
    module = mlp(0, "gate_proj")
    tensors |= {
        f"{module}.weight": np.ones((64, 64), "i1"),
        f"{module}.SCB": np.ones(64, "<f4"),
        f"{module}.weight_format": np.array(2, "u1"),
    }
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    return tensors, config, {f"{module}.weight": "LLM.int8 other than rows"}
