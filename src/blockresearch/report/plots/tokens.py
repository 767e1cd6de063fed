"""Figures of the token embedding: elbow, map, norms, untrained tokens and output layer."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from blockresearch.language.recognition import recognized
from blockresearch.language.sentence import Sentence, say
from blockresearch.report.plots import style
from blockresearch.report.plots.style import PALETTE, canvas, literal, message
from blockresearch.report.wording import percent

POINTS = 60_000

NEAREST = 40

# Of a legend that the line of the chosen k may cross.
READABLE: dict[str, Any] = {"frameon": True, "framealpha": 0.9, "edgecolor": "none"}


def elbow(table: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Inertia, silhouette and stability against the number of clusters, the chosen one marked.

    Dashed: a cloud of the same covariance without clusters.
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
            k, _null_inertia(table), "--", color="#777777", label="reference: a normal distribution"
        )
    left.set_ylabel("inertia: Σ distance² to the cluster's center")
    drop = 1 - inertia[-1] / inertia[0] if inertia[0] > 0 else 0.0
    left.set_title(
        style.in_language(
            say("Inertia falls by {drop} (axis does not start at 0)", drop=percent(drop))
        )
    )
    style.plain_ticks(left.yaxis)
    right.set_ylabel("index (1 is best)")
    right.set_title("Silhouette (separation) and stability")
    if np.isfinite(stability).any():
        right.plot(k, stability, color=PALETTE[0], label="stability (adjusted Rand)")
        right.plot(k, null_stability, "--", color="#777777", label="stability of the reference")
    if np.isfinite(silhouette).any():
        right.plot(k, silhouette, marker="o", markersize=4, color=PALETTE[2], label="silhouette")
        right.axhline(0, color="#999999", linewidth=0.8)
        right.legend(**READABLE)
    else:
        right.text(
            0.5,
            0.5,
            style.in_language(say("not defined here")),
            ha="center",
            transform=right.transAxes,
        )
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
                    label=style.in_language(_chosen(k[place], summary)),
                )
    left.legend(**READABLE)
    return figure


def _chosen(k: float, summary: Mapping[str, Any]) -> Sentence:
    """The number of clusters and the rule by which it was chosen."""
    number = f"{k:.0f}"
    if "elbow_k" not in summary:
        return say("chosen: k = {k}", k=number)
    return say(
        "chosen: k = {k}, by Kneedle"
        if k == summary["elbow_k"]
        else "chosen: k = {k}, set by n_clusters",
        k=number,
    )


def _null_inertia(table: pd.DataFrame) -> np.ndarray:
    """Inertia that a cloud without clusters would have, from shares measured on samples.

    A sample is explained slightly better than all rows; the null is shifted by the difference.
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
    """Tokens in the plane in which the centers of the clusters are farthest apart, or by t-SNE.

    Fewer than three clusters span no plane: then the first two principal components are shown. The
    color is the cluster. Its number is at the median of its tokens; the list beside the figure
    shows its size and a few typical tokens. Of very many tokens an even selection is drawn.
    """
    if projection.empty:
        return message(_no_embedding(summary))
    kind = map_kind(projection)
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
    colors = [_hue(number) for number in shown["cluster"].astype(int)]
    x, y = shown["x"].to_numpy(dtype=float), shown["y"].to_numpy(dtype=float)
    size = 14 if len(shown) < 2000 else 4 if len(shown) < 15000 else 1.6
    axes.scatter(x, y, s=size, c=colors, alpha=0.45, linewidths=0, rasterized=True)
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
    axes.set_xlabel(style.in_language(axis_label(kind, 1, summary)))
    axes.set_ylabel(style.in_language(axis_label(kind, 2, summary)))
    title = say(
        "{tokens} tokens in {clusters} clusters, every {step}. token drawn"
        if every > 1
        else "{tokens} tokens in {clusters} clusters",
        tokens=f"{len(points):,}",
        clusters=len(numbers),
        step=every,
    )
    axes.set_title(style.in_language(title))
    _cluster_list(side, clusters, clusters_summary)
    return figure


def embedding_figures(
    elbow_table: pd.DataFrame,
    projection: pd.DataFrame,
    clusters: pd.DataFrame,
    clusters_summary: pd.DataFrame,
    summary: Mapping[str, Any],
) -> dict[str, Figure]:
    """The figures of the embedding that are separate files: `elbow` and `cluster_map`."""
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
    # A left-to-right mark keeps Arabic tokens next to each other in their order.
    return "  ".join(f"\u200e{literal(token, longest)}" for token in dict.fromkeys(good[:count]))


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


