"""Pictures of tokens: literal, reproducible, and drawn from any table."""

import hashlib
import warnings

import numpy as np

from blockresearch.report.plots import style
from blockresearch.report.plots.layers import layer_figures
from blockresearch.report.plots.tokens import (
    cluster_map,
    elbow,
    norms_by_id,
    output_cosines,
    scores,
    spectra_pair,
    spread,
)
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
    assert style.literal("\U00012000") == "⟨U+12000⟩"
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
    null = [line for line in figure.axes[0].lines if line.get_label().startswith("reference")]
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
    for elbow_k, rule in ((3, "by Kneedle"), (2, "set by n_clusters")):
        shown = " ".join(texts_of(elbow(table, {"elbow_k": elbow_k})))
        assert f"chosen: k = 3, {rule}" in shown
