"""K-means of a table of rows for a range of k.

The path: k + 1 clusters start from the k found before. The cluster whose scatter matrix has the
largest eigenvalue is split in two along that eigenvector, at one standard deviation to either side
of its center, and scikit-learn's K-means continues from there. This needs no random starts. On
token embeddings it explains at least 0.99 of the share of the best of five of them. A direction
much wider than the distances between clusters can trap it, as it can trap random starts. The path
runs in the space of the leading principal components: the centers of k clusters span at most k - 1
dimensions, so almost nothing is lost. The inertia of each partition is exact, over all dimensions.
The final clusters are a fit by scikit-learn over all dimensions that starts from the path. On a GPU
all steps but the last are Lloyd's iteration in torch; the last is scikit-learn's.

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

from blockresearch.tokens.vectors import Components, blocks, principal_components, usable_rows

SUBSPACE = 64

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
    silhouette = silhouette_scorer(rows, random_state)
    total = components.total_variance * len(rows)

    def measured(k: int, labels: np.ndarray) -> Fit:
        inertia = total - _between(rows, components.mean, labels, k)
        return Fit(k, labels, max(inertia, 0.0), total, *silhouette(labels))

    fits: list[Fit] = []
    with threadpool_limits(1):
        for k, labels, _ in path(components.project(rows), k_max, device):
            if k >= k_min:
                fits.append(measured(k, labels))
            if progress:
                progress(k, k_max)
        return fits or [measured(k, labels)]


def path(
    reduced: np.ndarray, k_max: int, device: str = "cpu"
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(k, labels [m], centers [k, p]) of K-means of `reduced` [m, p] for k from 1 on.

    It ends with `k_max`, or before when nothing is left to split.
    """
    labels = np.zeros(len(reduced), np.int32)
    centers = reduced.mean(axis=0, keepdims=True)
    yield 1, labels, centers
    for k in range(2, min(k_max, len(reduced)) + 1):
        start = _split(reduced, labels, centers)
        if start is None:
            return
        labels, centers = _kmeans(reduced, start, device)
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
    """scikit-learn's K-means of `rows` [n, d] with `k` clusters, over all dimensions.

    `start` [usable rows] are labels of a partition to begin with, e.g. of a `Fit`; without them
    the best of three k-means++ starts drawn with `random_state` is kept. The fit works in place:
    float32 rows may come back changed by a rounding. Raises ValueError if k is below 1.
    """
    from sklearn.cluster import KMeans

    if k < 1:
        raise ValueError(f"n_clusters = {k}: choose at least 1 cluster.")
    values, mask = usable_rows(rows)
    labels = np.full(len(rows), -1, np.int64)
    distances = np.full(len(rows), np.nan)
    if not values.size:
        nowhere = np.empty((0, rows.shape[1]), np.float32)
        return Clustering(labels, nowhere, distances, distances.copy(), 0.0)
    # With tol=0 it ends when no label changes, and needs no variance: a copy of the rows less.
    # Without copy_x the rows are centered in place and put back, which costs a rounding: one more.
    options = {"tol": 0, "copy_x": False, "random_state": random_state}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than k: handled by _renumbered
        if start is None:
            model = KMeans(min(k, len(values)), n_init=3, **options)
        else:
            centers = _means(values, start, k)
            if device != "cpu":
                centers = lloyd_iterations(values, centers, device, 0.0)
            model = KMeans(k, init=centers, n_init=1, **options)
        model.fit(values)
    found, order = _renumbered(model.labels_)
    centers = model.cluster_centers_[order]
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


def _split(rows: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> np.ndarray | None:
    """Centers [k + 1, p] with one cluster split; None if all rows equal their centers."""
    best, cluster, offset = 0.0, -1, centers[0]
    for number, center in enumerate(centers):
        own = rows[labels == number]
        spread = own - center
        values, vectors = np.linalg.eigh((spread.T @ spread).astype(np.float64))
        # Scatter at the level of float32's rounding is not a difference between rows.
        noise = (own**2).sum() * (16 * np.finfo(np.float32).eps) ** 2
        if values[-1] > max(best, noise):
            best, cluster = values[-1], number
            offset = vectors[:, -1] * math.sqrt(values[-1] / len(own))
    if cluster < 0:
        return None
    start = np.vstack([centers, centers[cluster] + offset])
    start[cluster] -= offset
    return start.astype(np.float32)


def _kmeans(rows: np.ndarray, start: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import KMeans

    if device != "cpu":
        start = lloyd_iterations(rows, start, device, TOLERANCE * float(rows.var(axis=0).mean()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few distinct rows: the next split ends the path
        model = KMeans(len(start), init=start, n_init=1, tol=TOLERANCE).fit(rows)
    return model.labels_, model.cluster_centers_


def _one_hot(labels: np.ndarray, k: int):
    """Sparse indicator matrix [k, m] of `labels` [m], float32."""
    from scipy.sparse import csr_array

    m = len(labels)
    indicator = csr_array((np.ones(m, np.float32), labels, np.arange(m + 1)), shape=(m, k))
    return indicator.T


def _sums(rows: np.ndarray, origin: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Sum [k, d] of `rows` - `origin` in each cluster, float64."""
    offset = origin.astype(np.float32)
    sums = np.zeros((k, rows.shape[1]))
    for part in blocks(rows):
        sums += _one_hot(labels[part], k) @ (rows[part] - offset)
    return sums


def _between(rows: np.ndarray, mean: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Sum of squares between clusters: size times squared distance of their means to `mean`."""
    sizes = np.maximum(np.bincount(labels, minlength=k), 1)
    return float((_sums(rows, mean, labels, k) ** 2).sum(axis=1) @ (1.0 / sizes))


def _means(rows: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    sizes = np.maximum(np.bincount(labels, minlength=k), 1)
    sums = _sums(rows, np.zeros(rows.shape[1]), labels, k)
    return (sums / sizes[:, None]).astype(np.float32)


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


STEPS = 300


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
