"""Spectra in all modes, and what reaches the rows of the tables."""

import numpy as np
import pytest

from blockresearch.measurement.part import Settings, measure_tensor
from blockresearch.weights.layout import Layout
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight
from tests.conftest import bf16, write_safetensors


def row_of(tmp_path, matrix, **settings):
    path = tmp_path / "one.safetensors"
    write_safetensors(path, {"w": ("BF16", list(matrix.shape), bf16(matrix))})
    end = path.stat().st_size
    stored = Stored("w", path.name, "BF16", matrix.shape, end - 2 * matrix.size, end)
    weight = Weight(stored, Layout("matrix"))
    rows = measure_tensor({path.name: path}, weight, Settings(1e-6, **settings))
    return rows.params[0], rows.spectra[0]


def low_rank(rows=640, cols=600, rank=20):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, cols)) / 10


def test_the_rank_before_rounding_is_found(tmp_path):
    row, spectrum = row_of(tmp_path, low_rank())
    assert row["storage_rank"] == 20 and row["rank"] > 400
    assert spectrum["precision"] == "float64" and len(spectrum["singular_values"]) == 600
    assert row["storage_rank_min"] <= 20 and row["mp_sigma"] is None


def test_equal_rows_mislead_only_the_estimated_rank(tmp_path):
    """The counterexample of docs/metrics.md: rounding errors that repeat are no noise."""
    scales = np.array([1.37, 1.11, 1.73, 1.52])[np.arange(512) % 4]
    matrix = np.outer(scales, np.random.default_rng(0).standard_normal(512)) * 0.02
    row, _ = row_of(tmp_path, matrix)
    assert row["storage_rank"] == 4 and row["storage_rank_min"] == 1


def test_top_weights_are_lists_with_places(tmp_path):
    matrix = low_rank()
    matrix[7, 9] = -1000
    row, _ = row_of(tmp_path, matrix)
    assert (row["top_values"][0], row["top_rows"][0], row["top_cols"][0]) == (-1000, 7, 9)
    assert len(row["top_values"]) == len(row["top_rows"]) == 16


def test_modes_of_spectra_leave_the_unknown_missing(tmp_path):
    full, _ = row_of(tmp_path, low_rank())
    rank, _ = row_of(tmp_path, low_rank(), spectra="rank")
    assert rank["rank"] == full["rank"] and rank.get("storage_rank") is None
    assert rank["condition_number"] is None and full["condition_number"] is not None
    sketch, spectrum = row_of(tmp_path, low_rank(), spectra="sketch", sketch_above=0.0)
    assert spectrum["method"] == "sketch" and sketch["rank"] is None
    assert sketch["spectral_norm"] == pytest.approx(full["spectral_norm"], rel=1e-6)
    cheap, _ = row_of(tmp_path, low_rank(), spectra="sketch", sketch_above=1000.0)
    assert cheap["rank"] == full["rank"]
    none, spectrum = row_of(tmp_path, low_rank(), spectra="none")
    assert none.get("rank") is None and spectrum["singular_values"] is None
    assert none["nf4_sqnr_db"] == full["nf4_sqnr_db"] and none["mean"] == full["mean"]
