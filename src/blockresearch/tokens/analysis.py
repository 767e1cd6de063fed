"""The token embedding and the output layer: clusters, their quality, a map, every token."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.language.sentence import Sentence, say
from blockresearch.tables.io import frame, typed
from blockresearch.tokens.clustering import (
    Clustering,
    Fit,
    Space,
    cluster_rows,
    space,
    with_silhouettes,
)
from blockresearch.tokens.describe import SEARCHED_TOKENS, describe_rows
from blockresearch.tokens.elbow import elbow, elbow_table, explains_all, heights
from blockresearch.tokens.metric import METRICS, find_curve
from blockresearch.tokens.stability import NULL_SAMPLES, SAMPLES, Check, is_beyond_null, sample_size
from blockresearch.tokens.tokenizer import Token, Tokens, as_tokens
from blockresearch.tokens.traits import TraitColumns, all_traits
from blockresearch.tokens.vectors import (
    LIMIT,
    Components,
    Survey,
    Table,
    as_rows,
    oriented,
    survey,
)
from blockresearch.tokens.workers import SERIAL, Workers

PROJECTIONS = ("pca", "tsne")

PLACES = ("x", "y", "plane_x", "plane_y", "tsne_x", "tsne_y")

TSNE_ROWS = 10_000

TSNE_DIMENSIONS = 50

SHARES_SHOWN = 3

SHOWN_TOKENS = 12

SHOWN_WIDTH = 24

NEAR_ELBOW = 0.95

# Mean cosine from which an output layer agrees with the embedding.
AGREES = 0.9

NO_ROW = f"no row of finite values up to {LIMIT:.0e}"


@dataclass(frozen=True)
class EmbeddingAnalysis:
    """Tables by the schemas of the same names, and facts that can be stored as JSON.

    `output_tokens` is the table tokens of an untied output layer, else empty.
    """

    clusters: pd.DataFrame
    clusters_summary: pd.DataFrame
    elbow: pd.DataFrame
    projection: pd.DataFrame
    tokens: pd.DataFrame
    output_tokens: pd.DataFrame
    summary: dict[str, Any]


def nothing(reason: str) -> EmbeddingAnalysis:
    """The analysis of a model without a token embedding: empty tables and the reason."""
    return EmbeddingAnalysis(
        clusters=frame([], "clusters"),
        clusters_summary=frame([], "clusters_summary"),
        elbow=frame([], "elbow"),
        projection=frame([], "projection"),
        tokens=frame([], "tokens"),
        output_tokens=frame([], "tokens"),
        summary={"reason": reason},
    )


def analyze_embedding(
    rows: Table,
    tokens: Sequence[Token],
    k_min: int = 2,
    k_max: int = 30,
    n_clusters: int | None = None,
    metric: str = "auto",
    projection: str = "pca",
    probe_tokens: Sequence[str | int] = (),
    searched_tokens: int = SEARCHED_TOKENS,
    random_state: int = 0,
    workers: Workers = SERIAL,
    found: Survey | None = None,
) -> EmbeddingAnalysis:
    """Cluster the `rows` [n, d] of an embedding and describe them.

    `tokens` [n] name the rows. K-means is tried for k from `k_min` to `k_max`; the elbow of its
    inertia chooses k unless `n_clusters` sets it. For `metric` see `metric`; distances, inertia and
    coordinates are computed in its space. `probe_tokens` are texts or ids whose neighbors are
    searched; `searched_tokens` is the number of random tokens whose neighbors are searched, too.
    What is found does not depend on the number of threads of the `workers`. The survey of the rows
    is made here if it was not `found` before. Rows that are not finite (or beyond 1e12) are left
    out: their cluster, distance and coordinates are missing.
    Raises ValueError if there are not n tokens, or for an unknown metric or projection.
    """
    n, d = rows.shape
    if len(tokens) != n:
        raise ValueError(f"{len(tokens)} tokens for an embedding of {n} rows: give one for each.")
    if metric not in METRICS or projection not in PROJECTIONS:
        raise ValueError(
            f"metric {metric!r}, projection {projection!r}: choose a metric of "
            f"{', '.join(METRICS)} and a projection of {', '.join(PROJECTIONS)}."
        )
    rows, tokens = as_rows(rows), as_tokens(tokens)
    with one_blas_thread():
        found = found or survey(rows, workers)
        mask = found.usable
        values = rows.chosen(mask)
        if not values.size:
            return nothing(f"The token embedding of shape [{n}, {d}] has {NO_ROW}.")
        about = all_traits(tokens)
        probes, unknown_probes = find_probes(tokens, probe_tokens)
        wanted = [probe["token_id"] for probe in probes]
        stored = space(values, k_max, workers, found)
        # Both halves leave threads idle here and there, so they take turns.
        with ThreadPoolExecutor(1) as beside:
            described = beside.submit(
                describe_rows,
                rows,
                tokens,
                about,
                wanted,
                searched_tokens,
                random_state,
                workers=workers,
                found=found,
                stored=stored,
            )
            curve = find_curve(stored, metric, k_min, k_max, n_clusters, random_state, workers)
            fits, checked = curve.fits, curve.checked
            best = elbow(fits)
            chosen = best if n_clusters is None else n_clusters
            start = next((fit.labels for fit in fits if fit.k == chosen), None)
            own = curve.space
            clusters = cluster_rows(own.rows, chosen, random_state, start, workers)
            plane, plane_explained = _center_plane(own, clusters, workers)
            last = Fit(chosen, clusters.labels, clusters.inertia, fits[0].total)
            *fits, last = with_silhouettes(own.rows, [*fits, last], random_state, workers)
            table, facts = described.result()
    clustering = _of_all_rows(clusters, mask)
    norms = found.norms
    k = len(clustering.centers)
    summary = {
        "rows": n,
        "dimensions": d,
        "metric": curve.metric,
        "metric_rule": curve.rule,
        "k": k,
        "k_rule": _rule(fits, n_clusters, k, curve.clear),
        "elbow_k": best,
        "clear_elbow": curve.clear,
        "silhouette": _number(last.silhouette),
        "silhouette_error": _number(last.silhouette_error),
        "explained_share": _share(fits[0].total - clustering.inertia, fits[0].total),
        "samples": SAMPLES,
        "sample_rows": sample_size(len(values)),
        "null_samples": NULL_SAMPLES,
        "beyond_null": is_beyond_null(checked[k]) if k in checked else None,
        "pca_explained": _explained(own.components),
        "plane_explained": plane_explained,
        **facts,
        "probes": probes,
        "unknown_probes": unknown_probes,
        "random_state": random_state,
        "output": None,
    }
    return EmbeddingAnalysis(
        clusters=_clusters(clustering, tokens, norms),
        clusters_summary=_clusters_summary(clustering, tokens, about, norms),
        elbow=_elbow(fits, clustering, checked),
        projection=_projection(own.reduced, plane, mask, projection, random_state),
        tokens=table,
        output_tokens=frame([], "tokens"),
        summary=summary,
    )


def with_output(
    analysis: EmbeddingAnalysis,
    rows: Table,
    tokens: Sequence[Token],
    cosines: np.ndarray,
    searched_tokens: int = SEARCHED_TOKENS,
    random_state: int = 0,
    workers: Workers = SERIAL,
) -> EmbeddingAnalysis:
    """The analysis, extended by the `rows` [m, d] of an untied output layer.

    `tokens` [m] name its rows; `cosines` [n] are those between the two rows of each token of the
    embedding (`geometry.paired_cosines`). If no row is finite, the reason is noted.
    """
    rows, tokens = as_rows(rows), as_tokens(tokens)
    with one_blas_thread():
        found = survey(rows, workers)
    if not found.usable.any():
        reason = f"It has {NO_ROW}, so it is not described."
        return replace(analysis, summary=analysis.summary | {"output_reason": reason})
    probes = [probe["token_id"] for probe in analysis.summary["probes"]]
    wanted = [number for number in probes if number < len(rows)]
    about = all_traits(tokens)
    known = cosines[np.isfinite(cosines)]
    # What agrees with the embedding is scored as the embedding, or chance would choose for each.
    agrees = known.size > 0 and known.mean() >= AGREES
    indicator = analysis.summary["undertrained"]["indicator"] if agrees else None
    with one_blas_thread():
        table, facts = describe_rows(
            rows,
            tokens,
            about,
            wanted,
            searched_tokens,
            random_state,
            indicator,
            workers,
            found,
        )
    paired = np.full(len(rows), np.nan)
    paired[: len(cosines)] = cosines[: len(rows)]
    facts |= {
        "rows": len(rows),
        "dimensions": rows.shape[1],
        "mean_output_cosine": _number(known.mean()) if known.size else None,
    }
    return replace(
        analysis,
        tokens=typed(analysis.tokens.assign(output_cosine=cosines), "tokens"),
        output_tokens=typed(table.assign(output_cosine=paired), "tokens"),
        summary=analysis.summary | {"output": facts},
    )


def one_blas_thread() -> threadpool_limits:
    """A context in which each product runs on one thread, whichever library computes it."""
    import scipy.linalg  # noqa: F401 - it loads the BLAS that compiled loops use

    return threadpool_limits(1)


def find_probes(
    tokens: Sequence[Token], wanted: Sequence[str | int]
) -> tuple[list[dict[str, Any]], list[str | int]]:
    """The tokens for the texts or ids of `wanted`, each with its id, and those without a token.

    A text is tried with a leading space first, as most words occur in texts, and in lower case
    last, because some tokenizers have only lower case.
    """
    tokens = as_tokens(tokens)
    places: dict[str, int] = {}
    for number, raw in enumerate(tokens.raws if wanted else []):
        if raw:
            places.setdefault(raw, number)
    found: list[dict[str, Any]] = []
    unknown: list[str | int] = []
    for probe in wanted:
        if isinstance(probe, int):
            place: int | None = probe
        else:
            spellings = (" " + probe, probe, " " + probe.lower(), probe.lower())
            place = next((places[text] for text in spellings if text in places), None)
        if place is not None and 0 <= place < len(tokens):
            found.append({"token_id": place, "token": tokens.texts[place]})
        else:
            unknown.append(probe)
    return found, unknown


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _explained(components: Components) -> list[float | None]:
    shares = [_share(float(v), components.total_variance) for v in components.variances[:2]]
    return shares + [None] * (2 - len(shares))


def _of_all_rows(found: Clustering, mask: np.ndarray) -> Clustering:
    """A clustering of the rows that `mask` [n] marks as one of all n rows."""
    labels = np.full(len(mask), -1, np.int64)
    distances, margins = np.full((2, len(mask)), np.nan)
    labels[mask], distances[mask], margins[mask] = found.labels, found.distances, found.margins
    return replace(found, labels=labels, distances=distances, margins=margins)


def _rule(fits: list[Fit], n_clusters: int | None, k: int, clear: bool | None) -> Sentence:
    """How the number of clusters was chosen, in one or two sentences."""
    if n_clusters is not None:
        if k < n_clusters:
            return say(
                "n_clusters = {set} was set, but the rows fill only {k} clusters.",
                set=n_clusters,
                k=k,
            )
        return say("k = {k} was set by n_clusters.", k=k)
    tried = {"k": k, "first": fits[0].k, "last": fits[-1].k}
    if k == explains_all(fits):
        return say(
            "k = {k}: the rows have {k} distinct values, so this many clusters explain all.", k=k
        )
    if len(fits) < 3:
        return say("k = {k}: the rows give no curve in which to find an elbow.", k=k)
    if clear:
        return say(
            "k = {k} is the elbow of the inertia curve by Kneedle (k = {first} to {last}).", **tried
        )
    height = heights(fits)
    near = [fit.k for fit, h in zip(fits, height, strict=True) if h >= NEAR_ELBOW * height.max()]
    if height.max() <= 0:
        return say(
            "There is no clear elbow; Kneedle chooses k = {k} (k = {first} to {last}), but the "
            "curve does not bend.",
            **tried,
        )
    return say(
        "There is no clear elbow; Kneedle chooses k = {k} (k = {first} to {last}), but k = {low} "
        "to {high} are nearly as good (at least {share} % of its distance below the chord).",
        low=near[0],
        high=near[-1],
        share=f"{100 * NEAR_ELBOW:.0f}",
        **tried,
    )


def _clusters(clustering: Clustering, tokens: Tokens, norms: np.ndarray) -> pd.DataFrame:
    numbers = pd.array(clustering.labels, dtype="Int64")
    numbers[clustering.labels < 0] = pd.NA
    data = {
        "token_id": np.arange(len(tokens)),
        "token": tokens.texts,
        "kind": tokens.kinds,
        "cluster": numbers,
        "distance": clustering.distances,
        "margin": clustering.margins,
        "norm": norms,
    }
    return typed(pd.DataFrame(data), "clusters")


def _shown(tokens: Tokens, ids: np.ndarray) -> str:
    """Texts of tokens joined by two spaces; one without text is its id in angle brackets."""
    texts = (tokens.texts[number] or f"⟨{number}⟩" for number in ids)
    cut = (text if len(text) <= SHOWN_WIDTH else text[:SHOWN_WIDTH] + "…" for text in texts)
    return "  ".join(cut)


def _mix(names: Iterable[str | None]) -> str:
    """The most frequent of `names` with their shares, e.g. Latin 93 %, Han 4 %."""
    counts = Counter(name for name in names if name)
    total = counts.total()
    parts = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHARES_SHOWN]
    shown = [(name, round(100 * count / total)) for name, count in parts]
    return ", ".join(f"{name} {share} %" for name, share in shown if share)


def _clusters_summary(
    clustering: Clustering, tokens: Tokens, about: TraitColumns, norms: np.ndarray
) -> pd.DataFrame:
    rows = []
    for cluster in range(len(clustering.centers)):
        members = np.flatnonzero(clustering.labels == cluster)
        distances = clustering.distances[members]
        nearest = members[np.argsort(distances, kind="stable")[:SHOWN_TOKENS]]
        typical = members[np.argsort(-clustering.margins[members], kind="stable")[:SHOWN_TOKENS]]
        farthest = members[np.argsort(-distances, kind="stable")[:SHOWN_TOKENS]]
        spaced = [known for known in about.leading_space[members] if known is not None]
        row = {
            "cluster": cluster,
            "size": len(members),
            "share": len(members) / len(tokens),
            "inertia_share": _share(float((distances**2).sum()), clustering.inertia),
            "mean_norm": float(norms[members].mean()),
            "mean_distance": float(distances.mean()),
            "categories": _mix(about.category[members]),
            "scripts": _mix(about.script[members]),
            "leading_space": sum(spaced) / len(spaced) if spaced else None,
            "typical_tokens": _shown(tokens, typical),
            "central_tokens": _shown(tokens, nearest),
            "odd_tokens": _shown(tokens, farthest),
        }
        rows.append(row)
    return frame(rows, "clusters_summary")


def _elbow(fits: list[Fit], clustering: Clustering, checked: Mapping[int, Check]) -> pd.DataFrame:
    """Table `elbow`; a k set outside the range that was tried gets an extra row."""
    k = len(clustering.centers)
    table = elbow_table(fits, k, checked)
    if any(fit.k == k for fit in fits):
        return table
    total = fits[0].total
    extra = Fit(k, clustering.labels, clustering.inertia, total, math.nan, math.nan)
    row = elbow_table([extra], k, checked).assign(elbow_height=None)
    return typed(pd.concat([table, row]).sort_values("k", ignore_index=True), "elbow")


def _center_plane(
    place: Space, found: Clustering, workers: Workers
) -> tuple[np.ndarray, list[float | None]]:
    """Coordinates [m, 2] of rows [m, d] in the plane in which the centers are farthest apart.

    The plane of the two leading principal components of the centers, each weighted by the rows of
    its cluster, and the shares of the variance of the rows along them. Fewer than three centers
    span no plane: NaN, None.
    """
    rows, components = place.rows, place.components
    if len(found.centers) < 3 or rows.shape[1] < 2:
        return np.full((len(rows), 2), np.nan), [None, None]
    sizes = np.bincount(found.labels)
    offsets = (found.centers - components.mean) * np.sqrt(sizes)[:, None]
    axes = oriented(np.linalg.svd(offsets, full_matrices=False)[2][:2].T)
    places = replace(components, axes=axes).project(rows, workers)
    variances = places.var(axis=0, dtype=np.float64)
    return places, [_share(float(part), components.total_variance) for part in variances]


def _projection(
    reduced: np.ndarray, plane: np.ndarray, mask: np.ndarray, projection: str, random_state: int
) -> pd.DataFrame:
    """Table `projection` from the coordinates `reduced` [m, p] of the rows that `mask` marks."""
    places = np.full((len(mask), 6), np.nan)
    own = np.flatnonzero(mask)
    leading = reduced[:, :2]
    places[own, : leading.shape[1]] = leading
    if leading.shape[1] < 2:
        places[own, 1] = 0.0
    places[own, 2:4] = plane
    if projection == "tsne":
        chosen = np.arange(0, len(own), -(-len(own) // TSNE_ROWS))
        places[own[chosen], 4:] = _tsne(reduced[chosen, :TSNE_DIMENSIONS], random_state)
    data = {"token_id": np.arange(len(mask))}
    data |= dict(zip(PLACES, places.T, strict=True))
    return typed(pd.DataFrame(data), "projection")


def _tsne(reduced: np.ndarray, random_state: int) -> np.ndarray:
    """scikit-learn's t-SNE [m, 2] of `reduced` [m, p]; NaN if there are too few rows."""
    from sklearn.manifold import TSNE

    if len(reduced) < 5 or reduced.shape[1] < 2:
        return np.full((len(reduced), 2), np.nan)
    perplexity = min(30.0, (len(reduced) - 1) / 3)
    model = TSNE(perplexity=perplexity, init="pca", random_state=random_state, n_jobs=1)
    with threadpool_limits(1):
        return model.fit_transform(np.ascontiguousarray(reduced))
