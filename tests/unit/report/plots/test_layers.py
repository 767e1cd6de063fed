"""Pictures of layers: readable at any depth, and with the right numbers."""

import numpy as np
import pytest

from blockresearch.report.plots import style
from blockresearch.report.plots.layers import (
    depth_curves,
    experts,
    in_order,
    layer_figures,
    layer_maps,
)
from blockresearch.tables.io import frame
from tests.unit.report.plots.samples import layer_rows


@pytest.mark.parametrize("depth", [1, 4, 40, 126])
def test_layer_maps_are_readable_at_any_depth(depth):
    figures = layer_figures(frame(layer_rows(depth), "layers"))
    assert set(figures) == {"layers_std", "layers_stable_rank"}
    figure = figures["layers_std"]
    style.png(figure)
    panel = figure.axes[0]
    labels = [label.get_text() for label in panel.get_yticklabels()]
    assert labels[0] == "0" and 1 <= len(labels) <= 42
    inches = figure.get_figheight() * panel.get_position().height
    assert inches / len(labels) > 0.12
    assert [label.get_text() for label in panel.get_xticklabels()] == [
        "q_proj",
        "v_proj",
        "down_proj",
    ]


def test_a_gap_in_the_layers_stays_a_gap():
    rows = [row for row in layer_rows(6) if row["layer_index"] != 3]
    figure = layer_maps(frame(rows, "layers"), ["std"])
    grid = figure.axes[0].collections[0].get_array()
    assert grid.shape == (6, 3)
    assert np.ma.getmaskarray(grid)[3].all() and not np.ma.getmaskarray(grid)[4].any()


def test_small_differences_are_not_magnified():
    rows = [
        row | {"kurtosis_excess": 0.01 * number - 0.0004}
        for number, row in enumerate(layer_rows(2, ("q_proj",)))
    ]
    figure = layer_maps(frame(rows, "layers"), ["kurtosis_excess"])
    panel = figure.axes[0]
    assert [text.get_text() for text in panel.texts if "normal" not in text.get_text()] == [
        "0.00",
        "0.01",
    ]
    low, high = panel.collections[0].get_clim()
    assert high - low == pytest.approx(1)


def test_blocks_are_listed_in_the_order_of_the_data():
    rows = [
        row
        for component in ("decoder", "encoder")
        for row in layer_rows(2, ("down_proj", "q_proj"), component)
    ]
    found = in_order(frame(rows, "layers"))
    assert found[["component", "layer_index", "block_type"]].to_numpy().tolist() == [
        [component, layer, block]
        for component in ("encoder", "decoder")
        for layer in (0, 1)
        for block in ("q_proj", "down_proj")
    ]


def test_experts_by_layers():
    matrices = frame(
        [
            {"param_name": "w", "layer_index": layer, "expert_index": expert, "std": layer + expert}
            for layer in range(3)
            for expert in range(4)
        ],
        "matrices",
    )
    metrics = {"std": "Standard deviation", "stable_rank": "Stable rank"}
    figure = experts(matrices, metrics)
    assert figure.axes[0].collections[0].get_array().reshape(3, 4)[2, 3] == 5
    assert len([axes for axes in figure.axes if axes.get_title("left")]) == 1, "one is missing"
    assert experts(matrices.iloc[:0], metrics) is None


def test_maps_of_several_components_share_their_colors():
    rows = layer_rows(3, component="encoder") + layer_rows(2, ("q_proj",), "decoder")
    layers = frame(rows, "layers")
    figure = layer_maps(layers, ["std", "alpha", "stable_rank"])
    style.png(figure)
    maps = [axes for axes in figure.axes if axes.get_xticklabels() and axes.get_ylabel() != ""]
    assert [axes.get_ylabel() for axes in maps] == ["encoder layer", "decoder layer"]
    assert len({axes.collections[0].get_clim() for axes in maps}) == 1
    alternative = style.alternative(figure)
    assert "Standard deviation" in alternative and "Stable rank" in alternative
    assert "α" not in alternative, "a column without values has no map"
    assert layer_maps(layers, ["alpha"]) is None


def test_colors_are_relative_to_the_median_of_a_column():
    rows = [row | {"std": 1 + row["layer_index"]} for row in layer_rows(3)]
    for row in rows[1::3]:
        row["std"] *= 100
    panel = layer_maps(frame(rows, "layers"), ["std"]).axes[0]
    ratios = 2 ** np.asarray(panel.collections[0].get_array()).reshape(3, 3)
    np.testing.assert_allclose(ratios, np.array([[0.5], [1], [1.5]]) * np.ones(3))
    assert panel.collections[0].get_clim() == (-1.5, 1.5)


def test_self_and_cross_attention_have_columns():
    rows = [
        row | {"role": name, "std": std}
        for name, std in (("cross", 2.0), ("self", 1.0))
        for row in layer_rows(2, ("q_proj",), "decoder")
    ]
    rows += [row | {"role": "self"} for row in layer_rows(2, ("v_proj",), "decoder")]
    rows = frame(rows, "layers")
    panel = layer_maps(rows, ["std"]).axes[0]
    labels = [label.get_text() for label in panel.get_xticklabels()]
    assert labels == ["self q_proj", "cross q_proj", "v_proj"]
    legend = depth_curves(rows, {"std": ("std", True)}).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == labels
