"""Small checkpoints by hand: safetensors files, types that NumPy does not have, a tiny llama.

The cases of a file are functions in a `Cases`; each test runs them all.
"""

import json
import struct

import numpy as np

NAMES = {
    **{"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<u4": "U32"},
    **{"<i2": "I16", "<u2": "U16", "|i1": "I8", "|u1": "U8", "|b1": "BOOL"},
}


class Cases(dict):
    """Cases by the names of the functions that build them."""

    def add(self, build):
        """Register a function; used as a decorator."""
        self[build.__name__] = build
        return build


class Raw:
    """Codes of a type that NumPy does not have, [*shape] of integers."""

    def __init__(self, dtype, codes):
        self.dtype, self.codes = dtype, np.ascontiguousarray(codes)
        self.shape = self.codes.shape


def to_bf16(values):
    """The nearest bfloat16 codes, uint16."""
    bits = np.asarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bf16(codes):
    """Values of bfloat16 codes, float32."""
    return (codes.astype("<u4") << 16).view("<f4")


def brain(values):
    """Values rounded to bfloat16, to be stored."""
    return Raw("BF16", to_bf16(values))


def _e4m3_values():
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    normal = (1 + mantissa / 8) * 2.0 ** (exponent - 7.0)
    values = np.where(exponent == 0, mantissa / 8 * 2.0**-6, normal)
    values[(code & 127) == 127] = np.nan
    return np.where(code & 128, -values, values).astype("<f4")


E4M3 = _e4m3_values()

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], "<f4")


def to_e4m3(values):
    """The nearest codes of F8_E4M3, uint8."""
    distance = np.abs(np.abs(np.asarray(values, "f8"))[..., None] - E4M3[:127].astype("f8"))
    return distance.argmin(-1).astype("u1") | (np.signbit(values).astype("u1") << 7)


def save(path, tensors, metadata=None):
    """Write tensors (arrays or Raw) as a safetensors file."""
    header, blobs, position = {"__metadata__": metadata} if metadata else {}, [], 0
    for name, tensor in tensors.items():
        shape = list(np.shape(tensor.codes if isinstance(tensor, Raw) else tensor))
        raw = tensor if isinstance(tensor, Raw) else Raw(NAMES[tensor.dtype.str], tensor)
        data = raw.codes.tobytes()
        end = position + len(data)
        header[name] = {"dtype": raw.dtype, "shape": shape, "data_offsets": [position, end]}
        blobs.append(data)
        position = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def llama(hidden=32, inter=64, seed=0):
    """Tensors and config of a llama of two layers with random weights."""
    random = np.random.default_rng(seed)

    def normal(*shape):
        return brain(random.normal(0, 0.02, shape))

    tensors = {"model.embed_tokens.weight": normal(64, hidden)}
    for layer in range(2):
        start = f"model.layers.{layer}."
        for word in "qkvo":
            tensors[f"{start}self_attn.{word}_proj.weight"] = normal(hidden, hidden)
        tensors[f"{start}mlp.gate_proj.weight"] = normal(inter, hidden)
        tensors[f"{start}mlp.up_proj.weight"] = normal(inter, hidden)
        tensors[f"{start}mlp.down_proj.weight"] = normal(hidden, inter)
        for word in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{start}{word}.weight"] = brain(1 + random.normal(0, 0.05, hidden))
    tensors["model.norm.weight"] = brain(1 + random.normal(0, 0.05, hidden))
    tensors["lm_head.weight"] = normal(64, hidden)
    config = {
        **{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden},
        **{"intermediate_size": inter, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"num_key_value_heads": 4, "vocab_size": 64, "tie_word_embeddings": False},
    }
    return tensors, config


def mlp(layer, name):
    """Name of a part of an MLP of that llama."""
    return f"model.layers.{layer}.mlp.{name}"


def without(case, *ends):
    """A case that lost all tensors of these endings; none of its weights can be read."""
    tensors, config, right = case
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(ends)}
    return kept, config, dict.fromkeys(right, ends[0].strip("._"))


def pack_words(codes, bits):
    """Codes of each row in words, 32 // bits whole ones in a word, the first lowest: uint32."""
    per_word = 32 // bits
    codes = np.asarray(codes, "<u4")
    padding = [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % per_word)]
    parts = np.pad(codes, padding).reshape(*codes.shape[:-1], -1, per_word)
    places = np.arange(per_word, dtype="<u4") * np.uint32(bits)
    return np.bitwise_or.reduce(parts << places, axis=-1).astype("<u4")


def pack_dense(codes, bits):
    """Codes of each row bit after bit without gaps, in words: uint32."""
    stream = (np.asarray(codes, "u1")[..., None] >> np.arange(bits, dtype="u1")) & 1
    stream = stream.reshape(*codes.shape[:-1], -1)
    padding = [(0, 0)] * (stream.ndim - 1) + [(0, -stream.shape[-1] % 32)]
    return np.packbits(np.pad(stream, padding), axis=-1, bitorder="little").view("<u4")
