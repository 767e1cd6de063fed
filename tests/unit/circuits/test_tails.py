"""Matrices of layers get their exponents, whatever their shape and place in the file."""

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.expert_sample import MOST_EXPERTS, sampled_experts
from blockresearch.circuits.tails import fits, tail_rows
from blockresearch.tables.io import frame
from tests.cases import comparisons

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("is_stacked", [False, True])
def test_a_sample_of_many_experts_has_exponents(tmp_path, is_stacked):
    count, random = MOST_EXPERTS + 14, np.random.default_rng(0)
    start, shape = "model.layers.0.mlp.experts", (20, 24)
    if is_stacked:
        tensors = {f"{start}.down_proj": random.standard_normal((count, *shape))}
    else:
        names = [f"{start}.{number}.down_proj.weight" for number in range(count)]
        tensors = {name: random.standard_normal(shape) for name in names}
    tensors["model.layers.0.mlp.shared_expert.down_proj.weight"] = random.standard_normal(shape)
    tensors = {key: values.astype("<f4") for key, values in tensors.items()}
    config = {"model_type": "qwen3_moe", "num_experts": count}
    folder = comparisons.write(tmp_path / "model", tensors, config)
    manifest = describe_folder(str(folder), NOW, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    rows = list(tail_rows(manifest, files, [("text", 0)]))
    numbers = [row["expert_index"] for row in rows if row["role"] == "routed"]
    assert numbers == sampled_experts(range(count)) and len(numbers) == MOST_EXPERTS
    assert [row["layer_experts"] for row in rows if row["role"] == "routed"] == [count] * 16
    assert len(rows) == MOST_EXPERTS + 1 and all(row["alpha_square"] for row in rows)


def test_matrices_of_layers_have_exponents(tmp_path):
    random = np.random.default_rng(0)
    name = "model.layers.0.mlp.{}.weight".format
    shapes = {"up_proj": (256, 64), "gate_proj": (256, 64), "down_proj": (64, 256)}
    tensors = {name(key): random.standard_normal(shape) for key, shape in shapes.items()}
    tensors[name("gate_proj")][3, 3] = np.nan
    tensors["model.embed_tokens.weight"] = random.standard_normal((99, 64))
    tensors["model.layers.0.input_layernorm.weight"] = np.ones(64)
    tensors = {key: values.astype("<f4") for key, values in tensors.items()}
    folder = comparisons.write(tmp_path / "model", tensors, {"model_type": "llama"})
    manifest = describe_folder(str(folder), NOW, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    up = np.linalg.svd(tensors[name("up_proj")], compute_uv=False).astype(np.float64)
    rows = {row["param_name"]: row for row in tail_rows(manifest, files, [("text", 0)])}
    assert set(rows) == {name(key) for key in shapes}
    assert "alpha_square" not in rows[name("gate_proj")]
    for key in ("up_proj", "down_proj"):
        assert rows[name(key)]["alpha_square"] == pytest.approx(2.1, abs=0.1)
    again = list(tail_rows(manifest, files, [("text", 0), ("text", 1)]))
    assert again[0]["alpha_permuted"] == rows[again[0]["param_name"]]["alpha_permuted"]
    assert not list(tail_rows(manifest, files, [("text", 1)]))
    table, spectra = frame(again, "heavy_tails"), {(name("up_proj"), ""): up}
    found = dict(zip(table["param_name"], fits(table, spectra), strict=True))
    assert 0 <= found[name("up_proj")] <= 1 and found[name("down_proj")] is None
    assert fits(table, spectra, threads=2) == list(found.values())
