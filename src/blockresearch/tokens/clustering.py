"""K-means of a table of rows for a range of k.

The path: k + 1 clusters start from the k found before. The cluster whose scatter matrix has the
largest eigenvalue is split in two along that eigenvector, at one standard deviation to either side
of its center, and Lloyd's iteration (`lloyd`) continues from there. This needs no random starts. On
token embeddings it explains at least 0.99 of the share of the best of five of them. A direction
much wider than the distances between clusters can trap it, as it can trap random starts. The path
runs in the space of the leading principal components: the centers of k clusters span at most k - 1
dimensions, so almost nothing is lost. Large tables have their path on a sample of `PATH_ELEMENTS`,
and every row is given to the nearest center found there. The inertia of each partition is exact,
over all rows and dimensions. The final clusters are Lloyd's iteration over all rows and dimensions
that starts from the path: until no label changes, or `LAST_STEPS` for a large table. On a GPU all
of it is made by torch, but for the last step.

Rows with a value that is not finite or is huge (`vectors.usable`) are left out of every fit. One
BLAS thread is used throughout, because a sum split over threads rounds differently, which K-means
amplifies.
"""

import math
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.tokens import on_device
from blockresearch.tokens.lloyd import (
    STEPS,
    gathered_sums,
    nearest_centers,
    settle,
    settle_table,
    split,
)
from blockresearch.tokens.paths_on_device import paths
from blockresearch.tokens.vectors import Components, Survey, Table, blocks, principal_components
from blockresearch.tokens.workers import SERIAL, Workers

SUBSPACE = 64

# Elements of the sample that has the path: 32,768 rows in 64 dimensions, 65,536 after whitening. On
# real tables its shares are within 0.3 % of those of all rows. After whitening half as many lose
# more: 0.7 % on SmolLM2.
PATH_ELEMENTS = 2**21

# Larger tables end their last fit before it has settled.
SETTLED_ELEMENTS = 2**24

LAST_STEPS = 4

SILHOUETTE_ROWS = 2_000

# Share of the mean variance: a smaller squared step of the centers ends the path's fits.
TOLERANCE = 1e-4

# Labels [s] of a sample and centers [k, p] for each k of a path.
Walk = dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Space:
    """Rows [m, d] with their leading principal components and coordinates [m, p] along them."""

    rows: Table
    components: Components
    reduced: np.ndarray


@dataclass(frozen=True)
class Fit:
    """K-means with one k: labels [m] of the usable rows, and how good they are.

    `inertia` is the sum of squared distances to the clusters' means over all dimensions and
    `total` the same for one cluster. `silhouette` and its standard error are NaN if undefined, and
    before `with_silhouettes` adds them.
    """

    k: int
    labels: np.ndarray
    inertia: float
    total: float
    silhouette: float = math.nan
    silhouette_error: float = math.nan


@dataclass(frozen=True)
class Clustering:
    """Clusters of n rows, numbered by size from 0, the largest; ties by their first row.

    labels [n] are -1, distances [n] (to the own center) and margins [n] (squared distance to the
    next center less that to the own) NaN for rows left out. There are fewer centers [k, d] than
    requested if the rows have fewer distinct values.
    """

    labels: np.ndarray
    centers: np.ndarray
    distances: np.ndarray
    margins: np.ndarray
    inertia: float


def subspace(d: int, k_max: int) -> int:
    """How many principal components the path to `k_max` clusters uses of `d` dimensions."""
    return min(d, max(SUBSPACE, 2 * k_max))


def space(
    rows: Table,
    k_max: int,
    workers: Workers = SERIAL,
    found: Survey | None = None,
) -> Space:
    """The space in which the path of usable `rows` [m, d] to `k_max` clusters runs."""
    components = principal_components(rows, subspace(rows.shape[1], k_max), workers, found)
    return Space(rows, components, components.project(rows, workers))


def warm_path(
    place: Space,
    k_min: int,
    k_max: int,
    random_state: int = 0,
    workers: Workers = SERIAL,
    started: "Future[Walk] | None" = None,
) -> list[Fit]:
    """K-means of the m rows of a space for each k from `k_min` to `k_max`, each from the last.

    The list ends early when nothing is left to split, that is when the rows have fewer than `k_max`
    distinct values; if even `k_min` is not reached, it contains only the last fit. It is empty
    without rows. `random_state` chooses the sample of a large table; the path itself is
    deterministic; it may be `started` already. Raises ValueError if k_min is not between 1 and
    k_max.
    """
    if not 1 <= k_min <= k_max:
        raise ValueError(f"k_min = {k_min}, k_max = {k_max}: choose 1 <= k_min <= k_max.")
    rows, components = place.rows, place.components
    if not rows.size:
        return []
    total = components.total_variance * len(rows)
    with threadpool_limits(1):
        started = started or start_path(place, k_max, random_state, workers)
        partitions = _partitions(place, started.result(), k_max, workers)
        kept = {k: labels for k, labels in partitions.items() if k >= k_min} or {
            max(partitions): partitions[max(partitions)]
        }
        between = _between(rows, components.mean, kept, workers)
        return [Fit(k, labels, max(total - between[k], 0.0), total) for k, labels in kept.items()]