def map_kind(projection: pd.DataFrame) -> str:
    """The projection that the map shows: tsne, plane (between cluster centers) or pca."""
    found = (kind for kind in ("tsne", "plane") if projection[f"{kind}_x"].notna().any())
    return next(found, "pca")


def axis_label(kind: str, number: int, summary: Mapping[str, Any]) -> Sentence:
    """The label of an axis of the map, with the share of the variance along it."""
    if kind == "tsne":
        return say(
            "t-SNE {number} (distances between groups mean little)"
            if number == 1
            else "t-SNE {number}",
            number=number,
        )
    share = (summary.get(f"{kind}_explained") or [None, None])[number - 1]
    name = say(
        "direction {number} between cluster centers"
        if kind == "plane"
        else "principal component {number}",
        number=number,
    )
    if share is None:
        return name
    return say("{name} ({share} of the variance)", name=name, share=percent(share))


def hue(number: int) -> str:
    """The color of a cluster as #rrggbb."""
    return to_hex(_hue(number))


@cache
def _hue(number: int) -> tuple[float, float, float]:
    """The color of a cluster: the palette, then the palette darker, then lighter."""
    color = to_rgb(PALETTE[number % len(PALETTE)])
    end, share = ((0, 0.0), (0, 0.45), (1, 0.5), (0, 0.7))[number // len(PALETTE) % 4]
    red, green, blue = (end * share + (1 - share) * part for part in color)
    return red, green, blue


def _no_embedding(summary: Mapping[str, Any]) -> str:
    reason = summary.get("reason") or say("This model has no token embedding to cluster.")
    return style.in_language(recognized(str(reason)))


def token_norms(clusters: pd.DataFrame) -> Figure | None:
    """Histogram of the L2 norms of the embedding's rows, one outline per kind of token."""
    rows = clusters[clusters["norm"].notna()]
    rows = rows[np.isfinite(rows["norm"].astype(float))]
    if rows.empty:
        return None
    values = rows["norm"].astype(float)
    edges = np.linspace(values.min(), values.max() or 1.0, 81)
    if edges[-1] <= edges[0]:
        edges = np.linspace(edges[0] - 0.5, edges[0] + 0.5, 3)
    figure, (axes,) = canvas(8.6, 3.6)
    for place, (kind, own) in enumerate(values.groupby(rows["kind"].fillna("normal"))):
        counts, _ = np.histogram(own, edges)
        hue = PALETTE[place % len(PALETTE)]
        axes.stairs(counts, edges, color=hue, linewidth=1.6, label=f"{kind} ({len(own):,})")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0)
    style.plain_ticks(axes.yaxis)
    axes.set_xlabel("L2 norm of the token's vector")
    axes.set_ylabel("tokens per bin (logarithmic above 1)")
    axes.set_title("Lengths of the token vectors by kind of token")
    axes.legend()
    return figure


BINS = 100

WINDOW_SHARE = 100

HUES = {"embedding": PALETTE[2], "output layer": PALETTE[5]}


