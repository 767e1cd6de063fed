"""Checkpoints with the true shapes of large models, as sparse files: headers, index and config."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Tensor = tuple[str, str, list[int]]  # name, dtype, shape
HEAD_SIZE = 128
SIZES = {"F8_E4M3": 1, "BF16": 2, "F32": 4}


@dataclass(frozen=True)
class Dense:
    """A llama-like model; `kv` is the width of keys and values."""

    layers: int
    hidden: int
    inner: int
    heads_width: int
    kv: int
    vocab: int
    shards: int
    tied: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """All tensors in the order of the file."""
        yield "model.embed_tokens.weight", "BF16", [self.vocab, self.hidden]
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            for name, rows, cols in (
                ("self_attn.q_proj", self.heads_width, self.hidden),
                ("self_attn.k_proj", self.kv, self.hidden),
                ("self_attn.v_proj", self.kv, self.hidden),
                ("self_attn.o_proj", self.hidden, self.heads_width),
                ("mlp.gate_proj", self.inner, self.hidden),
                ("mlp.up_proj", self.inner, self.hidden),
                ("mlp.down_proj", self.hidden, self.inner),
            ):
                yield f"{prefix}{name}.weight", "BF16", [rows, cols]
            for name in ("input_layernorm", "post_attention_layernorm"):
                yield f"{prefix}{name}.weight", "BF16", [self.hidden]
        yield "model.norm.weight", "BF16", [self.hidden]
        if not self.tied:
            yield "lm_head.weight", "BF16", [self.vocab, self.hidden]

    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return {
            "model_type": "llama",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads_width // HEAD_SIZE,
            "num_key_value_heads": self.kv // HEAD_SIZE,
            "head_dim": HEAD_SIZE,
            "vocab_size": self.vocab,
            "tie_word_embeddings": self.tied,
        }


@dataclass(frozen=True)
class Experts:
    """DeepSeek-V3's architecture: FP8 weights, each with its scales, latent attention, experts."""

    layers: int
    dense: int
    experts: int
    heads: int
    vocab: int
    shards: int
    hidden: int = 7168
    dense_inner: int = 18432
    inner: int = 2048

    def tensors(self) -> Iterator[Tensor]:
        """All tensors in the order of the file."""
        hidden = self.hidden
        yield "model.embed_tokens.weight", "BF16", [self.vocab, hidden]
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            for name, rows, cols in (
                ("q_a_proj", 1536, hidden),
                ("q_b_proj", 192 * self.heads, 1536),
                ("kv_a_proj_with_mqa", 576, hidden),
                ("kv_b_proj", 256 * self.heads, 512),
                ("o_proj", hidden, 128 * self.heads),
            ):
                yield from _fp8(f"{prefix}self_attn.{name}", rows, cols)
            for name, size in (
                ("self_attn.q_a_layernorm", 1536),
                ("self_attn.kv_a_layernorm", 512),
                ("input_layernorm", hidden),
                ("post_attention_layernorm", hidden),
            ):
                yield f"{prefix}{name}.weight", "BF16", [size]
            if layer < self.dense:
                yield from self._mlp(f"{prefix}mlp", self.dense_inner)
                continue
            yield f"{prefix}mlp.gate.weight", "BF16", [self.experts, hidden]
            yield f"{prefix}mlp.gate.e_score_correction_bias", "F32", [self.experts]
            yield from self._mlp(f"{prefix}mlp.shared_experts", self.inner)
            for expert in range(self.experts):
                yield from self._mlp(f"{prefix}mlp.experts.{expert}", self.inner)
        yield "model.norm.weight", "BF16", [hidden]
        yield "lm_head.weight", "BF16", [self.vocab, hidden]

    def _mlp(self, name: str, inner: int) -> Iterator[Tensor]:
        yield from _fp8(f"{name}.gate_proj", inner, self.hidden)
        yield from _fp8(f"{name}.up_proj", inner, self.hidden)
        yield from _fp8(f"{name}.down_proj", self.hidden, inner)

    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return {
            "model_type": "deepseek_v3",
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "n_routed_experts": self.experts,
            "vocab_size": self.vocab,
            "tie_word_embeddings": False,
            "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        }


SMALL = Dense(30, 576, 1536, 576, 192, 49152, 1, tied=True)
MODELS = {
    "Qwen3-4B": Dense(36, 2560, 9728, 4096, 1024, 151936, 3, tied=True),
    "Llama-3.1-405B": Dense(126, 16384, 53248, 16384, 1024, 128256, 191),
    # With the layer for the prediction of further tokens, which is stored like the others.
    "DeepSeek-V3": Experts(62, 3, 256, 128, 129280, 163),
    "one trillion": Experts(61, 1, 384, 64, 163840, 61),
}
# As many matrices as the largest merge that is promised.
WIDE = Experts(61, 3, 512, 64, 163840, 163)


def _fp8(name: str, rows: int, cols: int) -> Iterator[Tensor]:
    yield f"{name}.weight", "F8_E4M3", [rows, cols]
    yield f"{name}.weight_scale_inv", "F32", [-(-rows // 128), -(-cols // 128)]


def write(model: Dense | Experts, folder: Path) -> int:
    """Write the shards, filled by size as exporters do; returns the number of tensors."""
    listed = [
        (name, dtype, shape, SIZES[dtype] * shape[0] * (shape[1] if len(shape) > 1 else 1))
        for name, dtype, shape in model.tensors()
    ]
    limit = sum(entry[3] for entry in listed) / model.shards
    weight_map, header, position, number, done = {}, {}, 0, 1, 0
    for count, (name, dtype, shape, nbytes) in enumerate(listed, 1):
        shard = f"model-{number:05d}-of-{model.shards:05d}.safetensors"
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [position, position + nbytes],
        }
        weight_map[name] = shard
        position, done = position + nbytes, done + nbytes
        if done >= limit * number or count == len(listed):
            text = json.dumps(header).encode()
            path = folder / shard
            path.write_bytes(len(text).to_bytes(8, "little") + text)
            os.truncate(path, 8 + len(text) + position)
            header, position, number = {}, 0, number + 1
    index = {"metadata": {"total_size": done}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(model.config()))
    return len(listed)
