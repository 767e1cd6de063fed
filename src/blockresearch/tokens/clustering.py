"""K-means of a table of rows for a range of k.

The path: k + 1 clusters start from the k found before. The cluster whose scatter matrix has the
largest eigenvalue is split in two along that eigenvector, at one standard deviation to either side
of its center, and Lloyd's iteration (`lloyd`) continues from there. This needs no random starts. On
token embeddings it explains at least 0.99 of the share of the best of five of them. A direction
much wider than the distances between clusters can trap it, as it can trap random starts. The path
runs in the space of the leading principal components: the centers of k clusters span at most k - 1
dimensions, so almost nothing is lost. Large tables have their path on a sample of `PATH_ROWS` rows,
and every row is given to the nearest center found there. The inertia of each partition is exact,
over all rows and dimensions. The final clusters are Lloyd's iteration over all rows and dimensions
that starts from the path and ends when no label changes. On a GPU all steps but the last are made
by torch.

Rows with a value that is not finite or is huge (`vectors.usable`) are left out of every fit. One
BLAS thread is used throughout, because a sum split over threads rounds differently, which K-means
amplifies.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.tokens.lloyd import STEPS, gathered_sums, nearest_center, settle, split
from blockresearch.tokens.vectors import Components, blocks, principal_components, usable_rows

SUBSPACE = 64

# On real tables shares from a sample of this size are within 0.3 % of those of all rows.
PATH_ROWS = 65_536

SILHOUETTE_ROWS = 2_000

# Share of the mean variance: a smaller squared step of the centers ends the path's fits.
TOLERANCE = 1e-4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fit:
    """K-means with one k: labels [m] of the usable rows, and how good they are.

    `inertia` is the sum of squared distances to the clusters' means over all dimensions and
    `total` the same for one cluster. `silhouette` and its standard error are NaN if undefined.
    """

    k: int
    labels: np.ndarray
    inertia: float
    total: float
    silhouette: float
    silhouette_error: float


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


def warm_path(
    rows: np.ndarray,
    k_min: int,
    k_max: int,
    random_state: int = 0,
    progress: Progress | None = None,
    components: Components | None = None,
    device: str = "cpu",
) -> list[Fit]:
    """K-means of usable `rows` [m, d] for each k from `k_min` to `k_max`, each from the one before.

    The list ends early when nothing is left to split, that is when the rows have fewer than `k_max`
    distinct values; if even `k_min` is not reached, it contains only the last fit. It is empty
    without rows. `random_state` chooses the sample of the silhouette; the path itself is
    deterministic. `progress` is called with (k, k_max). Raises ValueError if k_min is not between 1
    and k_max.
    """
    if not 1 <= k_min <= k_max:
        raise ValueError(f"k_min = {k_min}, k_max = {k_max}: choose 1 <= k_min <= k_max.")
    if not rows.size:
        return []
    if components is None:
        components = principal_components(rows, subspace(rows.shape[1], k_max))
    total = components.total_variance * len(rows)
    silhouette = silhouette_scorer(rows, random_state)
    with threadpool_limits(1):
        partitions = _partitions(components.project(rows), k_max, random_state, device, progress)
        kept = {k: labels for k, labels in partitions.items() if k >= k_min} or {
            max(partitions): partitions[max(partitions)]
        }
        between = _between(rows, components.mean, kept)
        return [
            Fit(k, labels, max(total - between[k], 0.0), total, *silhouette(labels))
            for k, labels in kept.items()
        ]


def _partitions(
    reduced: np.ndarray,
    k_max: int,
    random_state: int,
    device: str,
    progress: Progress | None,
) -> dict[int, np.ndarray]:
    """Labels [m] of `reduced` [m, p] for each k of the path, from a sample if there are many."""
    sample = reduced
    if len(reduced) > PATH_ROWS:
        chosen = np.random.default_rng(random_state).choice(len(reduced), PATH_ROWS, replace=False)
        sample = reduced[np.sort(chosen)]
    found = {}
    for k, labels, centers in path(sample, k_max, device):
        found[k] = labels if sample is reduced else nearest_center(reduced, centers)
        if progress:
            progress(k, k_max)
    if sample is not reduced and len(found) < k_max:
        # Few distinct rows: a sample may not contain the rare ones.
        return {k: labels for k, labels, _ in path(reduced, k_max, device)}
    return found


def path(
    reduced: np.ndarray, k_max: int, device: str = "cpu"
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
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
        if device != "cpu":
            start = lloyd_iterations(reduced, start, device, tolerance)
        labels, centers = settle(reduced, start, tolerance)
        if len(np.unique(labels)) < k:
            return
        yield k, labels, centers


def cluster_rows(
    rows: np.ndarray,
    k: int,
    random_state: int = 0,
    start: np.ndarray | None = None,
    device: str = "cpu",
) -> Clustering:
    """K-means of `rows` [n, d] with `k` clusters, over all dimensions.

    `start` [usable rows] are labels of a partition to begin with, e.g. of a `Fit`; without them
    the best of three k-means++ starts of scikit-learn, drawn with `random_state`, is taken to the
    end. Raises ValueError if k is below 1.
    """
    if k < 1:
        raise ValueError(f"n_clusters = {k}: choose at least 1 cluster.")
    values, mask = usable_rows(rows)
    labels = np.full(len(rows), -1, np.int64)
    distances = np.full(len(rows), np.nan)
    if not values.size:
        nowhere = np.empty((0, rows.shape[1]), np.float32)
        return Clustering(labels, nowhere, distances, distances.copy(), 0.0)
    with threadpool_limits(1):
        centers = _random_start(values, k, random_state) if start is None else _means(values, start)
        if device != "cpu":
            centers = lloyd_iterations(values, centers, device, 0.0)
        settled, centers = settle(values, centers, 0.0)
    found, order = _renumbered(settled)
    centers = centers[order]
    labels[mask] = found
    squares = np.empty(len(values))
    for part in blocks(values):
        squares[part] = ((values[part] - centers[found[part]]) ** 2).sum(axis=1, dtype=np.float64)
    distances[mask] = np.sqrt(squares)
    margins = np.full(len(rows), np.nan)
    margins[mask] = _next_squares(values, centers, found) - squares
    return Clustering(labels, centers, distances, margins, float(squares.sum()))


def silhouette_scorer(
    rows: np.ndarray, random_state: int
) -> Callable[[np.ndarray], tuple[float, float]]:
    """A function of labels [m]: mean silhouette of a sample of at most `SILHOUETTE_ROWS` rows, and
    its standard error (0 if all rows are in the sample).

    The sample and its distances are drawn and computed once. NaN where fewer than two clusters,
    or as many clusters as rows, are in the sample.
    """
    from sklearn.metrics import pairwise_distances, silhouette_samples

    generator = np.random.default_rng(random_state)
    size = min(len(rows), SILHOUETTE_ROWS)
    sample = np.sort(generator.choice(len(rows), size, replace=False))
    with threadpool_limits(1):
        apart = pairwise_distances(rows[sample])
    np.fill_diagonal(apart, 0.0)

    def score(labels: np.ndarray) -> tuple[float, float]:
        chosen = labels[sample]
        if not 2 <= len(np.unique(chosen)) < size:
            return math.nan, math.nan
        values = silhouette_samples(apart, chosen, metric="precomputed")
        left_out = 1 - size / len(rows)
        return float(np.mean(values)), float(values.std(ddof=1)) * math.sqrt(left_out / size)

    return score


def _random_start(rows: np.ndarray, k: int, random_state: int) -> np.ndarray:
    """Centers [k, d] of the best of three fits by scikit-learn from k-means++ starts."""
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than k
        model = KMeans(min(k, len(rows)), n_init=3, random_state=random_state).fit(rows)
    # Its other centers have no rows.
    return _means(rows, np.unique(model.labels_, return_inverse=True)[1])


def _between(
    rows: np.ndarray, mean: np.ndarray, partitions: dict[int, np.ndarray]
) -> dict[int, float]:
    """Sum of squares between the clusters of each of `partitions` {k: labels [m]}, over all rows.

    Size times squared distance of the means of `rows` [m, d] to `mean` [d].
    """
    counts = np.array(list(partitions))
    sums = gathered_sums(rows, mean, np.stack(list(partitions.values())), counts)
    found, first = {}, 0
    for k, labels in partitions.items():
        squares = (sums[first : first + k] ** 2).sum(axis=1)
        found[k] = float(squares @ (1.0 / np.maximum(np.bincount(labels, minlength=k), 1)))
        first += k
    return found


def _means(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Means [k, d] of `rows` [m, d] in the clusters `labels` [m], 0 to k - 1."""
    sizes = np.bincount(labels)
    origin = np.zeros(rows.shape[1])
    sums = gathered_sums(rows, origin, labels[None], np.array([len(sizes)]))
    return (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)


