"""How fast names, plans and quantized weights are read.

    python -m tests.benchmarks.formats

writes a section of RESULTS.md: names classified a second, by a process that has classified none
before and by one that has; time and peak memory of planning a checkpoint of DeepSeek-V3's shape;
gigabytes of dequantized output a second of one core, scheme by scheme. No model is needed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from blockresearch.checkpoint import plan
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.naming.roles import classify
from blockresearch.safetensors.dtypes import DTYPES, nbytes
from blockresearch.weights.reading import open_tensor
from tests.benchmarks import planning
from tests.benchmarks.results import machine, write_section
from tests.conftest import write_safetensors

SIZE = 4096  # rows and columns of the dequantized weight
GROUPS = SIZE // 128
REPEATS = 3
PLAIN = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm"),
)


def naming_speed() -> dict[str, float]:
    """Names a second of a new process, for a small and for a large checkpoint."""
    small = [
        (f"model.layers.{layer}.{module}.weight", (8, 8), "F32")
        for layer in range(30)
        for module in PLAIN
    ]
    large = [(name, tuple(shape), dtype) for name, dtype, shape in planning.MODEL.tensors()]
    speeds = {}
    for tensors in (small, large):
        for state in ("cold", "warm"):
            started = time.process_time()
            classify(tensors, planning.MODEL.config())
            seconds = time.process_time() - started
            speeds[f"{len(tensors):,} names, {state}"] = len(tensors) / seconds
    return speeds


def schemes() -> dict[str, tuple[dict, dict]]:
    """For each scheme types and shapes of the tensors of a weight [SIZE, SIZE], and its config."""
    half, per_group = SIZE // 2, {"bits": 4, "group_size": 128}
    return {
        "fp8 block": ({"weight": "F8_E4M3 4096 4096", "weight_scale_inv": "F32 32 32"}, {}),
        "fp8": ({"weight": "F8_E4M3 4096 4096", "weight_scale": "F32 4096 1"}, {}),
        "int8": ({"weight": "I8 4096 4096", "weight_scale": "F32 4096 1"}, {}),
        "mxfp4": ({"x_blocks": "U8 4 1024 128 16", "x_scales": "U8 4 1024 128"}, {}),
        "nvfp4": (
            {
                "weight_packed": f"U8 4096 {half}",
                "weight_scale": "F8_E4M3 4096 256",
                "weight_global_scale": "F32 1",
            },
            {},
        ),
        "pack-quantized": (
            {"weight_packed": "I32 4096 512", "weight_scale": f"BF16 4096 {GROUPS}"},
            {"config_groups": {"g": {"weights": {"num_bits": 4, "group_size": 128}}}},
        ),
        "gptq, 4 bits": (
            {
                "qweight": "I32 512 4096",
                "qzeros": f"I32 {GROUPS} 512",
                "scales": f"F16 {GROUPS} 4096",
            },
            {**per_group, "quant_method": "gptq"},
        ),
        "gptq, 3 bits": (
            {
                "qweight": "I32 384 4096",
                "qzeros": f"I32 {GROUPS} 384",
                "scales": f"F16 {GROUPS} 4096",
            },
            {**per_group, "bits": 3, "quant_method": "gptq"},
        ),
        "awq": (
            {
                "qweight": "I32 4096 512",
                "qzeros": f"I32 {GROUPS} 512",
                "scales": f"F16 {GROUPS} 4096",
            },
            {},
        ),
        "bitsandbytes int8": ({"weight": "I8 4096 4096", "SCB": "F32 4096"}, {}),
        "bitsandbytes nf4": (
            {
                "weight": f"U8 {SIZE * half} 1",
                "weight.absmax": f"F32 {SIZE * SIZE // 64}",
                "weight.quant_map": "F32 16",
                "weight.quant_state.bitsandbytes__nf4": json.dumps(
                    {"shape": [SIZE, SIZE], "blocksize": 64}
                ),
            },
            {},
        ),
        "mlx affine": (
            {"weight": "U32 4096 512", "scales": "BF16 4096 64", "biases": "BF16 4096 64"},
            {"bits": 4, "group_size": 64},
        ),
        "torchao int8": (
            {"_weight_qdata": "I8 4096 4096", "_weight_scale": "F32 4096 1"},
            {"quant_method": "torchao"},
        ),
    }


def stored(text: str, random: np.random.Generator) -> tuple[str, list[int], bytes]:
    """A tensor of random small values from its type and shape, or a state as it is."""
    if text.startswith("{"):
        return "U8", [len(text)], text.encode()
    dtype, *sizes = text.split()
    shape = [int(size) for size in sizes]
    if dtype in ("F32", "F16"):
        kind = {"F32": "<f4", "F16": "<f2"}[dtype]
        return dtype, shape, random.random(shape).astype(kind).tobytes()
    count = nbytes(dtype, int(np.prod(shape)))
    top = 60 if DTYPES[dtype].kind == "float" else 120
    return dtype, shape, random.integers(0, top, count, dtype=np.uint8).tobytes()


def dequantizing_speed() -> dict[str, float]:
    """Bytes of float32 output a second of one core."""
    random = np.random.default_rng(0)
    speeds = {}
    for what, (tensors, config) in schemes().items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_safetensors(
                folder / "model.safetensors",
                {f"p.{end}": stored(text, random) for end, text in tensors.items()},
            )
            (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
            (part,) = plan.make_plan(describe_folder(folder, "now", hashed=False))
            (weight,) = part.weights
            files = {shard.shard: folder / shard.shard for shard in part.shards}
            seconds = []
            for _ in range(REPEATS):
                started = time.process_time()
                grid = open_tensor(files, weight).grid
                for row in range(0, grid.rows, 512):
                    grid.read(row, min(row + 512, grid.rows))
                seconds.append(time.process_time() - started)
            speeds[what] = 4 * SIZE * SIZE / min(seconds)
    return speeds


def main() -> None:
    named = naming_speed()
    planned = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.planning"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [
        f"Machine: {machine()}; one thread, processor time.",
        "",
        "| what | speed |",
        "|---|---|",
        *(f"| naming, {what} | {speed:,.0f} names/s |" for what, speed in named.items()),
        *(
            f"| dequantizing, {what} | {speed / 1e9:.2f} GB/s |"
            for what, speed in dequantizing_speed().items()
        ),
        "",
        "Planning a checkpoint of DeepSeek-V3's shape, 163 shards:",
        "",
        "```",
        planned.strip(),
        "```",
    ]
    write_section("Names, plans and quantized weights", "\n".join(lines))


if __name__ == "__main__":
    main()
