"""The information check: what is made of codes is noted by name, what is a weight is not."""

import json

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.cases.checkpoints import Raw, brain, llama, save, to_e4m3

RANDOM = np.random.default_rng(5)
SHAPE = (64, 48)

CODED = {
    "words_as_bf16": Raw("BF16", RANDOM.integers(0, 2**16, SHAPE).astype("<u2")),
    "words_as_f16": Raw("F16", RANDOM.integers(0, 2**16, SHAPE).astype("<u2")),
    "bytes_as_e4m3": Raw("F8_E4M3", RANDOM.integers(0, 256, SHAPE).astype("u1")),
    "scaled_e4m3": Raw("F8_E4M3", to_e4m3(RANDOM.normal(0, 110, SHAPE).clip(-448, 448))),
    "bytes": RANDOM.integers(0, 256, SHAPE).astype("u1"),
    "nibbles_as_f32": RANDOM.integers(0, 16, SHAPE).astype("<f4"),
    "signed_as_bf16": brain(RANDOM.integers(-8, 8, SHAPE)),
    "scales": RANDOM.uniform(1e-3, 3e-3, SHAPE).astype("<f4"),
    "negative_scales": brain(-RANDOM.uniform(1e-3, 3e-3, SHAPE)),
}
SOUND = {
    "normal_f32": RANDOM.normal(0, 0.02, SHAPE).astype("<f4"),
    "heavy_tails": brain(RANDOM.standard_t(3, SHAPE)),
    "direct_cast": Raw("F8_E4M3", to_e4m3(RANDOM.normal(0, 0.02, SHAPE))),
    "ternary": brain(RANDOM.integers(-1, 2, SHAPE) * 0.05),
    "shifted": brain(RANDOM.normal(0.01, 0.02, SHAPE)),
    "one_nan": np.where(np.eye(*SHAPE), np.nan, RANDOM.normal(0, 0.02, SHAPE)).astype("<f4"),
    "all_nan": np.full(SHAPE, np.nan, "<f4"),
    "all_nan_e4m3": Raw("F8_E4M3", np.full(SHAPE, 127, "u1")),
    "folded_norm": np.full((1, 512), 1.5, "<f4") + RANDOM.normal(0, 0.1, (1, 512)).astype("<f4"),
}


def noted(folder, matrix):
    tensors, config = llama()
    tensors["model.layers.0.odd_proj.weight"] = matrix
    save(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    settings = Settings(sparsity_threshold=1e-6)
    result = analyze_folder(str(folder), settings, 1, "2026-01-01T00:00:00Z")
    found = audit.audit(result.manifest, result.params, result.coverage)["findings"]
    return [(f["severity"], f["where"]) for f in found if f["check"] == "looks_coded"]


@pytest.mark.parametrize("name", CODED)
def test_codes_that_were_measured_are_noted(name, tmp_path):
    assert noted(tmp_path, CODED[name]) == [("note", "model.layers.0.odd_proj.weight")]


@pytest.mark.parametrize("name", SOUND)
def test_weights_are_not_taken_for_codes(name, tmp_path):
    assert noted(tmp_path, SOUND[name]) == []
