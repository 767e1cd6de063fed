"""Pictures: drawn for any depth and any name, literal, reproducible, with the right numbers."""

import hashlib
import warnings

import numpy as np
import pandas as pd
import pytest

from blockresearch.report.plots import style
from blockresearch.report.plots.layers import by_block, experts, in_order, layer_figures, layer_maps
from blockresearch.report.plots.tokens import (
    cluster_map,
    elbow,
    norms_by_id,
    output_cosines,
    scores,
    spectra_pair,
    spread,
)
from blockresearch.report.plots.values import (
    Measure,
    distributions,
    parameters_by_block,
    rounding,
    strips,
)
from blockresearch.report.values import rounding_finding, rounding_table
from blockresearch.safetensors.dtypes import code_values
from blockresearch.tables.io import frame

HOSTILE = [
    "$x$",
    "$\\frac{",
    "<img src=x onerror=alert(1)>",
    "\u202eabc",
    "\x00\x07",
    "中文",
    "\\$",
]


def layer_rows(depth, blocks=("q_proj", "v_proj", "down_proj"), component="text"):
    return [
        {
            "component": component,
            "layer_index": layer,
            "block_type": block,
            "tensors": 1,
            "matrices": 1,
            "parameters": 64,
            "std": 0.02 * (1 + layer),
            "stable_rank": 3.0 + layer,
        }
        for layer in range(depth)
        for block in blocks
    ]


def cluster_tables(texts):
    count = len(texts)
    clusters = frame(
        [
            {
                "token_id": number,
                "token": text,
                "kind": "normal",
                "cluster": number % 2,
                "distance": 0.1 * number,
                "norm": 1.0 + number,
            }
            for number, text in enumerate(texts)
        ],
        "clusters",
    )
    overview = frame(
        [{"cluster": 0, "size": count - count // 2}, {"cluster": 1, "size": count // 2}],
        "clusters_summary",
    )
    projection = frame(
        [{"token_id": n, "x": float(n), "y": float(-n)} for n in range(count)], "projection"
    )
    return projection, clusters, overview


def texts_of(figure):
    import matplotlib.text

    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text)]


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


def test_models_without_layers_or_embedding_say_so():
    empty = {name: frame([], name) for name in ("layers", "elbow", "clusters")}
    overview, projection = (frame([], name) for name in ("clusters_summary", "projection"))
    summary = {"reason": "this model has no token embedding"}
    assert any(
        "no numbered layers" in text
        for text in texts_of(layer_figures(empty["layers"])["layers_std"])
    )
    for figure in (
        elbow(empty["elbow"], summary),
        cluster_map(projection, empty["clusters"], overview, summary),
    ):
        assert "no token embedding" in " ".join(texts_of(figure))
        style.png(figure)


