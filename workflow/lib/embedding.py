"""The token embedding: clusters of its rows, the elbow that chose their number, a map, geometry."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow.lib import tables
from workflow.lib.clustering import (
    Clustering,
    Components,
    Fit,
    Progress,
    blocks,
    cluster_rows,
    elbow,
    elbow_table,
    heights,
    is_clear,
    principal_components,
    silhouette_scorer,
    subspace,
    usable_rows,
    warm_path,
)
from workflow.lib.tokens import Token

SHOWN_TOKENS = 12
SHOWN_WIDTH = 24
NEAR_ELBOW = 0.95


@dataclass(frozen=True)
class EmbeddingAnalysis:
    """Tables by the schemas of the same names, and plain facts that JSON can hold."""

    clusters: pd.DataFrame
    clusters_summary: pd.DataFrame
    elbow: pd.DataFrame
    projection: pd.DataFrame
    summary: dict[str, Any]


def nothing(reason: str) -> EmbeddingAnalysis:
    """The analysis of a model without a token embedding: empty tables and the reason."""
    return EmbeddingAnalysis(
        clusters=tables.frame([], "clusters"),
        clusters_summary=tables.frame([], "clusters_summary"),
        elbow=tables.frame([], "elbow"),
        projection=tables.frame([], "projection"),
        summary={"reason": reason},
    )


def analyse_embedding(
    rows: np.ndarray,
    tokens: list[Token],
    k_min: int = 2,
    k_max: int = 30,
    n_clusters: int | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
) -> EmbeddingAnalysis:
    """Cluster the `rows` [n, d] (float32) of an embedding and describe their geometry.

    `tokens` [n] name the rows. K-means is tried for k from `k_min` to `k_max`; the elbow of its
    inertia chooses k unless `n_clusters` sets it. `progress` is called with (k, k_max). Rows that
    are not finite (or beyond 1e12) are left out: their cluster, distance and place are missing.
    """
    n, d = rows.shape
    if len(tokens) != n:
        raise ValueError(f"{len(tokens)} tokens for an embedding of {n} rows: give one for each.")
    values, mask = usable_rows(rows)
    if not values.size:
        return nothing(f"The token embedding of shape [{n}, {d}] has no row of finite values.")
    components = principal_components(values, subspace(d, k_max))
    fits = warm_path(values, k_min, k_max, random_state, progress, components)
    best = elbow(fits)
    wanted = best if n_clusters is None else n_clusters
    start = next((fit.labels for fit in fits if fit.k == wanted), None)
    clustering = cluster_rows(rows, wanted, random_state, start)
    norms = _norms(rows)
    summary = {
        "rows": n,
        "dimensions": d,
        "k": len(clustering.centres),
        "k_rule": _rule(fits, n_clusters, len(clustering.centres)),
        "elbow_k": best,
        "clear_elbow": is_clear(fits),
        "silhouette": _number(silhouette_scorer(values, random_state)(clustering.labels[mask])),
        "explained_share": _share(fits[0].total - clustering.inertia, fits[0].total),
        "pca_explained": _explained(components),
        "mean_norm": _number(norms[mask].mean()),
        "std_norm": _number(norms[mask].std()),
        "isotropy": {
            "mean_cosine": mean_cosine(values),
            "mean_cosine_centred": mean_cosine(values, components.mean),
        },
        "padding_rows": sum(token.kind == "padding" for token in tokens),
        "duplicate_rows": duplicate_rows(values),
        "zero_rows": int((norms == 0).sum()),
        "left_out_rows": int(n - mask.sum()),
        "random_state": random_state,
    }
    return EmbeddingAnalysis(
        clusters=_clusters(clustering, tokens, norms),
        clusters_summary=_clusters_summary(clustering, tokens, norms),
        elbow=_elbow(fits, clustering),
        projection=_projection(values, mask, components),
        summary=summary,
    )


def mean_cosine(rows: np.ndarray, origin: np.ndarray | None = None) -> float | None:
    """Mean cosine over all pairs of different rows of `rows` [m, d], seen from `origin` [d].

    0 for directions spread evenly, towards 1 for rows in a narrow cone. Exact: the sum over all
    pairs of unit vectors u is |Σu|² - m. Rows at the origin are left out; None for fewer than two.
    """
    count, total = 0, np.zeros(rows.shape[1])
    for part in blocks(rows):
        block = rows[part].astype(np.float64)
        if origin is not None:
            block -= origin
        lengths = np.linalg.norm(block, axis=1)
        count += int((lengths > 0).sum())
        total += (1.0 / lengths[lengths > 0]) @ block[lengths > 0]
    return float((total @ total - count) / (count * (count - 1))) if count > 1 else None


def duplicate_rows(rows: np.ndarray) -> int:
    """How many of `rows` equal an earlier row (0 and -0 are equal)."""
    seen = {
        hashlib.blake2b(row, digest_size=16).digest()
        for part in blocks(rows)
        for row in rows[part] + np.float32(0)
    }
    return len(rows) - len(seen)


def _norms(rows: np.ndarray) -> np.ndarray:
    norms = np.empty(len(rows))
    for part in blocks(rows):
        norms[part] = np.linalg.norm(rows[part].astype(np.float64), axis=1)
    return norms


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _explained(components: Components) -> list[float | None]:
    shares = [_share(float(v), components.total_variance) for v in components.variances[:2]]
    return shares + [None] * (2 - len(shares))


def _rule(fits: list[Fit], n_clusters: int | None, k: int) -> str:
    """How the number of clusters was chosen, in one or two sentences."""
    if n_clusters is not None:
        if k < n_clusters:
            return f"n_clusters = {n_clusters} was set, but the rows fill only {k} clusters."
        return f"k = {k} was set by n_clusters."
    first, last = fits[0].k, fits[-1].k
    if len(fits) < 3:
        return f"k = {k}: the rows allow no curve to find an elbow in."
    rule = (
        f"k = {k} is the elbow of the inertia curve: the largest height over its chord from "
        f"k = {first} to {last} (Kneedle)."
    )
    if is_clear(fits):
        return rule
    height = heights(fits)
    near = [fit.k for fit, h in zip(fits, height, strict=True) if h >= NEAR_ELBOW * height.max()]
    if height.max() <= 0:
        return f"{rule} There is no clear elbow: the curve does not bend."
    return (
        f"{rule} There is no clear elbow: k = {near[0]} to {near[-1]} reach at least "
        f"{NEAR_ELBOW:.0%} of that height."
    )


def _clusters(clustering: Clustering, tokens: list[Token], norms: np.ndarray) -> pd.DataFrame:
    numbers = pd.array(clustering.labels, dtype="Int64")
    numbers[clustering.labels < 0] = pd.NA
    data = {
        "token_id": np.arange(len(tokens)),
        "token": [token.text for token in tokens],
        "kind": [token.kind for token in tokens],
        "cluster": numbers,
        "distance": clustering.distances,
        "norm": norms,
    }
    return tables.typed(pd.DataFrame(data), "clusters")


def _shown(tokens: list[Token], ids: np.ndarray) -> str:
    """Texts of tokens joined by two spaces; one without text is its id in angle brackets."""
    texts = (tokens[number].text or f"⟨{number}⟩" for number in ids)
    cut = (text if len(text) <= SHOWN_WIDTH else text[:SHOWN_WIDTH] + "…" for text in texts)
    return "  ".join(cut)


def _clusters_summary(
    clustering: Clustering, tokens: list[Token], norms: np.ndarray
) -> pd.DataFrame:
    rows = []
    for cluster in range(len(clustering.centres)):
        members = np.flatnonzero(clustering.labels == cluster)
        distances = clustering.distances[members]
        nearest = members[np.argsort(distances, kind="stable")[:SHOWN_TOKENS]]
        farthest = members[np.argsort(-distances, kind="stable")[:SHOWN_TOKENS]]
        row = {
            "cluster": cluster,
            "size": len(members),
            "share": len(members) / len(tokens),
            "inertia_share": _share(float((distances**2).sum()), clustering.inertia),
            "mean_norm": float(norms[members].mean()),
            "mean_distance": float(distances.mean()),
            "central_tokens": _shown(tokens, nearest),
            "odd_tokens": _shown(tokens, farthest),
        }
        rows.append(row)
    return tables.frame(rows, "clusters_summary")


def _elbow(fits: list[Fit], clustering: Clustering) -> pd.DataFrame:
    """Table `elbow`; a k set outside the range that was tried gets a row of its own."""
    k = len(clustering.centres)
    table = elbow_table(fits, k)
    if any(fit.k == k for fit in fits):
        return table
    share = _share(fits[0].total - clustering.inertia, fits[0].total)
    extra = {"k": k, "inertia": clustering.inertia, "explained_share": share, "chosen": True}
    whole = pd.concat([table, tables.frame([extra], "elbow")])
    return whole.sort_values("k", ignore_index=True)


def _projection(values: np.ndarray, mask: np.ndarray, components: Components) -> pd.DataFrame:
    places = np.full((len(mask), 2), np.nan)
    plane = Components(
        components.mean, components.axes[:, :2], components.variances[:2], components.total_variance
    )
    places[mask, : plane.axes.shape[1]] = plane.project(values)
    if plane.axes.shape[1] < 2:
        places[mask, 1] = 0.0
    data = {"token_id": np.arange(len(mask)), "x": places[:, 0], "y": places[:, 1]}
    return tables.typed(pd.DataFrame(data), "projection")
