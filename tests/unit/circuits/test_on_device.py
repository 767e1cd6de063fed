"""Circuits on a device have the numbers of the CPU: here on torch's CPU device."""

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.circuits.bases import read_blocks
from blockresearch.circuits.direction_rows import Tokens, direction_rows
from blockresearch.circuits.directions import read_directions
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.part import TABLES, measure_layers
from blockresearch.tables.io import read_table
from tests.cases import comparisons, experts
from tests.cases.checkpoints import Raw

torch = pytest.importorskip("torch")

WIDTH, INNER, HEADS, GROUPS, SIZE, TOKENS = 160, 320, 4, 2, 40, 500

# Distances of nearly equal numbers agree less, and directions by these distances.
CLOSE = {"gap": 1e-3, "vector": 1e-3}


def layer(random, number, is_fused):
    """Attention with shared keys and biases, and an MLP with a strong direction."""
    start = f"model.layers.{number}"
    rows = {"q": HEADS * SIZE, "k": GROUPS * SIZE, "v": GROUPS * SIZE}
    qkv = {name: 0.1 * random.standard_normal((count, WIDTH)) for name, count in rows.items()}
    strong = np.outer(random.standard_normal(INNER), random.standard_normal(WIDTH))
    gate, up, down = (0.1 * random.standard_normal((INNER, WIDTH)) + 0.05 * strong for _ in "gud")
    found = {
        f"{start}.input_layernorm.weight": random.uniform(0.5, 2, WIDTH),
        f"{start}.post_attention_layernorm.weight": random.uniform(0.5, 2, WIDTH),
        f"{start}.self_attn.o_proj.weight": 0.1 * random.standard_normal((WIDTH, HEADS * SIZE)),
        f"{start}.mlp.down_proj.weight": down.T,
    }
    if is_fused:
        # With an offset a norm subtracts the mean.
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{start}.{name}.bias"] = random.standard_normal(WIDTH)
        found[f"{start}.self_attn.qkv_proj.weight"] = np.concatenate(list(qkv.values()))
        found[f"{start}.mlp.gate_up_proj.weight"] = np.concatenate([gate, up])
        return found
    for name, weight in qkv.items():
        found[f"{start}.self_attn.{name}_proj.weight"] = weight
        found[f"{start}.self_attn.{name}_proj.bias"] = random.standard_normal(len(weight))
    return found | {f"{start}.mlp.gate_proj.weight": gate, f"{start}.mlp.up_proj.weight": up}


def dense(is_fused):
    random = np.random.default_rng(is_fused)
    found = layer(random, 0, is_fused) | layer(random, 1, is_fused)
    # The first keys of the second layer read what the first head of the first one writes.
    written = found["model.layers.0.self_attn.o_proj.weight"][:, :SIZE].T
    reads = found[f"model.layers.1.self_attn.{'qkv' if is_fused else 'k'}_proj.weight"]
    start = HEADS * SIZE * is_fused
    reads[start : start + SIZE] = written / found["model.layers.1.input_layernorm.weight"]
    for name in ("model.embed_tokens", "lm_head")[: 1 + is_fused]:
        found[f"{name}.weight"] = random.standard_normal((TOKENS, WIDTH)) + 1
    found["model.norm.weight"] = random.uniform(0.5, 2, WIDTH)
    return found, {
        "model_type": "phi3" if is_fused else "llama",
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "vocab_size": TOKENS,
        "tie_word_embeddings": not is_fused,
        "rope_theta": 10_000,
    }


def mixture():
    found = experts.independent()
    experts.duplicate(found, 2, 7)
    return found, experts.CONFIG


MODELS = {"plain": lambda: dense(False), "fused": lambda: dense(True), "experts": mixture}


def bfloat16(weight):
    return (np.ascontiguousarray(weight, "<f4").view("<u4") >> 16).astype("<u2")


@pytest.fixture(params=MODELS)
def model(request, tmp_path):
    """A manifest of a model in BF16, and its files."""
    tensors, config = MODELS[request.param]()
    half = {name: Raw("BF16", bfloat16(weight)) for name, weight in tensors.items()}
    folder = comparisons.write(tmp_path / "model", half, config)
    manifest = describe_folder(str(folder), "2026-01-01T00:00:00Z", hashed=False)
    return manifest, {file.path: manifest.path_of(file.path, "") for file in manifest.shards}


def measured(model, prefix, device):
    manifest, files = model
    (group,) = layer_groups(manifest_json(manifest))
    measure_layers(manifest, files, group.layers, prefix, ["key", "value"], device)
    tables = {name: read_table(f"{prefix}.{name}.parquet", name) for name in TABLES}
    directions = read_directions(f"{prefix}.directions.npz")
    blocks = read_blocks(f"{prefix}.bases.npz")
    tables["graph"] = pd.DataFrame(graph_rows(blocks, threads=2, device=device))
    # Tokens of the CPU's directions, which the other ones are close to.
    kept = Tokens([str(token) for token in range(TOKENS)], np.arange(TOKENS) % 5 > 0)
    known = read_directions(prefix.with_name("cpu.directions.npz"))
    rows = direction_rows(manifest, files, known, kept, kept, device=device)
    tables["tokens"] = pd.DataFrame(rows)
    tables["directions"] = pd.DataFrame([each.row for each in directions])
    tables["vectors"] = pd.DataFrame({"vector": [each.vector for each in directions]})
    return tables


def assert_close(found, expected):
    """Real numbers agree to 1e-5, cosines near 0 to 1e-7, and the rest is equal."""
    for name, table in expected.items():
        assert list(found[name]) == list(table) and len(found[name]) == len(table), name
        for column in table:
            for one, other in zip(found[name][column], table[column], strict=True):
                if isinstance(other, float | list | np.ndarray):
                    size = float(np.abs(other).max()) if np.size(other) else 0.0
                    bound = CLOSE.get(column, 1e-5) * size + 1e-7
                    bound += 1e-5 * column.endswith("_z")
                    np.testing.assert_allclose(one, other, 0, bound, err_msg=f"{name} {column}")
                else:
                    assert one is other or one == other or pd.isna(other), (name, column)


def test_a_device_has_the_numbers_of_the_cpu(model, tmp_path, caplog):
    expected = measured(model, tmp_path / "cpu", "cpu")
    assert_close(measured(model, tmp_path / "device", "torch-cpu"), expected)
    assert not caplog.records
    if not len(expected["experts"]):
        assert len(expected["attention_heads"]) == 2 * HEADS
        assert expected["attention_heads"]["qk_spectral_norm"].notna().all()
        assert len(expected["amplifiers"]) == 8 and len(expected["graph"]) > 0
        assert len(expected["tokens"]) == len(expected["directions"]) > 80


def test_a_full_device_falls_back_to_the_cpu(model, tmp_path, monkeypatch, caplog):
    """The tables are then those of the CPU, bit for bit."""
    expected = measured(model, tmp_path / "cpu", "cpu")

    def full(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("blockresearch.circuits.lens_on_device._Extremes", full)
    monkeypatch.setattr("blockresearch.circuits.on_device.OnDevice.double", full)
    monkeypatch.setattr("blockresearch.circuits.on_device.OnDevice.energy", full)
    monkeypatch.setattr("blockresearch.circuits.on_device.OnDevice.eigenvalues", full)
    found = measured(model, tmp_path / "device", "torch-cpu")
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table)
    assert "on torch-cpu: no memory: using the CPU" in caplog.text
