"""Pictures that the workflow draws beside its tables: layer maps, the elbow, the map of tokens.

Pictures that only the notebooks show are in `report_plots`.
"""

import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflow.lib import style
from workflow.lib.style import HEAT, MISSING, PALETTE, canvas, literal, message, save

__all__ = ["cluster_map", "elbow", "embedding_figures", "layer_figures", "layer_map", "save"]

# Column of the table layers -> name, unit or definition, whether the colours are logarithmic.
LAYER_METRICS = {
    "std": ("Standard deviation of the weights", "units of the weights", True),
    "stable_rank": (
        "Stable rank",
        "‖W‖² / σ₁² (Frobenius over spectral norm), mean of the matrices",
        True,
    ),
    "effective_rank": (
        "Effective rank",
        "exp of the entropy of σ / Σσ, mean of the matrices",
        True,
    ),
    "spectral_norm": ("Spectral norm", "largest σ₁ of the matrices", True),
    "alpha": (
        "Power-law exponent α of the spectrum",
        "fitted to the tail of σ², mean of the matrices",
        True,
    ),
    "kurtosis_excess": (
        "Excess kurtosis",
        "0 for a normal distribution, mean of the matrices",
        False,
    ),
    "rank_ratio": ("Rank ratio", "numerical rank / smaller side, mean of the matrices", False),
    "entropy_bits": ("Entropy of the stored codes", "bits per weight", False),
    "outlier_6sigma": ("Weights beyond 6 standard deviations", "share", True),
}
POINTS = 60_000
NEAREST = 40


def layer_figures(layers: pd.DataFrame) -> dict[str, Figure]:
    """The layer maps that are files of their own: `layers_std` and `layers_stable_rank`."""
    nothing = "This model has no numbered layers, so there is no map over depth."
    return {
        f"layers_{column}": layer_map(layers, column) or message(nothing)
        for column in ("std", "stable_rank")
    }


def layer_map(layers: pd.DataFrame, column: str) -> Figure | None:
    """Heat map of a column of the table layers: layers down, block types across.

    One panel per component. Only blocks that hold matrices are shown. None without such layers.
    """
    rows = layers[layers["layer_index"].notna() & (layers["matrices"] > 0) & layers[column].notna()]
    if rows.empty:
        return None
    title, unit, logarithmic = LAYER_METRICS[column]
    parts = [
        part.pivot(index="layer_index", columns="block_type", values=column)
        for _, part in rows.groupby("component", sort=True)
    ]
    names = [str(name) for name, _ in rows.groupby("component", sort=True)]
    grids = [_whole_depth(part)[style.ordered(part.columns)].astype(float) for part in parts]
    depth = max(len(grid) for grid in grids)
    height = 1.9 + min(max(0.21 * depth, 1.0), 10.0)
    columns = [grid.shape[1] for grid in grids]
    figure, panels = canvas(
        max(6.4, 2.6 + 0.85 * sum(columns)),
        height,
        cols=len(grids),
        width_ratios=columns,
    )
    values = np.concatenate([grid.to_numpy().ravel() for grid in grids])
    norm = _norm(values[np.isfinite(values)], logarithmic)
    for panel, grid, name in zip(panels, grids, names, strict=True):
        few = depth <= 36 and sum(columns) <= 12
        sns.heatmap(
            grid,
            ax=panel,
            cmap=HEAT,
            norm=norm,
            cbar=panel is panels[-1],
            annot=_cell_texts(grid) if few else False,
            fmt="",
            annot_kws={"size": 7},
            linewidths=0.4 if depth <= 60 else 0,
        )
        panel.set_facecolor(MISSING)
        panel.set_xlabel("block type")
        panel.set_ylabel("layer" if panel is panels[0] else "")
        panel.set_xticklabels([literal(label) for label in grid.columns], rotation=40, ha="right")
        _thin_rows(panel, grid)
        if len(grids) > 1:
            panel.set_title(literal(name))
    if bar := panels[-1].collections[0].colorbar:
        style.plain_ticks(bar.ax.yaxis, isinstance(norm, LogNorm))
    scale = "logarithmic" if isinstance(norm, LogNorm) else "linear"
    width = int(11.5 * figure.get_figwidth())
    lines = [f"{title} per layer", *textwrap.wrap(f"{unit}; {scale} colours", width)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11)
    return figure


