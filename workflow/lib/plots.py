"""Pictures of the token embedding that the workflow draws beside its tables: elbow and map.

Those of the layers are in `depth_plots`; what only notebooks show is in `report_plots`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflow.lib import style
from workflow.lib.style import PALETTE, canvas, literal, message, save
from workflow.lib.wording import percent

__all__ = ["cluster_map", "elbow", "embedding_figures", "save"]

POINTS = 60_000
NEAREST = 40
# Of a legend that the line of the chosen k may cross.
READABLE: dict[str, Any] = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}


def elbow(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Inertia, silhouette and stability against the number of clusters, the chosen one marked.

    Beside them, dashed, a cloud of the same covariance without clusters.
    """
    if table.empty:
        return message(_no_embedding(summary))
    k = table["k"].to_numpy(dtype=float)
    inertia = table["inertia"].to_numpy(dtype=float, na_value=np.nan)
    silhouette = table["silhouette"].to_numpy(dtype=float, na_value=np.nan)
    chosen = np.flatnonzero(table["chosen"].fillna(False).to_numpy(dtype=bool))
    figure, (left, right) = canvas(10, 3.9, cols=2)
    left.plot(k, inertia, marker="o", markersize=4, color=PALETTE[0])
    if len(k) > 2:
        left.plot(k[[0, -1]], inertia[[0, -1]], ":", color="#777777", label="chord")
    null, stability, null_stability = (
        table[name].to_numpy(dtype=float, na_value=np.nan)
        for name in ("null_share", "stability", "null_stability")
    )
    if np.isfinite(null).any():
        left.plot(
            k, _null_inertia(table), "--", color="#777777", label="one normal cloud, no clusters"
        )
    left.set_ylabel("inertia: Σ distance² to the cluster's centre")
    drop = 1 - inertia[-1] / inertia[0] if inertia[0] > 0 else 0.0
    left.set_title(f"Inertia falls by {percent(drop)} (axis does not start at 0)")
    style.plain_ticks(left.yaxis)
    right.set_ylabel("index (1 is best)")
    right.set_title("Silhouette (separation) and stability")
    if np.isfinite(stability).any():
        right.plot(k, stability, color=PALETTE[0], label="stability (adjusted Rand)")
        right.plot(k, null_stability, "--", color="#777777", label="stability, one cloud")
    if np.isfinite(silhouette).any():
        right.plot(k, silhouette, marker="o", markersize=4, color=PALETTE[2], label="silhouette")
        right.axhline(0, color="#999999", linewidth=0.8)
        right.legend(**READABLE)
    else:
        right.text(0.5, 0.5, "not defined here", ha="center", transform=right.transAxes)
    for panel, values in ((left, inertia), (right, silhouette)):
        panel.set_xlabel("number of clusters k")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        for place in chosen:
            panel.axvline(k[place], color=PALETTE[5], linewidth=1)
            if np.isfinite(values[place]):
                panel.plot(
                    k[place],
                    values[place],
                    "o",
                    color=PALETTE[5],
                    markersize=8,
                    label=f"chosen: k = {k[place]:.0f}{_why(k[place], summary)}",
                )
    left.legend(**READABLE)
    return figure


def _why(k: float, summary: Mapping[str, Any]) -> str:
    """By which rule `k` was chosen."""
    if "elbow_k" not in summary:
        return ""
    return ", farthest below the chord" if k == summary["elbow_k"] else ", set by n_clusters"


