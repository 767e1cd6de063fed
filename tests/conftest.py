"""Small checkpoints made by the tests, and the folder of the project."""

import contextlib
import io
import json
import logging
import os
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# Before NumPy is loaded: two processes of tests with two threads each on two cores wait for each
# other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    """Write a safetensors file byte by byte, so that any dtype and any flaw can be made."""
    header, position = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [position, position + len(data)],
        }
        position += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(data for _, _, data in tensors.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def bf16(values: np.ndarray) -> bytes:
    """float32 values cut to bfloat16, as stored bytes."""
    return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def small_model(folder: Path, seed: int = 0, layers: int = 2, width: int = 16) -> Path:
    """A llama-like checkpoint of two shards with index and config, a few thousand parameters."""
    random = np.random.default_rng(seed)

    def tensor(*shape: int) -> tuple[str, list[int], bytes]:
        return "BF16", list(shape), bf16(random.normal(0, 0.1, shape))

    shards: list[dict] = [{"model.embed_tokens.weight": tensor(64, width)}, {}]
    for layer in range(layers):
        place = shards[layer % 2]
        prefix = f"model.layers.{layer}."
        for name in ("q", "k", "v", "o"):
            place[f"{prefix}self_attn.{name}_proj.weight"] = tensor(width, width)
        for name in ("gate", "up"):
            place[f"{prefix}mlp.{name}_proj.weight"] = tensor(3 * width, width)
        place[f"{prefix}mlp.down_proj.weight"] = tensor(width, 3 * width)
        place[f"{prefix}input_layernorm.weight"] = tensor(width)
    shards[1]["model.norm.weight"] = tensor(width)
    names = [f"model-{number:05d}-of-00002.safetensors" for number in (1, 2)]
    for name, tensors in zip(names, shards, strict=True):
        write_safetensors(folder / name, tensors)
    weight_map = {t: name for name, some in zip(names, shards, strict=True) for t in some}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": layers,
        "hidden_size": width,
        "vocab_size": 64,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small llama-like checkpoint."""
    return small_model(tmp_path / "small-model")


def assert_same_numbers(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Two tables of two processes are equal to the last bit, whenever they were made."""
    dated = "created_at"
    pd.testing.assert_frame_equal(
        one.drop(columns=dated, errors="ignore"),
        other.drop(columns=dated, errors="ignore"),
        check_exact=True,
    )


def run_script(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Run workflow/scripts/<name>.py as a user would."""
    return subprocess.run(
        [sys.executable, str(ROOT / "workflow" / "scripts" / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
    )


def call_script(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """The same in this process, which has most libraries already: starting one takes seconds."""
    root, ends = logging.getLogger(), (signal.SIGINT, signal.SIGTERM)
    before = root.handlers[:], root.level, [signal.getsignal(end) for end in ends], sys.argv
    script = str(ROOT / "workflow" / "scripts" / f"{name}.py")
    code: object = 0
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        sys.argv = [script, *map(str, arguments)]
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        finally:
            root.handlers[:], root.level, handlers, sys.argv = before
            for end_signal, handler in zip(ends, handlers, strict=True):
                signal.signal(end_signal, handler)
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    return subprocess.CompletedProcess(sys.argv, code, out.getvalue(), errors.getvalue())


def copy_without_machine_code(source: Path, target: Path) -> None:
    """Copy a folder of sources, with what Python itself has compiled."""
    ignored = shutil.ignore_patterns("compiled-*", "fingerprints.json")
    shutil.copytree(source, target, ignore=ignored)
