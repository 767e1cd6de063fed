"""Pairs of checkpoints: a tiny llama, and copies of it that differ in a known way."""

import json

import numpy as np

from tests.cases.checkpoints import Raw, brain, from_bf16, llama, save


def values(tensor):
    """Values of a stored tensor, float32."""
    return from_bf16(tensor.codes) if isinstance(tensor, Raw) else tensor


def write(folder, tensors, config, shards=1, tokens=None):
    """A checkpoint in `folder`; `tokens` are the texts of its vocabulary."""
    folder.mkdir(parents=True)
    names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    places = {name: names[i % shards] for i, name in enumerate(tensors)}
    for shard in names:
        save(folder / shard, {n: t for n, t in tensors.items() if places[n] == shard})
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    if tokens is not None:
        vocabulary = {token: number for number, token in enumerate(tokens)}
        model = {"type": "BPE", "vocab": vocabulary, "merges": []}
        (folder / "tokenizer.json").write_text(json.dumps({"model": model, "added_tokens": []}))
    return folder


def base():
    """Tensors and config of the base."""
    return llama()


def fused(tensors):
    """q, k and v in one tensor, gate and up in another, as Phi-3 stores them."""
    result = dict(tensors)
    for layer in range(2):
        start = f"model.layers.{layer}."
        for target, parts in (
            ("self_attn.qkv_proj", [f"self_attn.{word}_proj" for word in "qkv"]),
            ("mlp.gate_up_proj", ["mlp.gate_proj", "mlp.up_proj"]),
        ):
            stacked = [result.pop(f"{start}{part}.weight").codes for part in parts]
            result[f"{start}{target}.weight"] = Raw("BF16", np.concatenate(stacked))
    return result


def perturbed(tensors, rank, relative, seed=1):
    """Each matrix plus a random matrix of `rank` with `relative` of its norm, in bfloat16."""
    random = np.random.default_rng(seed)
    result = {}
    for name, tensor in tensors.items():
        w = values(tensor)
        if w.ndim == 2:
            w = w + relative * np.linalg.norm(w) * planted(random, *w.shape, rank)
        result[name] = brain(w)
    return result


def planted(random, rows, cols, rank):
    """A matrix [rows, cols] of norm 1 with `rank` equal singular values."""
    left, _ = np.linalg.qr(random.standard_normal((rows, rank)))
    right, _ = np.linalg.qr(random.standard_normal((cols, rank)))
    return left @ right.T / np.sqrt(rank)
