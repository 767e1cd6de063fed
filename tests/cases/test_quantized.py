"""Quantized checkpoints of public reports have their right weights, or none and a true reason.

A case is a function that returns (tensors, config, right): `right` gives the weights of a stored
tensor, or the word that the reason of an unsupported one contains. Sources are public issues and
pull requests of the libraries that write or read these files.
"""

import json

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.measurement import merge
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.cases.checkpoints import Raw, save
from tests.cases.quantized import bitsandbytes, float4, gptq, packed, scaled, sparse

FILES = (bitsandbytes, float4, gptq, packed, scaled, sparse)
CASES = {name: build for file in FILES for name, build in file.CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_weights_are_right_or_left_out(name, tmp_path):
    tensors, config, right = CASES[name]()
    save(tmp_path / "model.safetensors", tensors)
    if beside := config.pop("quantize_config.json", None):
        (tmp_path / "quantize_config.json").write_text(json.dumps(beside))
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = analyze_folder(str(tmp_path), Settings(1e-6), 1, "2026-01-01T00:00:00Z")
    params = result.params.set_index("param_name")
    refused = merge.refused(result.params, result.spectra)
    ledger = merge.coverage(result.manifest, params["numel"], refused)
    status = ledger.set_index("param_name")
    for tensor, wanted in right.items():
        if isinstance(wanted, str):
            assert status.loc[tensor, "status"] == "unsupported"
            assert wanted in status.loc[tensor, "reason"] and tensor not in params.index
            continue
        assert tensor in params.index, status.loc[tensor, "reason"]
        row, wanted = params.loc[tensor], np.asarray(wanted, float)
        assert row["mean"] == pytest.approx(wanted.mean(), abs=1e-6 * wanted.std())
        assert row["std"] == pytest.approx(wanted.std(), rel=1e-6)
        assert row["numel"] == wanted.size
        matrices = result.matrices[result.matrices["param_name"] == tensor]
        experts = wanted if wanted.ndim == 3 else wanted[None]
        energy = sum(np.linalg.norm(expert) ** 2 for expert in experts)
        assert (matrices["frobenius_norm"] ** 2).sum() == pytest.approx(energy, rel=1e-6)
        assert matrices["expert_index"].nunique() in (0, len(experts))
    # Nothing that quantization stores beside codes is a weight.
    plain = {n for n, t in tensors.items() if isinstance(t, Raw) and t.dtype == "BF16"}
    plain -= {n for n in tensors if n.endswith(("_scale", "_factor", "wscales"))}
    assert set(params.index) <= plain | set(right)
    found = audit.audit(result.manifest, result.params, ledger)["findings"]
    about = {f["where"] for f in found if f["check"] == "contradictory"}
    words = ("scale", "sym", "zero points", "weight_shape", "absmax", "quant_map", "g_idx")
    words += ("companions", "weight_scale_2", "integers", "scale_2", "scales for blocks")
    assert about == {t for t, why in right.items() if isinstance(why, str) and why in words}