def norms_by_id(tokens: pd.DataFrame, output_tokens: pd.DataFrame) -> Figure | None:
    """L2 norm of each token's row against its id, with the running median.

    One panel for the embedding, one for an untied output layer; both are the table tokens.
    """
    parts = {
        title: part.dropna(subset=["norm"])
        for title, part in (("embedding", tokens), ("output layer", output_tokens))
    }
    parts = {title: part for title, part in parts.items() if len(part)}
    if not parts:
        return None
    figure, panels = canvas(10, 3.9, cols=len(parts))
    for panel, (title, part) in zip(panels, parts.items(), strict=True):
        ids = part["token_id"].to_numpy(dtype=float)
        norms = part["norm"].to_numpy(dtype=float)
        size = 2 if len(part) > 10_000 else 5
        panel.scatter(
            ids, norms, s=size, color=HUES[title], alpha=0.25, linewidths=0, rasterized=True
        )
        window = max(1, len(part) // WINDOW_SHARE)
        median = part["norm"].astype(float).rolling(window, center=True, min_periods=1).median()
        panel.plot(ids, median, color="#222222", linewidth=1.4, label="running median")
        reference = part["reference"].fillna(False).to_numpy(dtype=bool)
        if reference.any():
            panel.scatter(
                ids[reference],
                norms[reference],
                s=8,
                color=PALETTE[3],
                linewidths=0,
                rasterized=True,
                label="reference rows",
            )
        panel.set_xlabel("token id (small: frequent in most vocabularies)")
        panel.set_ylabel("L2 norm of the token's row")
        panel.set_ylim(0, 1.06 * float(norms.max()) or 1.0)
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.set_title(
            style.in_language(
                say("Embedding: {rows} rows", rows=f"{len(part):,}")
                if title == "embedding"
                else say("Output layer: {rows} rows", rows=f"{len(part):,}")
            )
        )
        panel.legend(markerscale=2)
    return figure


def scores(tokens: pd.DataFrame) -> Figure | None:
    """Histogram of the similarity to untrained rows, reference rows apart from the others."""
    known = tokens.dropna(subset=["undertrained_score"])
    if known.empty:
        return None
    values = known["undertrained_score"].to_numpy(dtype=float)
    reference = known["reference"].fillna(False).to_numpy(dtype=bool)
    edges = _edges(values)
    figure, (axes,) = canvas(8.6, 3.4)
    for label, mask, hue in (
        (say("other tokens" if reference.any() else "tokens"), ~reference, PALETTE[0]),
        (say("reference rows"), reference, PALETTE[3]),
    ):
        if mask.any():
            counts, _ = np.histogram(values[mask], edges)
            axes.stairs(
                counts,
                edges,
                color=hue,
                linewidth=1.6,
                label=f"{style.in_language(label)} ({mask.sum():,})",
            )
    _counts_axis(axes)
    axes.set_xlabel("score: similarity to untrained rows")
    axes.set_title("Which tokens look untrained")
    axes.legend()
    return figure


def output_cosines(tokens: pd.DataFrame) -> Figure | None:
    """Histogram of the cosine between the two rows of each token, embedding and output layer."""
    values = tokens["output_cosine"].dropna().to_numpy(dtype=float)
    if not values.size:
        return None
    figure, (axes,) = canvas(8.6, 3.4)
    counts, edges = np.histogram(values, _edges(values))
    axes.stairs(counts, edges, color=PALETTE[0], linewidth=1.6)
    axes.axvline(0, color="#999999", linewidth=0.8)
    _counts_axis(axes)
    axes.set_xlabel("cosine between a token's rows in the embedding and in the output layer")
    title = say(
        "The two rows of {tokens} tokens: median cosine {cosine}",
        tokens=f"{len(values):,}",
        cosine=f"{np.median(values):.3f}",
    )
    axes.set_title(style.in_language(title))
    return figure


def spectra_pair(spectra: pd.DataFrame, embedding: str | None, output: str | None) -> Figure | None:
    """Singular values of the embedding and of an untied output layer.

    Left: the values; right: cumulative shares of σ² from the largest. `spectra` is the table.
    """
    found = {}
    for title, name in (("embedding", embedding), ("output layer", output)):
        own = spectra[spectra["param_name"] == name]
        values = np.asarray(own["singular_values"].iloc[0] if len(own) else [], dtype=float)
        if (values > 0).any():
            found[title] = values
    if not found:
        return None
    figure, (left, right) = canvas(10, 3.7, cols=2)
    for title, values in found.items():
        numbers = np.arange(1, len(values) + 1)
        positive = values > values.max() * 1e-7
        left.plot(numbers[positive], values[positive], color=HUES[title], label=title)
        energy = np.cumsum(values**2) / (values**2).sum()
        right.plot(numbers, energy, color=HUES[title], label=title)
    left.set_xscale("log")
    left.set_yscale("log")
    style.plain_ticks(left.xaxis)
    style.plain_ticks(left.yaxis, True)
    left.set_xlabel("number of the singular value (largest first)")
    left.set_ylabel("singular value σ")
    left.set_title("Singular values")
    right.set_xlabel("number of directions")
    right.set_ylabel("share of Σσ² in them")
    right.set_ylim(0, 1.02)
    right.set_title("Share of the energy in the leading directions")
    for panel in (left, right):
        panel.legend()
    return figure


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _counts_axis(axes) -> None:
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0)
    style.plain_ticks(axes.yaxis)
    axes.set_ylabel("tokens per bin (logarithmic above 1)")
