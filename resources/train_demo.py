"""Train the demo checkpoint: a small Qwen3 language model on English prose and Python code.

The texts are the King James Bible (Debian packages bible-kjv and bible-kjv-text, public domain)
and the top-level modules of Python's standard library (PSF licence):

    mkdir kjv
    bible -f gen1:1-rev22:21 | awk 'match($1, /[0-9]+:/) {
        f = "kjv/" substr($1, 1, RSTART - 1) ".txt"; sub(/^[^ ]+ /, ""); print > f }'
    stdlib=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    nice -n 10 python resources/train_demo.py --out resources/demo kjv/*.txt "$stdlib"/[a-z]*.py

Each file is one document and every twentieth is held out. The same texts, seed and versions of
torch and tokenizers give the same files, byte for byte, on the same kind of processor. The model
computes what transformers' Qwen3ForCausalLM computes. It trains in float32 on one thread
and is saved in bfloat16; the loss in the model card is that of the saved files, read again.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional as F

# Like Qwen3, the specials come after the learned vocabulary, and the embedding has more rows yet.
LEARNED_TOKENS = 4093
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": LEARNED_TOKENS,
    "eos_token_id": LEARNED_TOKENS,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 160,
    "initializer_range": 0.02,
    "intermediate_size": 448,
    "max_position_embeddings": 256,
    "model_type": "qwen3",
    "num_attention_heads": 6,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "vocab_size": 4128,
}
CONTEXT = CONFIG["max_position_embeddings"]
SHARD_BYTES = 2_000_000
# The pattern of Qwen's tokenizer: contractions, words, single digits, punctuation, white space.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE with Qwen's word pattern, learned from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=LEARNED_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """All texts as one stream of token ids, each text closed by <|endoftext|>."""
    end = tokenizer.token_to_id(SPECIAL_TOKENS[0])
    return np.concatenate([[*tokenizer.encode(text).ids, end] for text in texts])


def norm(size: int) -> nn.RMSNorm:
    return nn.RMSNorm(size, eps=CONFIG["rms_norm_eps"])


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class Attention(nn.Module):
    """Grouped-query attention with RMS-normalised heads and rotary positions."""

    def __init__(self) -> None:
        super().__init__()
        hidden, head = CONFIG["hidden_size"], CONFIG["head_dim"]
        heads, kv_heads = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = linear(hidden, heads * head)
        self.k_proj = linear(hidden, kv_heads * head)
        self.v_proj = linear(hidden, kv_heads * head)
        self.o_proj = linear(heads * head, hidden)
        self.q_norm, self.k_norm = norm(head), norm(head)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        split = (batch, length, -1, CONFIG["head_dim"])
        q = self.q_norm(self.q_proj(x).view(split)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(split)).transpose(1, 2)
        v = self.v_proj(x).view(split).transpose(1, 2)
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj = linear(hidden, inner)
        self.up_proj = linear(hidden, inner)
        self.down_proj = linear(inner, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.mlp = MLP()
        self.input_layernorm = norm(CONFIG["hidden_size"])
        self.post_attention_layernorm = norm(CONFIG["hidden_size"])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        hidden, head = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], hidden)
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = norm(hidden)
        frequency = CONFIG["rope_theta"] ** (-torch.arange(0, head, 2) / head)
        angle = torch.outer(torch.arange(CONTEXT), frequency).repeat(1, 2)
        self.cos, self.sin = angle.cos(), angle.sin()

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class LanguageModel(nn.Module):
    """Qwen3 with tied embeddings; parameter names are those of Qwen3ForCausalLM."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Body()
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=CONFIG["initializer_range"])

    def loss(self, windows: Tensor) -> Tensor:
        """Mean cross-entropy in nats of (batch, length + 1) token ids."""
        logits = self.model(windows[:, :-1]) @ self.model.embed_tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def train(model: LanguageModel, stream: Tensor, args: argparse.Namespace) -> None:
    """AdamW on random windows of the stream; short warm-up, then cosine to zero."""
    matrices = {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": 0.5}
    gains = {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0}
    # With the usual eps of 1e-8, rows of tokens that never occur outgrow those of all others.
    adam = {"lr": args.lr, "betas": (0.9, 0.95), "eps": 1e-5}
    optimizer = torch.optim.AdamW([matrices, gains], **adam, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=args.steps, pct_start=0.05, cycle_momentum=False
    )
    all_windows = stream.unfold(0, CONTEXT + 1, 1)
    recent, start = [], time.time()
    for step in range(1, args.steps + 1):
        loss = model.loss(all_windows[torch.randint(len(all_windows), (args.batch,))])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if step % 50 == 0:
            mean, seconds = sum(recent) / len(recent), time.time() - start
            print(f"step {step:5d}  loss {mean:.3f}  {seconds:5.0f} s", flush=True)
            recent.clear()


@torch.no_grad()
def evaluate(model: LanguageModel, stream: Tensor) -> float:
    """Mean cross-entropy in nats over consecutive windows of the stream."""
    windows = stream.unfold(0, CONTEXT + 1, CONTEXT).split(8)
    total = sum(model.loss(batch).item() * len(batch) for batch in windows)
    return total / sum(map(len, windows))


def unigram(train_stream: Tensor, test_stream: Tensor) -> float:
    """Cross-entropy in nats of the test tokens under add-one training frequencies."""
    counts = torch.bincount(train_stream, minlength=CONFIG["vocab_size"]) + 1.0
    return -(counts / counts.sum()).log()[test_stream].mean().item()


def save(model: LanguageModel, folder: Path) -> None:
    """Write bfloat16 shards in the order of the layers, and their index."""
    shards: list[dict[str, Tensor]] = [{}]
    for name, tensor in model.state_dict().items():
        if sum(t.nbytes for t in shards[-1].values()) + tensor.numel() * 2 > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = tensor.bfloat16()
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    total = sum(t.nbytes for shard in shards for t in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def load(folder: Path) -> LanguageModel:
    """The model of the saved shards, in float32."""
    model = LanguageModel()
    files = sorted(folder.glob("model-*.safetensors"))
    model.load_state_dict({k: v for file in files for k, v in load_file(file).items()})
    return model


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("texts", nargs="+", type=Path, help="text files, one document each")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--batch", type=int, default=4, help=f"windows of {CONTEXT} tokens a step")
    parser.add_argument("--lr", type=float, default=6e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    texts = [p.read_text("utf-8") for p in sorted(args.texts, key=lambda p: p.name)]
    tokenizer = train_tokenizer(texts)
    tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)
    special = {"eos_token": SPECIAL_TOKENS[0], "pad_token": SPECIAL_TOKENS[0]}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT}
    write_json(args.out / "tokenizer_config.json", kind | special)
    write_json(args.out / "config.json", CONFIG)

    held_out = torch.from_numpy(encode(tokenizer, texts[::20]))
    del texts[::20]
    stream = torch.from_numpy(encode(tokenizer, texts))
    print(f"{len(stream)} tokens to train on, {len(held_out)} held out")
    model = LanguageModel()
    train(model, stream, args)
    save(model, args.out)
    print(f"parameters: {sum(p.numel() for p in model.parameters())}")
    print(f"held-out loss of the saved model: {evaluate(load(args.out), held_out):.4f}")
    print(f"held-out loss of token frequencies: {unigram(stream, held_out):.4f}")


if __name__ == "__main__":
    main()
