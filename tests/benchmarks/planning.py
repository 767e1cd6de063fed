"""Plan a checkpoint of DeepSeek-V3's shape: 163 shards, 91,000 tensors, headers only.

    python -m tests.benchmarks.planning

prints processor time and peak memory of manifest, plan and coverage. The shards are sparse files.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from blockresearch.checkpoint import plan
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.files import write_json
from blockresearch.measure import merge

SHARDS = 163
LAYERS, DENSE, EXPERTS = 61, 3, 256
CONFIG = {
    "model_type": "deepseek_v3",
    "num_hidden_layers": LAYERS,
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "n_routed_experts": EXPERTS,
    "vocab_size": 129280,
    "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}


def tensors():
    """(name, dtype, shape) of all tensors, FP8 weights each followed by its scales."""

    def quantized(name, rows, cols):
        yield f"{name}.weight", "F8_E4M3", [rows, cols]
        yield f"{name}.weight_scale_inv", "F32", [-(-rows // 128), -(-cols // 128)]

    def mlp(name, inner):
        yield from quantized(f"{name}.gate_proj", inner, 7168)
        yield from quantized(f"{name}.up_proj", inner, 7168)
        yield from quantized(f"{name}.down_proj", 7168, inner)

    yield "model.embed_tokens.weight", "BF16", [129280, 7168]
    for layer in range(LAYERS + 1):
        prefix = f"model.layers.{layer}."
        for name, rows, cols in (
            ("q_a_proj", 1536, 7168),
            ("q_b_proj", 24576, 1536),
            ("kv_a_proj_with_mqa", 576, 7168),
            ("kv_b_proj", 32768, 512),
            ("o_proj", 7168, 16384),
        ):
            yield from quantized(f"{prefix}self_attn.{name}", rows, cols)
        for name, size in (
            ("self_attn.q_a_layernorm", 1536),
            ("self_attn.kv_a_layernorm", 512),
            ("input_layernorm", 7168),
            ("post_attention_layernorm", 7168),
        ):
            yield f"{prefix}{name}.weight", "BF16", [size]
        if layer < DENSE:
            yield from mlp(f"{prefix}mlp", 18432)
            continue
        yield f"{prefix}mlp.gate.weight", "BF16", [EXPERTS, 7168]
        yield f"{prefix}mlp.gate.e_score_correction_bias", "F32", [EXPERTS]
        yield from mlp(f"{prefix}mlp.shared_experts", 2048)
        for expert in range(EXPERTS):
            yield from mlp(f"{prefix}mlp.experts.{expert}", 2048)
    prefix = f"model.layers.{LAYERS}."
    for name in ("enorm", "hnorm", "shared_head.norm"):
        yield f"{prefix}{name}.weight", "BF16", [7168]
    yield f"{prefix}eh_proj.weight", "BF16", [7168, 14336]
    yield "model.norm.weight", "BF16", [7168]
    yield "lm_head.weight", "BF16", [129280, 7168]


def write(folder: Path) -> int:
    """Write the shards, filled by size as exporters do; returns the number of tensors."""
    size = {"F8_E4M3": 1, "BF16": 2, "F32": 4}
    listed = [
        (name, dtype, shape, size[dtype] * shape[0] * (shape[1] if len(shape) > 1 else 1))
        for name, dtype, shape in tensors()
    ]
    limit = sum(entry[3] for entry in listed) / SHARDS
    weight_map, header, position, number, done = {}, {}, 0, 1, 0
    for count, (name, dtype, shape, nbytes) in enumerate(listed, 1):
        shard = f"model-{number:05d}-of-{SHARDS:05d}.safetensors"
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
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return len(listed)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{write(folder):,} tensors", file=sys.stderr)
        started = time.process_time()
        manifest = describe_folder(folder, "now", hashed=False)
        described = time.process_time()
        planned = plan.make_plan(manifest)
        made = time.process_time()
        write_manifest(manifest, folder / "manifest")
        write_json(plan.plan_json(planned), folder / "plan")
        written = time.process_time()
        measured = {weight.name: 1 for part in planned for weight in part.weights}
        ledger = merge.coverage(manifest, measured)
        done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"manifest {described - started:.1f} s, plan {made - described:.1f} s,", end=" ")
    print(f"coverage {done - written:.1f} s, writing {written - made:.1f} s; peak {peak:.0f} MB;")
    print(f"{len(planned)} parts;", end=" ")
    print(ledger["status"].value_counts().to_dict(), manifest.totals, manifest.index)
    print(f"with companions elsewhere: {sum(bool(part.companions) for part in planned)}")


if __name__ == "__main__":
    main()
