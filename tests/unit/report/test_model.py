"""Sentences about a model."""

from blockresearch.report import model
from blockresearch.tables.io import frame

MANIFEST = {"model_id": None, "model": "x/tuned", "totals": {"parameters": 8, "tensors": 2}}

MANIFEST["totals"] |= {"bytes": 32}


def test_an_adapter_is_called_one():
    row = {"param_name": "a", "numel": 8, "dtype": "F32", "layer_index": 3, "block_type": "q_proj"}
    for component, config, kind in (
        ("adapter", {}, "an adapter"),
        ("text", {}, "a model"),
        ("text", {"model_type": "albert"}, "an albert"),
        ("text", {"model_type": "llama"}, "a llama"),
    ):
        params = frame([row | {"component": component}], "params")
        text = model.what(MANIFEST | {"config": config}, params)
        assert text.startswith(f"tuned is {kind} with 1 layer of attention: 8 parameters")
