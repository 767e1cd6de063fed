"""Matrices of MLPs are read with the norms around them, and experts are left out."""

import numpy as np

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.mlps import read_mlp
from blockresearch.circuits.places import layer_norms, mlp_places
from tests.cases import comparisons
from tests.cases import experts as mixtures
from tests.unit.circuits.test_direction_rows import CONFIG, LAYER, NOW, tensors


def read(folder, stored, config):
    model = comparisons.write(folder, stored, config)
    manifest = describe_folder(str(model), NOW, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    norms = layer_norms(manifest)
    return {
        matrix.block: matrix
        for tensor in mlp_places(manifest)
        for matrix in read_mlp(manifest, files, tensor, norms["text", 0])
    }


def test_the_norm_before_the_mlp_is_folded_in(tmp_path):
    stored = tensors()
    found = read(tmp_path / "model", stored, CONFIG)
    gamma = stored[f"{LAYER}.post_attention_layernorm.weight"]
    gate = stored[f"{LAYER}.mlp.gate_proj.weight"]
    assert np.allclose(found["gate_proj"].vectors, gate * gamma, rtol=1e-6)
    assert found["gate_proj"].norm == "post_attention_layernorm"
    down = stored[f"{LAYER}.mlp.down_proj.weight"]
    assert (found["down_proj"].vectors == down.T).all() and found["down_proj"].norm is None


def test_experts_are_left_out(tmp_path):
    found = describe_folder(
        str(comparisons.write(tmp_path / "model", mixtures.independent(), mixtures.CONFIG)),
        NOW,
        hashed=False,
    )
    assert mlp_places(found) == []


def test_values_that_are_not_finite_are_left_out(tmp_path):
    stored = tensors()
    stored[f"{LAYER}.mlp.up_proj.weight"][0, 0] = np.nan
    assert set(read(tmp_path / "model", stored, CONFIG)) == {"gate_proj", "down_proj"}
