"""Statistics per layer, pooled over tensors."""

import numpy as np
import pytest

from blockresearch.measurement import layers
from blockresearch.tables.io import frame


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


def test_self_and_cross_attention_are_kept_apart():
    place = {"component": "decoder", "layer_index": 1, "block_type": "k_proj"}
    rows = [
        place | {"param_name": role, "role": role, "rows": 2, "cols": 2, "stable_rank": value}
        for role, value in (("self", 8.7), ("cross", 35.0))
    ]
    table = layers.layer_table(frame(rows, "params"), frame(rows, "matrices")).set_index("role")
    assert table["stable_rank"].to_dict() == {"cross": 35.0, "self": 8.7}


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
