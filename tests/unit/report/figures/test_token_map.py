"""The map of tokens: places, texts and neighbors of the tokens, and a small picture."""

import base64
import gzip
import json
import re

import numpy as np
import pytest

from blockresearch.report.figures.token_map import GRID, raster, token_map
from blockresearch.tables.io import frame
from tests.unit.report.hostile import NAMES, assert_harmless


def tables(names, neighbors=(1, 2)):
    ids = range(len(names))
    projection = [
        {"token_id": i, "x": i, "y": -i, "plane_x": float(i), "plane_y": 2.0 * i} for i in ids
    ]
    clusters = [{"token_id": i, "token": names[i], "cluster": i % 2} for i in ids]
    summary = [
        {"cluster": number, "size": 3, "typical_tokens": names[0], "central_tokens": names[0]}
        for number in (0, 1)
    ]
    tokens = [
        {"token_id": i, "token": names[i], "neighbours": list(neighbors) if i == 0 else None}
        for i in ids
    ]
    return (
        frame(projection, "projection"),
        frame(clusters, "clusters"),
        frame(summary, "clusters_summary"),
        frame(tokens, "tokens"),
        {"plane_explained": [0.2, 0.1]},
    )


def unpacked(html):
    text = re.search(r"<script[^>]*>(.*?)</script>", html)[1]
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_places_texts_and_neighbors():
    data = unpacked(token_map(*tables(["a", "b", "", "d"])).html)
    assert data["x"] == [0, GRID // 3, 2 * GRID // 3, GRID]
    assert data["ids"] == [0, 1, 1, 1] and data["tokens"] == ["a", "b", "⟨2⟩", "d"]
    assert data["near"] == [[1, 2], [], [], []] and data["others"] == {}
    assert [each["number"] for each in data["clusters"]] == [0, 1]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_tokens_are_text(name):
    drawing = token_map(*tables([name] * 3))
    page = assert_harmless(drawing.html.replace("data:image/png;base64,", "picture"))
    assert page.tags.count("img") == 1 and page.tags.count("script") == 1
    assert not set("\u202e\u200b\x00\u2028") & set(
        json.dumps(unpacked(drawing.html)["tokens"], ensure_ascii=False)
    )


def test_the_picture_is_small():
    data = {
        "x": np.random.default_rng(0).integers(0, GRID, 60_000).tolist(),
        "y": np.random.default_rng(1).integers(0, GRID, 60_000).tolist(),
        "cluster": [0] * 60_000,
        "clusters": [{"number": 0, "color": "#0072b2"}],
    }
    assert raster(data).startswith(b"\x89PNG") and len(raster(data)) < 100_000


def test_without_an_embedding_there_is_no_map():
    projection, *rest = tables(["a"])
    assert token_map(projection.iloc[:0], *rest) is None