def start_path(
    place: Space, k_max: int, random_state: int = 0, workers: Workers = SERIAL
) -> "Future[Walk]":
    """The future of the path of a space to `k_max` clusters, on a sample if there are many rows."""
    reduced = place.reduced
    most = PATH_ELEMENTS // max(reduced.shape[1], 1)
    if len(reduced) > most:
        chosen = np.random.default_rng(random_state).choice(len(reduced), most, replace=False)
        reduced = reduced[np.sort(chosen)]
    return workers.start(_walk, reduced, k_max, workers)


def _walk(reduced: np.ndarray, k_max: int, workers: Workers) -> Walk:
    found = {}
    if workers.on_cpu:
        levels = path(reduced, k_max)
    else:
        levels = (
            (k, labels[0], centers[0])
            for k, _, labels, centers in paths(reduced[None], k_max, workers.device, TOLERANCE)
        )
    for k, labels, centers in levels:
        found[k] = labels, centers
        workers.report(f"k-means: k = {k} of {k_max}")
    return found


def _partitions(place: Space, walk: Walk, k_max: int, workers: Workers) -> dict[int, np.ndarray]:
    """Labels [m] of all rows of a space for each k of a path."""
    m = len(place.reduced)
    if m > len(walk[1][0]):
        if len(walk) == k_max:
            every = [centers for _, centers in walk.values()]
            if not workers.on_cpu:
                found = on_device.nearest_centers(place.reduced, every, workers.device)
                return dict(zip(walk, found, strict=True))
            nearest = partial(_nearest_of, place.reduced, every)
            parts = workers.map(nearest, blocks(place.reduced), "nearest centers")
            return dict(zip(walk, np.concatenate(list(parts), axis=1), strict=True))
        # Few distinct rows: a sample may not contain the rare ones.
        walk = workers.start(_walk, place.reduced, k_max, workers).result()
    return {k: labels for k, (labels, _) in walk.items()}


def _nearest_of(reduced: np.ndarray, centers: list[np.ndarray], part: slice) -> np.ndarray:
    return nearest_centers(reduced[part], centers)


