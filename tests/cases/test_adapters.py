"""Adapters of public reports have the right changes of weights, or none and a true reason."""

import json

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.measurement import merge
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from blockresearch.naming.adapter_names import parameter
from tests.cases.adapters import CASES
from tests.cases.checkpoints import save


def module_of(name):
    found = parameter(name)
    return found and f"{found.module} {found.adapter}".strip()


@pytest.mark.parametrize("name", CASES)
def test_changes_are_right_or_left_out(name, tmp_path):
    files, right = CASES[name]()
    metadata = files.pop("metadata", None)
    for file, content in files.items():
        if file.endswith(".json"):
            (tmp_path / file).write_text(json.dumps(content))
        else:
            save(tmp_path / file, content, metadata)
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, "2026-01-01T00:00:00Z")
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    reasons = ledger.set_index("param_name")["reason"].fillna("")
    deltas = result.matrices[result.matrices["slice"].fillna("").str.endswith("delta")]
    modules = deltas["param_name"].map(module_of)
    assert set(modules) == {m for m, wanted in right.items() if not isinstance(wanted, str)}
    for module, wanted in right.items():
        factors = [tensor for tensor in reasons.index if module_of(tensor) == module]
        if isinstance(wanted, str):
            assert factors and all(wanted in reasons[tensor] for tensor in factors)
            continue
        rows = deltas[modules == module]
        stack = wanted if wanted.ndim == 3 else wanted[None]
        numbers = rows["expert_index"].dropna().tolist()
        assert len(rows) == len(stack)
        assert numbers == (list(range(len(stack))) if wanted.ndim == 3 else [])
        for row, change in zip(rows.itertuples(), stack, strict=True):
            values = np.linalg.svd(change, compute_uv=False)
            assert (row.rows, row.cols) == change.shape
            assert row.spectral_norm == pytest.approx(values[0], rel=1e-6)
            assert row.frobenius_norm == pytest.approx(np.linalg.norm(change), rel=1e-6)
            assert row.std == pytest.approx(change.std(), rel=1e-6)
            limit = values[0] * max(change.shape) * np.finfo("f4").eps
            assert row.rank == (values > limit).sum()
    assert not {tensor for tensor in result.params["param_name"] if tensor.endswith(".alpha")}
    adapters = result.params[result.params["param_name"].map(module_of).notna()]
    assert (adapters["component"] == "adapter").all() and len(adapters)
    places = adapters[adapters["param_name"].str.contains("layers|transformer_blocks")]
    assert places["layer_index"].notna().all() and (places["block_type"] != "other").all()
    found = audit.audit(result.manifest, result.params, ledger)["findings"]
    assert not [finding for finding in found if finding["severity"] != "note"]
