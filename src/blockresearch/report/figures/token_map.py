"""The map of tokens as data for its script, and a small picture of it for print.

A page contains at most POINTS tokens, an even selection of a larger vocabulary, and the nearest
tokens of at most MOST_NEIGHBORS of them.
"""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.figures.charts import label
from blockresearch.report.figures.live import Drawing, figure_html
from blockresearch.report.plots.tokens import axis_label, hue, map_kind
from blockresearch.report.words import escape, plain
from blockresearch.text import short, visible

POINTS = 60_000

# Places along an axis.
GRID = 4095

MOST_NEIGHBORS = 20_000
NEAREST = 6

# Pixels of the picture for print.
WIDTH, HEIGHT = 480, 360


def token_map(
    projection: pd.DataFrame,
    clusters: pd.DataFrame,
    clusters_summary: pd.DataFrame,
    tokens: pd.DataFrame,
    summary: Mapping[str, Any],
) -> Drawing | None:
    """The map of the token embedding, interactive and as a small picture; None without points."""
    if projection.empty:
        return None
    kind = map_kind(projection)
    across, along = ("x", "y") if kind == "pca" else (f"{kind}_x", f"{kind}_y")
    places = projection[["token_id", across, along]].set_axis(["token_id", "x", "y"], axis=1)
    points = places.merge(clusters[["token_id", "cluster"]], on="token_id").dropna()
    if points.empty:
        return None
    every = -(-len(points) // POINTS)
    shown = points.iloc[::every]
    data = {
        "count": len(points),
        "every": every,
        "x": _on_grid(shown["x"]),
        "y": _on_grid(shown["y"]),
        "across": label(axis_label(kind, 1, summary)),
        "along": label(axis_label(kind, 2, summary)),
        "cluster": shown["cluster"].astype(int).tolist(),
        **_texts(shown, tokens),
        **_neighbors(shown, tokens),
        "clusters": _clusters(clusters_summary),
    }
    alt = say("Map of the token embedding, colored by cluster")
    picture = base64.b64encode(raster(data)).decode()
    static = (
        f'<img class="static" width="{WIDTH}" height="{HEIGHT}" alt="{escape(plain(alt))}" '
        f'src="data:image/png;base64,{picture}">'
    )
    return Drawing(figure_html("token-figure", data, static))


def _on_grid(values: pd.Series) -> list[int]:
    """Coordinates as whole numbers, 0 to GRID."""
    numbers = values.to_numpy(dtype=float)
    low, extent = numbers.min(), np.ptp(numbers) or 1.0
    return [int(place) for place in np.rint((numbers - low) / extent * GRID)]


def _texts(shown: pd.DataFrame, tokens: pd.DataFrame) -> dict[str, Any]:
    """Ids of the tokens, as differences to the one before, and their texts."""
    ids = shown["token_id"].to_numpy(dtype=np.int64)
    texts = tokens.set_index("token_id")["token"].reindex(ids)
    return {
        "ids": np.diff(ids, prepend=0).tolist(),
        "tokens": [
            f"⟨{token}⟩" if pd.isna(text) or not text else visible(short(text))
            for token, text in zip(ids, texts, strict=True)
        ],
    }


def _neighbors(shown: pd.DataFrame, tokens: pd.DataFrame) -> dict[str, Any]:
    """The ids of the nearest tokens of the tokens that are shown; empty if not computed."""
    found = tokens.set_index("token_id")["neighbours"].reindex(shown["token_id"])
    near = [
        list(value)[:NEAREST] if isinstance(value, list | np.ndarray) else [] for value in found
    ]
    known = [place for place, ids in enumerate(near) if ids][:MOST_NEIGHBORS]
    kept = set(known)
    wanted = [ids if place in kept else [] for place, ids in enumerate(near)]
    others = sorted({int(token) for ids in wanted for token in ids})
    names = tokens.set_index("token_id")["token"].reindex(others)
    on_map = set(shown["token_id"].tolist())
    return {
        "near": [[int(token) for token in ids] for ids in wanted],
        # Texts of neighbors that are not on the map.
        "others": {
            str(token): f"⟨{token}⟩" if pd.isna(name) or not name else visible(short(name))
            for token, name in zip(others, names, strict=True)
            if token not in on_map
        },
    }


def _clusters(clusters_summary: pd.DataFrame) -> list[dict[str, Any]]:
    """The legend: number, color, size and typical tokens of each cluster."""
    return [
        {
            "number": int(row["cluster"]),
            "color": hue(int(row["cluster"])),
            "size": int(row["size"]),
            "tokens": [visible(text) for text in _listed(row["typical_tokens"])[:6]],
        }
        for row in clusters_summary.sort_values("cluster").to_dict("records")
    ]


def _listed(tokens: Any) -> list[str]:
    """Typical tokens as a list, from a list or from a text with two spaces between them."""
    if isinstance(tokens, list | np.ndarray):
        return [str(token) for token in tokens]
    return [] if pd.isna(tokens) else str(tokens).split("  ")


def raster(data: Mapping[str, Any]) -> bytes:
    """A small PNG of the map: each pixel has the color of the last token in it."""
    from matplotlib.image import imsave

    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    x = np.array(data["x"]) * (WIDTH - 3) // GRID
    y = (HEIGHT - 3) - np.array(data["y"]) * (HEIGHT - 3) // GRID
    known = {each["number"]: each["color"] for each in data["clusters"]}
    colors = np.array(
        [
            [int(known.get(number, "#555555")[at : at + 2], 16) for at in (1, 3, 5)]
            for number in data["cluster"]
        ],
        np.uint8,
    )
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        pixels[y + down, x + right] = colors
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", metadata={"Software": ""})
    return buffer.getvalue()