def _next_squares(rows: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Squared distance [m] to the nearest center that is not a row's own; NaN for one center."""
    if len(centers) < 2:
        return np.full(len(rows), np.nan)
    squares = np.empty(len(rows))
    with threadpool_limits(1):
        for part in blocks(rows):
            block = rows[part]
            apart = (centers**2).sum(axis=1) - 2 * block @ centers.T
            apart[np.arange(len(block)), labels[part]] = np.inf
            squares[part] = apart.min(axis=1) + (block**2).sum(axis=1, dtype=np.float64)
    return squares


def _renumbered(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels numbered by size (ties by first row) and the old number of each new one."""
    numbers, first, inverse, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((first, -sizes))
    new = np.empty_like(order)
    new[order] = np.arange(len(order))
    return new[inverse], numbers[order]


def lloyd_iterations(
    rows: np.ndarray, centers: np.ndarray, device: str, tolerance: float
) -> np.ndarray:
    """Centers [k, d] for K-means of `rows` [m, d] (float32) to make its last step from.

    Lloyd's iteration starts from `centres` and ends, at the latest after `STEPS`, with a step whose
    squared length, summed over the centers, is at most `tolerance`. The centers before that step
    are returned: one more step from them converges to the same result. A center without rows does
    not move.
    `device` is torch's name, such as cuda:0. Products are in float32, sums of blocks in float64.
    """
    import torch

    places = torch.as_tensor(centers, dtype=torch.float32, device=device)
    with torch.inference_mode():
        for _ in range(STEPS):
            sums = torch.zeros(places.shape, dtype=torch.float64, device=device)
            sizes = torch.zeros(len(places), dtype=torch.float64, device=device)
            squares = (places**2).sum(dim=1)
            for part in blocks(rows):
                block = torch.from_numpy(rows[part]).to(device)
                labels = (squares - 2 * block @ places.T).argmin(dim=1)
                # As a product the sums are the same in every run; scattered additions are not.
                members = torch.nn.functional.one_hot(labels, len(places)).to(block.dtype)
                sums += members.T @ block
                sizes += members.sum(dim=0)
            moved = torch.where(sizes[:, None] > 0, sums / sizes[:, None], places).float()
            if float(((moved - places) ** 2).sum()) <= tolerance:
                break
            places = moved
        return places.cpu().numpy()
