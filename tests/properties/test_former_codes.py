"""Weights that were dequantized from a GGUF file are recognized by their values."""

import os
from pathlib import Path

import pytest

from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.tools import real_models

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.slow
def test_former_codes_of_a_gguf_file_are_recognized(tmp_path):
    wheels = Path(os.environ.get("BLOCKRESEARCH_WHEELS", tmp_path))
    folder = real_models.smollm2(tmp_path / "smollm2", wheels, layers=(7,))
    settings = Settings(1e-6, spectra="none")
    params = analyze_folder(str(folder), settings, os.cpu_count() or 1, NOW).params
    found = params[params["cols"] > 1].set_index("param_name")[["coded_bits", "coded_group"]]
    embedding = found.loc["model.embed_tokens.weight"]
    assert embedding.tolist() == [8, 32]
    rest = found.drop("model.embed_tokens.weight").dropna()
    assert len(rest) == 7 and (rest["coded_bits"] == 4).all() and (rest["coded_group"] == 32).all()