def test_hostile_tokens_are_drawn_literally():
    arguments = cluster_tables(HOSTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = cluster_map(*arguments, {"pca_explained": [0.5, None]})
        style.png(figure)
    shown = " ".join(texts_of(figure))
    assert r"\$x\$" in shown and "\u202e" not in shown and "\x07" not in shown
    assert style.literal("中") == "⟨U+4E2D⟩"
    assert len(style.literal("a" * 1000)) <= 80


def test_pictures_are_reproducible():
    def digest():
        figure = cluster_map(*cluster_tables(["a", "b", "c", "d"]), {})
        return hashlib.sha256(style.png(figure)).hexdigest()

    assert digest() == digest()


def test_labels_of_clusters_are_moved_apart():
    places = spread(np.array([[0.5, 0.5], [0.5, 0.5], [0.51, 0.5], [0.9, 0.1]]))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert distances[np.triu_indices(4, 1)].min() > 0.03
    assert np.allclose(places[3], [0.9, 0.1])


def test_distribution_counts_every_value():
    values = code_values("BF16")
    codes = np.flatnonzero(np.isfinite(values) & (np.abs(values) < 4) & (np.abs(values) > 0.1))
    counts = np.arange(1, len(codes) + 1)
    params = frame(
        [{"param_name": "w", "block_type": "q_proj", "rows": 8, "cols": 8, "dtype": "BF16"}],
        "params",
    )
    histograms = pd.DataFrame(
        [{"param_name": "w", "dtype": "BF16", "codes": codes, "counts": counts}]
    )
    figure = distributions(params, [histograms.iloc[:0], histograms])
    outline = figure.axes[0].patches[0].get_data()
    assert np.isclose((outline.values * np.diff(outline.edges)).sum(), 1.0)
    assert outline.edges[0] <= values[codes].min() and outline.edges[-1] >= values[codes].max()


def test_every_block_type_has_its_own_look():
    assert len(set(style.BLOCKS.values())) == len(style.BLOCKS)
    assert style.ordered(["norm", "zzz", "q_proj", None, "embedding"]) == [
        "embedding",
        "q_proj",
        "norm",
        "zzz",
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


def test_pictures_of_tokens_are_drawn_from_any_table():
    empty = frame([], "tokens")
    rows = [
        {
            "token_id": number,
            "norm": 1.0 + number,
            "reference": number > 7,
            "undertrained_score": number / 10,
            "output_cosine": 0.5,
        }
        for number in range(10)
    ]
    tokens = frame([*rows, {"token_id": 10}], "tokens")
    for figure in (
        norms_by_id(tokens, tokens),
        scores(tokens),
        output_cosines(tokens),
    ):
        style.png(figure)
    assert len(norms_by_id(tokens, empty).axes) == 1
    assert norms_by_id(empty, empty) is None
    assert scores(empty) is output_cosines(empty) is None
    spectra = frame([{"param_name": "e", "singular_values": [3.0, 2.0, 0.0]}], "spectra")
    style.png(spectra_pair(spectra, "e", "o"))
    assert spectra_pair(spectra, None, None) is None


def test_the_null_is_drawn_beside_the_curve():
    row = {"inertia": 80.0, "explained_share": 0.2, "sample_share": 0.22, "null_share": 0.12}
    row |= {"stability": 0.9, "null_stability": 0.3, "silhouette": 0.1, "chosen": False}
    table = frame([{"k": k, **row} for k in (2, 3, 4)], "elbow")
    figure = elbow(table, {})
    null = [line for line in figure.axes[0].lines if line.get_label().startswith("one normal")]
    np.testing.assert_allclose(null[0].get_ydata(), 90.0)
    style.png(figure)


def test_the_map_names_its_axes_and_the_curve_its_rule():
    projection, clusters, overview = cluster_tables(["a", "b", "c", "d"])
    plane = projection.assign(plane_x=projection["y"], plane_y=projection["x"])
    summary = {"pca_explained": [0.5, 0.25], "plane_explained": [0.125, None]}
    axes = cluster_map(projection, clusters, overview, summary).axes[0]
    assert axes.get_xlabel() == "principal component 1 (50.0 % of the variance)"
    axes = cluster_map(plane, clusters, overview, summary).axes[0]
    assert axes.get_xlabel() == "direction 1 between cluster centers (12.5 % of the variance)"
    assert axes.get_ylabel() == "direction 2 between cluster centers"
    np.testing.assert_array_equal(axes.collections[0].get_offsets()[:, 0], plane["plane_x"])
    table = frame([{"k": k, "inertia": 9.0 - k, "chosen": k == 3} for k in (2, 3, 4)], "elbow")
    for elbow_k, rule in ((3, "farthest below the chord"), (2, "set by n_clusters")):
        shown = " ".join(texts_of(elbow(table, {"elbow_k": elbow_k})))
        assert f"chosen: k = 3, {rule}" in shown


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


def test_small_differences_are_not_blown_up():
    close = [row | {"std": 0.02 + row["layer_index"] * 1e-5} for row in layer_rows(4)]
    figure = layer_maps(frame(close, "layers"), ["std"])
    low, high = figure.axes[0].collections[0].get_clim()
    assert high / low > 1.15


def matrix(**values):
    row = {"param_name": "w", "block_type": "q_proj", "layer_index": 0, "component": "text"}
    return row | {"rows": 8, "cols": 4, "std": 1.0, "mean": 0.0} | values


def test_one_strip_per_measure_that_some_matrix_has():
    rows = [matrix(max_over_rms=3.0, kurtosis_excess=-0.5), matrix(block_type=None, alpha=0.0)]
    measures = [
        Measure("max_over_rms", "Largest", "ratio", "log"),
        Measure("kurtosis_excess", "Tails", "excess", "symlog"),
        Measure("alpha", "Exponent", "α", "log"),
    ]
    figure = strips(frame(rows, "matrices"), measures)
    style.png(figure)
    assert [axes.get_title("left") for axes in figure.axes] == ["Largest", "Tails"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["q_proj"]
    assert strips(frame([], "matrices"), measures) is None


def test_rounding_errors_by_format():
    ratios = [(30.0, 20.0), (32.0, None), (34.0, 14.0)]
    rows = [
        matrix(param_name=f"w{n}", slice="[1]", int8_channel_sqnr_db=a, nvfp4_sqnr_db=b)
        for n, (a, b) in enumerate(ratios)
    ]
    matrices = frame(rows, "matrices")
    figure = rounding(matrices)
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array().ravel(), [32, 17])
    table = rounding_table(matrices).set_index("format")
    assert list(table.index) == ["INT8 by row", "NVFP4"]
    assert table.loc["NVFP4", "matrix"] == "w2 [1]" and table.loc["NVFP4", "lowest"] == 14
    np.testing.assert_allclose(table["error"], [10 ** (-32 / 20), 10 ** (-17 / 20)])
    sentence = rounding_finding(table.reset_index())
    assert "NVFP4" in sentence and "14.1 %" in sentence and "most" not in sentence
    assert rounding(frame([], "matrices")) is None
    assert parameters_by_block(frame([], "params")) is None
    blocks = by_block(frame(layer_rows(1), "layers"), matrices)
    assert blocks.set_index("block_type").loc["q_proj", "nvfp4_sqnr_db"] == 17
