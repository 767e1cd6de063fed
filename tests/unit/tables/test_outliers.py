"""Planted weights and channels are found with their places; normal matrices have none."""

import numpy as np
import pytest

from blockresearch.tables.io import frame
from blockresearch.tables.outliers import normal_maximum, outlier_rows
from blockresearch.tables.published import SUPER_WEIGHTS


def of_elements(weights, **more):
    """A row of the table matrices for a matrix."""
    order = np.argsort(-np.abs(weights), axis=None, kind="stable")[:16]
    rows, cols = np.unravel_index(order, weights.shape)
    rms = float(np.sqrt(np.mean(weights**2)))
    places = {"top_rows": rows.tolist(), "top_cols": cols.tolist()}
    return row(weights.shape, weights.flat[order], rms, **places, **more)


def row(shape, largest, rms, layer=0, projection="down_proj", **places):
    return {
        "param_name": f"model.layers.{layer}.mlp.{projection}.weight",
        "layer_index": layer,
        "block_type": projection,
        "projection": projection,
        "component": "text",
        "rows": shape[0],
        "cols": shape[1],
        "rms": rms,
        "max_over_rms": abs(largest[0]) / rms,
        "top_values": [float(value) for value in largest],
        **places,
    }


def found(rows):
    return outlier_rows(frame(rows, "matrices"))


def test_normal_matrices_have_none():
    random = np.random.default_rng(0)
    shapes = [(1, 2), (3, 5), (64, 64), (40, 4000)] * 20
    assert found([of_elements(random.standard_normal(shape)) for shape in shapes]) == []
    draws = np.abs(random.standard_normal((400, 1000))).max(axis=1)
    assert normal_maximum(1000) == pytest.approx(draws.mean(), rel=0.06)


def test_one_weight_has_its_context():
    weights = np.random.default_rng(1).standard_normal((64, 96))
    weights[7, 11], weights[7, 12], weights[9, 11] = -40, 30, 20
    others = [of_elements(np.random.default_rng(2).standard_normal((64, 96)), layer=7)]
    planted = of_elements(weights)
    first, second, third = found([planted, *others])
    assert (first["row"], first["col"], first["value"], first["channel"]) == (7, 11, -40, 7)
    rms = np.sqrt(np.mean(weights**2))
    assert first["over_rms"] == pytest.approx(40 / rms)
    assert first["over_normal"] == pytest.approx(40 / rms / normal_maximum(64 * 96))
    assert first["over_other_cols"] == pytest.approx(40 / 30)
    assert first["in_row"] == planted["top_rows"].count(7) >= 2
    assert first["in_col"] == planted["top_cols"].count(11) >= 2
    assert not first["is_super_weight"] and first["channel_layers"] == 1
    assert {second["col"], third["col"]} == {11, 12}


def test_channels_of_readers_and_writers_agree():
    random = np.random.default_rng(3)
    rows = []
    for layer in range(8):
        for name, shape in (("up_proj", (96, 64)), ("down_proj", (64, 96))):
            weights = random.standard_normal(shape)
            place = (5, 33) if name == "down_proj" else (50, 5)
            weights[place if layer % 2 else (layer, layer)] = 60
            rows.append(of_elements(weights, layer=layer, projection=name))
    outliers = found(rows)
    recurring = [each for each in outliers if each["channel"] == 5]
    assert len(outliers) == 16 and len(recurring) == 8
    assert {each["channel_layers"] for each in recurring} == {4}
    assert all(each["channel_log10_p"] < -3 for each in recurring)
    assert all(each["channel_log10_p"] == 0 for each in outliers if each["channel"] != 5)


@pytest.mark.parametrize("model", SUPER_WEIGHTS)
def test_published_coordinates_are_found(model):
    """Planted among the largest of normal matrices of the model's size."""
    facts, random = SUPER_WEIGHTS[model], np.random.default_rng(4)
    shape, rows = (facts.rows, facts.cols), []
    for layer in range(facts.layers):
        planted = [place[1:] for place in facts.places if place[0] == layer]
        # As large as the largest of a normal matrix.
        below = np.sort(random.uniform(4.5, 6, 16 - len(planted)))[::-1]
        values = [*(150.0 - i for i in range(len(planted))), *below]
        places = [*planted, *random.integers(0, shape, (len(below), 2)).tolist()]
        top_rows, top_cols = ([place[side] for place in places] for side in (0, 1))
        rows.append(row(shape, values, 1.0, layer, top_rows=top_rows, top_cols=top_cols))
    outliers = found(rows)
    assert all(each["is_super_weight"] for each in outliers)
    coordinates = [(each["layer_index"], each["row"], each["col"]) for each in outliers]
    assert sorted(coordinates) == sorted(facts.places)
