"""Pictures: drawn for any depth and any name, literal, reproducible, with the right numbers."""

import hashlib
import warnings

import numpy as np
import pandas as pd
import pytest

from workflow.lib import embedding_plots, plots, report_plots, style, tables
from workflow.lib.dtypes import code_values

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
    clusters = tables.frame(
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
    overview = tables.frame(
        [{"cluster": 0, "size": count - count // 2}, {"cluster": 1, "size": count // 2}],
        "clusters_summary",
    )
    projection = tables.frame(
        [{"token_id": n, "x": float(n), "y": float(-n)} for n in range(count)], "projection"
    )
    return projection, clusters, overview


def texts_of(figure):
    import matplotlib.text

    return [artist.get_text() for artist in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("depth", [1, 4, 40, 126])
def test_layer_maps_are_readable_at_any_depth(depth):
    figures = plots.layer_figures(tables.frame(layer_rows(depth), "layers"))
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
    figure = plots.layer_map(tables.frame(rows, "layers"), "std")
    grid = figure.axes[0].collections[0].get_array()
    assert grid.shape == (6, 3)
    assert np.ma.getmaskarray(grid)[3].all() and not np.ma.getmaskarray(grid)[4].any()


def test_models_without_layers_or_embedding_say_so():
    empty = {name: tables.frame([], name) for name in ("layers", "elbow", "clusters")}
    overview, projection = (tables.frame([], name) for name in ("clusters_summary", "projection"))
    summary = {"reason": "this model has no token embedding"}
    assert any(
        "no numbered layers" in text
        for text in texts_of(plots.layer_figures(empty["layers"])["layers_std"])
    )
    for figure in (
        plots.elbow(empty["elbow"], summary),
        plots.cluster_map(projection, empty["clusters"], overview, summary),
    ):
        assert "no token embedding" in " ".join(texts_of(figure))
        style.png(figure)


def test_hostile_tokens_are_drawn_literally_and_quietly():
    arguments = cluster_tables(HOSTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.cluster_map(*arguments, {"pca_explained": [0.5, None]})
        style.png(figure)
    shown = " ".join(texts_of(figure))
    assert r"\$x\$" in shown and "\u202e" not in shown and "\x07" not in shown
    assert style.literal("中") == "⟨U+4E2D⟩"
    assert len(style.literal("a" * 1000)) <= 80


def test_pictures_are_reproducible():
    def digest():
        figure = plots.cluster_map(*cluster_tables(["a", "b", "c", "d"]), {})
        return hashlib.sha256(style.png(figure)).hexdigest()

    assert digest() == digest()


def test_labels_of_clusters_are_moved_apart():
    places = plots.spread(np.array([[0.5, 0.5], [0.5, 0.5], [0.51, 0.5], [0.9, 0.1]]))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert distances[np.triu_indices(4, 1)].min() > 0.03
    assert np.allclose(places[3], [0.9, 0.1])


def test_distribution_counts_every_value():
    values = code_values("BF16")
    codes = np.flatnonzero(np.isfinite(values) & (np.abs(values) < 4) & (np.abs(values) > 0.1))
    counts = np.arange(1, len(codes) + 1)
    params = tables.frame(
        [{"param_name": "w", "block_type": "q_proj", "rows": 8, "cols": 8, "dtype": "BF16"}],
        "params",
    )
    histograms = pd.DataFrame(
        [{"param_name": "w", "dtype": "BF16", "codes": codes, "counts": counts}]
    )
    figure = report_plots.distributions(params, histograms)
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
    matrices = tables.frame(
        [
            {"param_name": "w", "layer_index": layer, "expert_index": expert, "std": layer + expert}
            for layer in range(3)
            for expert in range(4)
        ],
        "matrices",
    )
    figure = report_plots.experts(matrices, "std", "standard deviation")
    assert figure.axes[0].collections[0].get_array().reshape(3, 4)[2, 3] == 5
    assert report_plots.experts(matrices.iloc[:0], "std", "standard deviation") is None


def test_pictures_of_tokens_are_drawn_from_any_table():
    empty = tables.frame([], "tokens")
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
    tokens = tables.frame([*rows, {"token_id": 10}], "tokens")
    for figure in (
        embedding_plots.norms_by_id(tokens, tokens),
        embedding_plots.scores(tokens),
        embedding_plots.output_cosines(tokens),
    ):
        style.png(figure)
    assert len(embedding_plots.norms_by_id(tokens, empty).axes) == 1
    assert embedding_plots.norms_by_id(empty, empty) is None
    assert embedding_plots.scores(empty) is embedding_plots.output_cosines(empty) is None
    spectra = tables.frame([{"param_name": "e", "singular_values": [3.0, 2.0, 0.0]}], "spectra")
    style.png(embedding_plots.spectra_pair(spectra, "e", "o"))
    assert embedding_plots.spectra_pair(spectra, None, None) is None


def test_the_null_is_drawn_beside_the_curve():
    row = {"inertia": 80.0, "explained_share": 0.2, "sample_share": 0.22, "null_share": 0.12}
    row |= {"stability": 0.9, "null_stability": 0.3, "silhouette": 0.1, "chosen": False}
    table = tables.frame([{"k": k, **row} for k in (2, 3, 4)], "elbow")
    figure = plots.elbow(table, {})
    null = [line for line in figure.axes[0].lines if line.get_label().startswith("one normal")]
    np.testing.assert_allclose(null[0].get_ydata(), 90.0)
    style.png(figure)