def path(reduced: np.ndarray, k_max: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(k, labels [m], centers [k, p]) of K-means of `reduced` [m, p] for k from 1 on.

    It ends with `k_max`, or before when nothing is left to split.
    """
    labels = np.zeros(len(reduced), np.int32)
    centers = reduced.mean(axis=0, keepdims=True)
    tolerance = TOLERANCE * float(reduced.var(axis=0).mean())
    yield 1, labels, centers
    for k in range(2, min(k_max, len(reduced)) + 1):
        start = split(reduced, labels, centers)
        if start is None:
            return
        labels, centers = settle(reduced, start, tolerance)
        if len(np.unique(labels)) < k:
            return
        yield k, labels, centers


def cluster_rows(
    rows: Table,
    k: int,
    random_state: int = 0,
    start: np.ndarray | None = None,
    workers: Workers = SERIAL,
) -> Clustering:
    """K-means of usable `rows` [m, d] with `k` clusters, over all dimensions.

    `start` [m] are labels of a partition to begin with, e.g. of a `Fit`; without them the best of
    three k-means++ starts of scikit-learn, drawn with `random_state`, is taken to the end. Raises
    ValueError if k is below 1.
    """
    if k < 1:
        raise ValueError(f"n_clusters = {k}: choose at least 1 cluster.")
    m, d = rows.shape
    if not rows.size:
        nowhere = np.empty((0, d), np.float32)
        return Clustering(np.full(m, -1), nowhere, np.full(m, np.nan), np.full(m, np.nan), 0.0)
    steps = STEPS if m * d <= SETTLED_ELEMENTS else LAST_STEPS
    with threadpool_limits(1):
        if start is None:
            centers = _random_start(rows, k, random_state, workers)
        else:
            centers = _means(rows, start, workers)
        if not workers.on_cpu:
            centers = on_device.lloyd(rows, centers, steps, workers.device)
        settled, centers = settle_table(rows, centers, steps if workers.on_cpu else 1, workers)
        found, order = _renumbered(settled)
        centers = centers[order]
        half = (centers**2).sum(axis=1)

        def measure(part: slice) -> tuple[np.ndarray, np.ndarray]:
            block, own = rows[part], found[part]
            squares = ((block - centers[own]) ** 2).sum(axis=1, dtype=np.float64)
            if len(centers) < 2:
                return squares, np.full(len(block), np.nan)
            apart = half - 2 * block @ centers.T
            apart[np.arange(len(block)), own] = np.inf
            beyond = apart.min(axis=1) + (block**2).sum(axis=1, dtype=np.float64)
            return squares, beyond - squares

        measured = list(workers.map(measure, blocks(rows), "distances to centers"))
    squares, margins = map(np.concatenate, zip(*measured, strict=True))
    return Clustering(found, centers, np.sqrt(squares), margins, float(squares.sum()))


def with_silhouettes(
    rows: Table, fits: list[Fit], random_state: int, workers: Workers = SERIAL
) -> list[Fit]:
    """The `fits` of `rows` [m, d], each with the mean silhouette of a sample of at most
    `SILHOUETTE_ROWS` rows, and its standard error (0 if all rows are in the sample).

    NaN where fewer than two clusters, or as many clusters as rows, are in the sample. Source:
    Rousseeuw 1987; a row that is alone in its cluster has 0.
    """
    if not fits:
        return fits
    generator = np.random.default_rng(random_state)
    size = min(len(rows), SILHOUETTE_ROWS)
    sample = np.sort(generator.choice(len(rows), size, replace=False))
    with threadpool_limits(1):
        wide = rows[sample].astype(np.float64)
        squares = (wide**2).sum(axis=1)
        apart = np.maximum(squares[:, None] + squares - 2 * wide @ wide.T, 0.0)
        np.fill_diagonal(apart, 0.0)
        np.sqrt(apart, out=apart)
        found = list(
            workers.map(
                lambda fit: _silhouette(apart, fit.labels[sample], len(rows)), fits, "silhouettes"
            )
        )
    return [
        replace(fit, silhouette=value, silhouette_error=error)
        for fit, (value, error) in zip(fits, found, strict=True)
    ]


def _silhouette(apart: np.ndarray, labels: np.ndarray, rows: int) -> tuple[float, float]:
    """Mean silhouette and its error by the distances `apart` [s, s] of a sample."""
    numbers, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    size, k = len(labels), len(numbers)
    if not 2 <= k < size:
        return math.nan, math.nan
    members = (own[:, None] == np.arange(k)).astype(np.float64)
    sums = apart @ members
    at = np.arange(size)
    inside = sums[at, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[at, own] = np.inf
    outside = means.min(axis=1)
    longest = np.maximum(inside, outside)
    values = np.divide(outside - inside, longest, out=np.zeros(size), where=longest > 0)
    values[sizes[own] == 1] = 0.0
    error = float(values.std(ddof=1)) * math.sqrt((1 - size / rows) / size)
    return float(np.mean(values)), error


def _random_start(rows: Table, k: int, random_state: int, workers: Workers) -> np.ndarray:
    """Centers [k, d] of the best of three fits by scikit-learn from k-means++ starts."""
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than k
        model = KMeans(min(k, len(rows)), n_init=3, random_state=random_state).fit(rows[:])
    # Its other centers have no rows.
    return _means(rows, np.unique(model.labels_, return_inverse=True)[1], workers)


def _between(
    rows: Table, mean: np.ndarray, partitions: dict[int, np.ndarray], workers: Workers
) -> dict[int, float]:
    """Sum of squares between the clusters of each of `partitions` {k: labels [m]}, over all rows.

    Size times squared distance of the means of `rows` [m, d] to `mean` [d].
    """
    counts = np.array(list(partitions))
    sums = gathered_sums(rows, mean, np.stack(list(partitions.values())), counts, workers)
    found, first = {}, 0
    for k, labels in partitions.items():
        squares = (sums[first : first + k] ** 2).sum(axis=1)
        found[k] = float(squares @ (1.0 / np.maximum(np.bincount(labels, minlength=k), 1)))
        first += k
    return found


def _means(rows: Table, labels: np.ndarray, workers: Workers) -> np.ndarray:
    """Means [k, d] of `rows` [m, d] in the clusters `labels` [m], 0 to k - 1."""
    sizes = np.bincount(labels)
    origin = np.zeros(rows.shape[1])
    own = np.ascontiguousarray(labels[None], np.int32)
    sums = gathered_sums(rows, origin, own, np.array([len(sizes)]), workers)
    return (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)


def _renumbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels numbered by size (ties by first row) and the old number of each new one."""
    numbers, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    new = np.empty_like(order)
    new[order] = np.arange(len(order))
    return new[inverse], numbers[order]
