"""Merged tables: roles joined, rows in reading order, every tensor in the ledger once."""

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.measurement import merge

NOW = "2026-01-01T00:00:00Z"


def test_rows_are_sorted_by_component_layer_and_name(analyzed):
    params = analyzed[0].params
    layer_indices = params["layer_index"].dropna().tolist()
    assert layer_indices == sorted(layer_indices)
    assert params["param_name"].is_unique and params["created_at"].eq(NOW).all()
    assert params.set_index("param_name").loc["model.norm.weight", "block_type"] == "norm"


def test_spectra_have_the_order_of_matrices(analyzed):
    found, matrices = analyzed[0].spectra, analyzed[0].matrices
    keys = ["param_name", "slice", "rows", "cols"]
    pd.testing.assert_frame_equal(found[keys], matrices[keys])
    assert merge.in_order_of(analyzed[0].params[:1], found)["param_name"].nunique() > 1


def test_experts_have_rows_of_their_own_in_order(analyzed):
    result, experts = analyzed
    rows = result.matrices[result.matrices["block_type"] == "moe"]
    assert rows["expert_index"].tolist() == list(range(12))
    assert rows["slice"].tolist() == [f"[{number}]" for number in range(12)]
    for number, sigma in enumerate(rows["spectral_norm"]):
        assert sigma == pytest.approx(np.linalg.norm(experts[number].astype(float), 2), rel=1e-9)
    stack = result.params[result.params["block_type"] == "moe"].iloc[0]
    assert stack["std"] == pytest.approx(experts.astype(float).std(), rel=1e-9)


def test_the_ledger_has_every_tensor_once(analyzed):
    result = analyzed[0]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    assert sorted(ledger["param_name"]) == sorted(t.name for t in result.manifest.tensors)
    counts = ledger["status"].value_counts().to_dict()
    assert counts == {"analysed": 21, "buffer": 1, "companion": 1, "unsupported": 1}
    assert ledger.loc[ledger["status"] != "analysed", "reason"].str.len().gt(10).all()


def test_a_measurement_that_is_missing_is_an_error(model):
    manifest = describe_folder(model, NOW)
    with pytest.raises(ValueError, match="not measured"):
        merge.coverage(manifest, {})
