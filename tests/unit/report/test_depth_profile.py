"""Statistics over depth."""

from blockresearch.report.depth_profile import MOST_LAYERS, profile
from blockresearch.tables.io import frame


def row(layer, block="q_proj", **more):
    return {
        "component": "text",
        "layer_index": layer,
        "block_type": block,
        "matrices": 1,
        "std": 0.123456 * (layer + 1),
        **more,
    }


def test_columns_are_kinds_of_matrices_in_order():
    rows = [
        *(row(layer, block) for block in ("down_proj", "q_proj") for layer in (2, 0, 1)),
        row(3, role="cross", stable_rank=2.0),
        row(0, "norm", matrices=0),
        {"component": "text", "block_type": "embedding", "matrices": 1},
    ]
    columns = profile(frame(rows, "layers"))
    assert [each["label"] for each in columns] == ["q_proj", "cross q_proj", "down_proj"]
    first, cross, _ = columns
    assert first["layers"] == [0, 1, 2] and first["count"] == 4
    assert first["std"] == [0.1235, 0.2469, 0.3704] and first["stable_rank"] == [None] * 3
    assert (cross["layers"], cross["stable_rank"]) == ([3], [2.0])


def test_of_a_deep_model_layers_are_chosen_evenly():
    (column,) = profile(frame([row(layer) for layer in range(126)], "layers"))
    assert len(column["layers"]) == MOST_LAYERS == len(set(column["layers"]))
    assert (column["layers"][0], column["layers"][-1], column["count"]) == (0, 125, 126)


def test_a_model_without_layers_has_no_profile():
    assert profile(frame([], "layers")) == []
