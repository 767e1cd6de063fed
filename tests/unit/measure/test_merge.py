"""Merged tables: roles joined, rows in reading order, every tensor in the ledger once."""

from dataclasses import replace

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.measure import layers, merge
from blockresearch.measure.folder import analyze_folder
from blockresearch.measure.part import Settings
from blockresearch.tables.io import frame
from tests.conftest import bf16, small_model, write_safetensors

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    """A small model with a stack of experts, a NaN, a packed weight and a buffer."""
    folder = small_model(tmp_path_factory.mktemp("model"), layers=2)
    random = np.random.default_rng(1)
    experts = random.normal(size=(12, 4, 6)).astype("<f4")
    broken = random.normal(size=(6, 5)).astype("<f4")
    broken[2, 3] = np.nan
    prefix = "model.layers.2.mlp."
    write_safetensors(
        folder / "extra.safetensors",
        {
            prefix + "experts.down_proj": ("F32", [12, 4, 6], experts.tobytes()),
            "model.layers.2.self_attn.q_proj.weight": ("F32", [6, 5], broken.tobytes()),
            "model.layers.2.self_attn.v_proj.weight": ("BF16", [4, 4], bf16(np.zeros((4, 4)))),
            "model.layers.2.self_attn.rotary_emb.inv_freq": ("F32", [2], bytes(8)),
            "model.layers.2.self_attn.k_proj.qweight": ("I32", [2, 2], bytes(16)),
            "model.layers.2.self_attn.k_proj.scales": ("F16", [2], bytes(4)),
        },
    )
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    )
    # Without the index all three files would be ambiguous, so the index names the third as well.
    index = folder / "model.safetensors.index.json"
    index.write_text(
        index.read_text().replace(
            '"weight_map": {',
            '"weight_map": {"' + prefix + 'experts.down_proj": "extra.safetensors", ',
        )
    )
    return analyze_folder(str(folder), Settings(1e-6), 1, NOW), experts


def test_rows_are_sorted_by_component_layer_and_name(analyzed):
    params = analyzed[0].params
    layer_indices = params["layer_index"].dropna().tolist()
    assert layer_indices == sorted(layer_indices)
    assert params["param_name"].is_unique and params["created_at"].eq(NOW).all()
    assert params.set_index("param_name").loc["model.norm.weight", "block_type"] == "norm"


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


def test_layers_pool_their_tensors(analyzed):
    result = analyzed[0]
    table = layers.layer_table(result.params, result.matrices)
    assert table["tensors"].sum() == len(result.params)
    assert table["matrices"].sum() == len(result.matrices)
    assert table["parameters"].sum() == result.params["numel"].sum()
    moe = table[table["block_type"] == "moe"].iloc[0]
    assert moe["std"] == pytest.approx(analyzed[1].astype(float).std(), rel=1e-9)
    norms = np.linalg.norm(analyzed[1].astype(float).reshape(12, -1), axis=1)
    assert moe["frobenius_norm"] == pytest.approx(np.sqrt((norms**2).sum()), rel=1e-9)


def test_the_audit_finds_what_is_unsound(analyzed):
    result = analyzed[0]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    found = audit.audit(result.manifest, result.params, ledger)
    checks = {(finding["severity"], finding["check"]) for finding in found["findings"]}
    assert {
        ("error", "nan"),
        ("warning", "all_zero"),
        ("warning", "unlisted_tensor"),
        ("warning", "dtype_mixture"),
        ("warning", "contradictory"),
    } == checks
    assert found["findings"][0]["where"] == "model.layers.2.self_attn.q_proj.weight"
    assert "1 of 30" in found["findings"][0]["evidence"]


def test_the_audit_compares_the_index_with_the_headers(analyzed):
    result = analyzed[0]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    stated = {"total_size": result.manifest.totals.bytes + 2, "total_parameters": 7}
    found = audit.audit(replace(result.manifest, index=stated), result.params, ledger)["findings"]
    notes = {finding["check"] for finding in found if finding["where"] == "index"}
    assert notes == {"total_size", "total_parameters"}
    sound = {"total_size": result.manifest.totals.bytes}
    found = audit.audit(replace(result.manifest, index=sound), result.params, ledger)["findings"]
    assert not [finding for finding in found if finding["where"] == "index"]


def test_the_audit_compares_the_layers_with_the_config(analyzed):
    result, _ = analyzed
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])

    def findings(**config):
        found = audit.audit(replace(result.manifest, config=config), result.params, ledger)[
            "findings"
        ]
        return [(f["check"], f["severity"], f["evidence"]) for f in found if "layer" in f["check"]]

    assert findings(num_hidden_layers=3) == findings() == findings(num_hidden_layers="x") == []
    (more,) = findings(text_config={"num_hidden_layers": 2})
    assert more == ("extra_layer", "warning", "3 layers are stored, config.json states 2")
    (fewer,) = findings(num_hidden_layers=5)
    assert fewer[:2] == ("missing_layer", "error") and "states 5" in fewer[2]


def test_biases_do_not_count_as_weights_of_their_block():
    place = {"component": "text", "layer_index": 0, "block_type": "up_proj", "finite_count": 4}
    weight = place | {"param_name": "w", "mean": 0.0, "std": 1.0, "var": 1.0, "absmax": 2.0}
    bias = place | {"param_name": "b", "mean": 9.0, "std": 0.0, "var": 0.0, "absmax": 9.0}
    lonely = bias | {"block_type": "bias"}
    params = frame(
        [weight | {"is_bias": False}, bias | {"is_bias": True}, lonely | {"is_bias": True}],
        "params",
    )
    table = layers.layer_table(params, frame([], "matrices")).set_index("block_type")
    assert table.loc["up_proj", ["tensors", "mean", "std", "absmax"]].tolist() == [2, 0, 1, 2]
    assert table.loc["bias", "mean"] == 9