def _null_inertia(table: pd.DataFrame) -> np.ndarray:
    """Inertia that a cloud without clusters would have, from shares measured on samples.

    A sample is explained a little better than all rows; the null is shifted by that much.
    """
    columns = ("inertia", "explained_share", "sample_share", "null_share")
    inertia, share, sample, null = (
        table[name].to_numpy(dtype=float, na_value=np.nan) for name in columns
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return inertia / (1 - share) * (1 - (null - sample + share))


def cluster_map(
    projection: pd.DataFrame,
    clusters: pd.DataFrame,
    clusters_summary: pd.DataFrame,
    summary: Mapping[str, Any],
) -> Figure:
    """Tokens in the plane in which the centres of the clusters lie farthest apart, or by t-SNE.

    Fewer than three clusters span no plane: then the first two principal components are shown. The
    colour is the cluster. Its number stands at the median of its tokens; the list beside the
    picture gives its size and a few of its typical tokens. Of very many tokens an even selection
    is drawn.
    """
    if projection.empty:
        return message(_no_embedding(summary))
    kind = next(
        (kind for kind in ("tsne", "plane") if projection[f"{kind}_x"].notna().any()), "pca"
    )
    across, along = ("x", "y") if kind == "pca" else (f"{kind}_x", f"{kind}_y")
    places = projection[["token_id", across, along]].set_axis(["token_id", "x", "y"], axis=1)
    points = places.merge(clusters[["token_id", "cluster"]], on="token_id").dropna()
    if points.empty:
        return message("No token of this model has a place on the map.")
    every = -(-len(points) // POINTS)
    shown = points.iloc[::every]
    numbers = clusters_summary["cluster"].astype(int).tolist()
    height = max(5.6, 1.2 + 0.21 * len(numbers))
    figure, (axes, side) = canvas(11.5, height, cols=2, width_ratios=[1.5, 1])
    colours = [_hue(number) for number in shown["cluster"].astype(int)]
    x, y = shown["x"].to_numpy(dtype=float), shown["y"].to_numpy(dtype=float)
    size = 14 if len(shown) < 2000 else 4 if len(shown) < 15000 else 1.6
    axes.scatter(x, y, s=size, c=colours, alpha=0.45, linewidths=0, rasterized=True)
    medians = points.groupby("cluster")[["x", "y"]].median().astype(float)
    extent = np.array([np.ptp(x) or 1.0, np.ptp(y) or 1.0])
    spots = spread(medians.to_numpy() / extent) * extent
    for number, (right, up) in zip(medians.index, spots, strict=True):
        axes.text(
            right,
            up,
            str(number),
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            bbox={
                "boxstyle": "round,pad=0.2",
                "facecolor": "white",
                "edgecolor": _hue(int(number)),
                "alpha": 0.9,
            },
        )
    axes.set_xlabel(_direction(kind, 1, summary))
    axes.set_ylabel(_direction(kind, 2, summary))
    thinned = f", every {every}. token drawn" if every > 1 else ""
    axes.set_title(f"{len(points):,} tokens in {len(numbers)} clusters{thinned}")
    _cluster_list(side, clusters, clusters_summary)
    return figure


def embedding_figures(
    elbow_table: pd.DataFrame,
    projection: pd.DataFrame,
    clusters: pd.DataFrame,
    clusters_summary: pd.DataFrame,
    summary: Mapping[str, Any],
) -> dict[str, Figure]:
    """The pictures of the embedding that are files of their own: `elbow` and `cluster_map`."""
    return {
        "elbow": elbow(elbow_table, summary),
        "cluster_map": cluster_map(projection, clusters, clusters_summary, summary),
    }


def spread(places: np.ndarray, gap: float = 0.045) -> np.ndarray:
    """Places [n, 2] moved apart, as little as a few steps allow, until no two are within `gap`."""
    places = places.astype(float).copy()
    for _ in range(60):
        offsets = places[:, None] - places[None]
        distances = np.linalg.norm(offsets, axis=2)
        near = np.triu(distances < gap, 1)
        if not near.any():
            break
        for first, second in np.argwhere(near):
            offset = offsets[first, second]
            length = distances[first, second]
            direction = offset / length if length > 0 else np.array([1.0, 0.0])
            push = direction * (gap - length) * 0.55
            places[first] += push
            places[second] -= push
    return places


def typical_tokens(clusters: pd.DataFrame, number: int, count: int = 4, longest: int = 12) -> str:
    """A few tokens with the largest margin in a cluster, those that the font can draw first."""
    own = clusters[clusters["cluster"] == number]
    own = own.sort_values(["margin", "distance"], ascending=[False, True], kind="stable")
    own = own.head(NEAREST)
    texts = [str(token) for token in own["token"].dropna() if token]
    if not texts:
        return ", ".join(f"⟨{token}⟩" for token in own["token_id"].head(count))
    good = [token for token in texts if style.drawable(token)] or texts
    return "  ".join(literal(token, longest) for token in dict.fromkeys(good[:count]))


def _cluster_list(side: Any, clusters: pd.DataFrame, clusters_summary: pd.DataFrame) -> None:
    side.axis("off")
    side.set_title("cluster, number of tokens, typical ones")
    rows = clusters_summary.sort_values("cluster")
    step = 1 / max(len(rows), 14)
    for place, row in enumerate(rows.to_dict("records")):
        y = 1 - (place + 0.5) * step
        number = int(row["cluster"])
        hue = _hue(number)
        options = {"transform": side.transAxes, "va": "center", "fontsize": 8.5}
        side.text(0.06, y, str(number), ha="right", weight="bold", color=hue, **options)
        side.text(0.24, y, f"{row['size']:,}", ha="right", **options)
        side.text(0.28, y, typical_tokens(clusters, number), **options)
    side.set_xlim(0, 1)
    side.set_ylim(0, 1)


def _direction(kind: str, number: int, summary: Mapping[str, Any]) -> str:
    """What an axis of the map is, and the share of the variance along it."""
    if kind == "tsne":
        return f"t-SNE {number}{' (distances between groups mean little)' * (number == 1)}"
    share = (summary.get(f"{kind}_explained") or [None, None])[number - 1]
    explained = "" if share is None else f" ({percent(share)} of the variance)"
    name = "direction" if kind == "plane" else "principal component"
    between = " between cluster centres" if kind == "plane" else ""
    return f"{name} {number}{between}{explained}"


@cache
def _hue(number: int) -> tuple[float, ...]:
    """The colour of a cluster: the palette, then the palette darker, then lighter."""
    colour = to_rgb(PALETTE[number % len(PALETTE)])
    end, share = ((0, 0.0), (0, 0.45), (1, 0.5), (0, 0.7))[number // len(PALETTE) % 4]
    return tuple(end * share + (1 - share) * part for part in colour)


def _no_embedding(summary: Mapping[str, Any]) -> str:
    return str(summary.get("reason") or "This model has no token embedding to cluster.")