def _whole_depth(grid: pd.DataFrame) -> pd.DataFrame:
    """All layers from the first to the last, so that a gap in the numbers shows as a gap."""
    first, last = int(grid.index.min()), int(grid.index.max())
    return grid.reindex(range(first, last + 1)) if last - first < 2000 else grid


def _norm(values: np.ndarray, logarithmic: bool) -> Normalize:
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if logarithmic and low > 0 and high > 1.5 * low:
        return LogNorm(low, high)
    if high <= low:
        margin = abs(low) / 10 or 1.0
        return Normalize(low - margin, high + margin)
    return Normalize(low, high)


def _cell_texts(grid: pd.DataFrame) -> np.ndarray:
    return np.array(
        [["" if np.isnan(value) else _short(value) for value in row] for row in grid.to_numpy()]
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if 100 <= abs(value) < 1e4 else f"{value:.2g}"


def _thin_rows(panel: Any, grid: pd.DataFrame) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200) if len(grid) / step <= 42)
    places = range(0, len(grid), step)
    panel.set_yticks([place + 0.5 for place in places])
    panel.set_yticklabels([str(grid.index[place]) for place in places], rotation=0)


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
    left.set_ylabel("inertia: Σ distance² to the own centre")
    drop = 1 - inertia[-1] / inertia[0] if inertia[0] > 0 else 0.0
    left.set_title(f"Inertia: {drop:.1%} lower at k = {k[-1]:.0f} (axis not from 0)")
    style.plain_ticks(left.yaxis)
    right.set_ylabel("index (1 is best)")
    right.set_title("Silhouette: how far apart; stability: found again?")
    if np.isfinite(stability).any():
        right.plot(k, stability, color=PALETTE[0], label="stability (adjusted Rand)")
        right.plot(k, null_stability, "--", color="#777777", label="stability, one cloud")
    if np.isfinite(silhouette).any():
        right.plot(k, silhouette, marker="o", markersize=4, color=PALETTE[2], label="silhouette")
        right.axhline(0, color="#999999", linewidth=0.8)
        right.legend()
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
                    label=f"chosen: k = {k[place]:.0f}",
                )
    left.legend()
    return figure


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
    """Tokens by the first two principal components where they were clustered, or by t-SNE.

    The colour is the cluster. Its number stands at the median of its tokens; the list beside the
    picture gives its size and a few of its typical tokens. Of very many tokens an even selection
    is drawn.
    """
    if projection.empty:
        return message(_no_embedding(summary))
    tsne = bool(projection["tsne_x"].notna().any())
    places = projection[["token_id", "x", "y"]]
    if tsne:
        places = projection[["token_id", "tsne_x", "tsne_y"]].set_axis(places.columns, axis=1)
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
    shares = list(summary.get("pca_explained") or [None, None])
    metric = summary.get("metric")
    axes.set_xlabel(
        "t-SNE 1 (distances between groups mean little)"
        if tsne
        else _component(1, shares[0], metric)
    )
    axes.set_ylabel("t-SNE 2" if tsne else _component(2, shares[1], metric))
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
    side.set_title("cluster, tokens in it, some typical ones")
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


def _component(number: int, share: float | None, metric: str | None) -> str:
    explained = "" if share is None else f" ({share:.1%} of the variance)"
    space = {"whitened": " after whitening", "spherical": " of the directions"}.get(
        metric or "", ""
    )
    return f"principal component {number}{space}{explained}"


@cache
def _hue(number: int) -> tuple[float, ...]:
    """The colour of a cluster: the palette, then the palette darker, then lighter."""
    colour = to_rgb(PALETTE[number % len(PALETTE)])
    end, share = ((0, 0.0), (0, 0.45), (1, 0.5), (0, 0.7))[number // len(PALETTE) % 4]
    return tuple(end * share + (1 - share) * part for part in colour)


def _no_embedding(summary: Mapping[str, Any]) -> str:
    return str(summary.get("reason") or "This model has no token embedding to cluster.")
