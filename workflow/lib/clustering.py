"""K-means of a table of rows for a range of k, and the elbow of its inertia curve.

The path: k + 1 clusters start from the k found before. The cluster whose scatter matrix has the
largest eigenvalue is split in two along that eigenvector, at one standard deviation to either
side of its centre, and scikit-learn's K-means goes on from there. This needs no random starts and
ends as low as the best of several of them. The path runs in the space of the leading principal
components, where the centres of k clusters, which span k - 1 dimensions at most, lose next to
nothing; the inertia of each partition is exact, over all dimensions. The final clusters are a fit
by scikit-learn over all dimensions that starts from the path.

Rows with a value that is not finite or above `LIMIT` are left out of every fit. One BLAS thread is
used throughout, because a sum split over threads rounds differently and K-means amplifies that.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from workflow.lib import tables

LIMIT = 1e12  # a sum of squares of larger values need not fit float32
SUBSPACE = 64
SILHOUETTE_ROWS = 2_000
CLEAR_ELBOW = 3.0
BLOCK_ELEMENTS = 2**21

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Components:
    """Leading principal components of n rows: mean [d], axes [d, p], variances [p], their total."""

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total_variance: float

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates [n, p] of `rows` [n, d] along the axes, float32."""
        axes, mean = self.axes.astype(np.float32), self.mean.astype(np.float32)
        parts = [(rows[part] - mean) @ axes for part in blocks(rows)]
        return np.concatenate(parts) if parts else np.empty((0, axes.shape[1]), np.float32)


@dataclass(frozen=True)
class Fit:
    """K-means with one k: labels [m] of the usable rows, and how good they are.

    `inertia` is the sum of squared distances to the clusters' means over all dimensions and
    `total` the same for one cluster. `silhouette` is NaN where it is undefined.
    """

    k: int
    labels: np.ndarray
    inertia: float
    total: float
    silhouette: float


@dataclass(frozen=True)
class Check:
    """One k on samples of the rows beside samples of one cloud without clusters (`null_…`).

    `sample_share` is the explained share and `stability` the mean adjusted Rand index between the
    partitions that two samples give; `null_error` the standard deviation of the null's share.
    """

    stability: float
    sample_share: float
    null_stability: float
    null_share: float
    null_error: float


@dataclass(frozen=True)
class Clustering:
    """Clusters of n rows, numbered by size from 0, the largest; ties by their first row.

    labels [n] are -1, distances [n] (to the own centre) and margins [n] (squared distance to the
    next centre less that to the own) NaN for rows left out. There are fewer centres [k, d] than
    asked for where the rows have fewer distinct values.
    """

    labels: np.ndarray
    centres: np.ndarray
    distances: np.ndarray
    margins: np.ndarray
    inertia: float


def blocks(rows: np.ndarray) -> Iterator[slice]:
    """Slices of consecutive rows that hold about `BLOCK_ELEMENTS` elements each."""
    size = max(1, BLOCK_ELEMENTS // max(1, rows.shape[1]))
    return (slice(start, start + size) for start in range(0, len(rows), size))


def usable(rows: np.ndarray) -> np.ndarray:
    """True for the rows whose values are all finite and at most `LIMIT` in magnitude."""
    mask = np.zeros(len(rows), bool)
    for part in blocks(rows):
        mask[part] = (np.abs(rows[part]) <= LIMIT).all(axis=1)
    return mask


def usable_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The usable rows as float32 (not copied when all are) and the mask [n] that chose them."""
    mask = usable(rows)
    return np.ascontiguousarray(rows if mask.all() else rows[mask], dtype=np.float32), mask


def to_unit_length(rows: np.ndarray) -> None:
    """Scale each row to length 1 in place; rows of zeros stay."""
    for part in blocks(rows):
        lengths = np.linalg.norm(rows[part].astype(np.float64), axis=1, keepdims=True)
        rows[part] /= np.where(lengths > 0, lengths, 1.0).astype(rows.dtype)


def principal_components(rows: np.ndarray, count: int) -> Components:
    """The `count` leading principal components of usable `rows` [n, d], or all where d is less.

    Eigenvectors of the covariance (ddof 0), accumulated in float64. The sign of each axis makes
    its element of largest magnitude positive.
    """
    from scipy.linalg import eigh

    n, d = rows.shape
    count = min(count, d)
    with threadpool_limits(1):
        mean = sum((rows[part].sum(axis=0, dtype=np.float64) for part in blocks(rows)), np.zeros(d))
        mean /= max(n, 1)
        covariance = np.zeros((d, d))
        for part in blocks(rows):
            centred = rows[part] - mean
            covariance += centred.T @ centred
        covariance /= max(n, 1)
        variances, axes = eigh(covariance, subset_by_index=[d - count, d - 1])
    variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(count)] < 0, -1.0, 1.0)
    return Components(mean, axes, variances, float(np.trace(covariance)))


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
) -> list[Fit]:
    """K-means of usable `rows` [m, d] for each k from `k_min` to `k_max`, each from the one before.

    The list ends early when nothing is left to split, that is when the rows have fewer than
    `k_max` distinct values; when even `k_min` is not reached it holds the last fit. It is empty
    without rows. `random_state` chooses the sample of the silhouette; the path itself is
    deterministic. `progress` is called with (k, k_max).
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
        return Fit(k, labels, max(inertia, 0.0), total, silhouette(labels))

    fits: list[Fit] = []
    with threadpool_limits(1):
        for k, labels, _ in path(components.project(rows), k_max):
            if k >= k_min:
                fits.append(measured(k, labels))
            if progress:
                progress(k, k_max)
        return fits or [measured(k, labels)]


def path(reduced: np.ndarray, k_max: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(k, labels [m], centres [k, p]) of K-means of `reduced` [m, p] for k from 1 on.

    It ends with `k_max`, or before when nothing is left to split.
    """
    labels = np.zeros(len(reduced), np.int32)
    centres = reduced.mean(axis=0, keepdims=True)
    yield 1, labels, centres
    for k in range(2, min(k_max, len(reduced)) + 1):
        start = _split(reduced, labels, centres)
        if start is None:
            return
        labels, centres = _kmeans(reduced, start)
        if len(np.unique(labels)) < k:
            return
        yield k, labels, centres


def elbow_curve(
    rows: np.ndarray,
    k_min: int,
    k_max: int,
    random_state: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Table `elbow` for `rows` [n, d]: inertia, height and silhouette of K-means for each k.

    The elbow is chosen. Fewer distinct rows than `k_max` end the table early.
    """
    fits = warm_path(usable_rows(rows)[0], k_min, k_max, random_state, progress)
    return elbow_table(fits, elbow(fits) if fits else None)


def heights(fits: list[Fit]) -> np.ndarray:
    """Height [len(fits)] of each k over the chord of the scaled inertia curve.

    With x and y the k and the inertia scaled to [0, 1], the height is 1 - x - y: Kneedle for a
    falling convex curve (Satopaa et al. 2011). Zeros for fewer than three k or a flat curve.
    """
    k = np.array([fit.k for fit in fits], float)
    inertia = np.array([fit.inertia for fit in fits])
    if len(fits) < 3 or inertia[0] <= inertia[-1]:
        return np.zeros(len(fits))
    x = (k - k[0]) / (k[-1] - k[0])
    y = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return 1.0 - x - y


def elbow(fits: list[Fit]) -> int:
    """The k with the largest height, the smallest of equals."""
    return fits[int(np.argmax(heights(fits)))].k


def is_clear(fits: list[Fit], null: Mapping[int, float] | None = None) -> bool | None:
    """Whether the curve bends sharply at its elbow; None for fewer than three k.

    Clear: the last step to the elbow saves at least `CLEAR_ELBOW` times the inertia that the next
    step saves. Separated clusters give factors above 10, one cloud without clusters 1 to 2. A few
    leading directions can bend the curve of one cloud too: with `null`, its inertia by k, the
    factor must also be `CLEAR_ELBOW` times that of the null.
    """
    if len(fits) < 3:
        return None
    at = int(np.argmax(heights(fits)))
    if at == 0:
        return False
    around = [fit.k for fit in fits[at - 1 : at + 2]]
    before, after = -np.diff([fit.inertia for fit in fits[at - 1 : at + 2]])
    factor = CLEAR_ELBOW
    if null and all(k in null for k in around):
        expected = -np.diff([null[k] for k in around])
        factor *= max(1.0, expected[0] / expected[1]) if expected[1] > 0 else 1.0
    return bool(before >= factor * after)


def elbow_table(
    fits: list[Fit], chosen: int | None, checks: Mapping[int, Check] | None = None
) -> pd.DataFrame:
    """Table `elbow` of `fits`, with the row of k = `chosen` marked, and their `checks` by k."""
    checks = checks or {}
    rows = [
        {
            "k": fit.k,
            "inertia": fit.inertia,
            "explained_share": 1.0 - fit.inertia / fit.total if fit.total > 0 else None,
            "elbow_height": float(height),
            "silhouette": None if math.isnan(fit.silhouette) else fit.silhouette,
            "chosen": fit.k == chosen,
            **(asdict(checks[fit.k]) if fit.k in checks else {}),
        }
        for fit, height in zip(fits, heights(fits), strict=True)
    ]
    return tables.frame(rows, "elbow")


def cluster_rows(
    rows: np.ndarray, k: int, random_state: int = 0, start: np.ndarray | None = None
) -> Clustering:
    """scikit-learn's K-means of `rows` [n, d] with `k` clusters, over all dimensions.

    `start` [usable rows] are labels of a partition to begin with, e.g. of a `Fit`; without them
    the best of three k-means++ starts drawn with `random_state` is kept. The fit works in place:
    float32 rows may come back changed by a rounding.
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
    # Without copy_x the rows are centred in place and put back, which costs a rounding: one more.
    options = {"tol": 0, "copy_x": False, "random_state": random_state}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than k: handled by _renumbered
        if start is None:
            model = KMeans(min(k, len(values)), n_init=3, **options)
        else:
            model = KMeans(k, init=_means(values, start, k), n_init=1, **options)
        model.fit(values)
    found, order = _renumbered(model.labels_)
    centres = model.cluster_centers_[order]
    labels[mask] = found
    squares = np.empty(len(values))
    for part in blocks(values):
        squares[part] = ((values[part] - centres[found[part]]) ** 2).sum(axis=1, dtype=np.float64)
    distances[mask] = np.sqrt(squares)
    margins = np.full(len(rows), np.nan)
    margins[mask] = _next_squares(values, centres, found) - squares
    return Clustering(labels, centres, distances, margins, float(squares.sum()))


def silhouette_scorer(rows: np.ndarray, random_state: int) -> Callable[[np.ndarray], float]:
    """A function of labels [m]: mean silhouette of a sample of at most `SILHOUETTE_ROWS` rows.

    The sample and its distances are drawn and computed once. NaN where fewer than two clusters,
    or as many clusters as rows, are in the sample.
    """
    from sklearn.metrics import pairwise_distances, silhouette_score

    generator = np.random.default_rng(random_state)
    size = min(len(rows), SILHOUETTE_ROWS)
    sample = np.sort(generator.choice(len(rows), size, replace=False))
    with threadpool_limits(1):
        apart = pairwise_distances(rows[sample])
    np.fill_diagonal(apart, 0.0)

    def score(labels: np.ndarray) -> float:
        chosen = labels[sample]
        if not 2 <= len(np.unique(chosen)) < size:
            return math.nan
        return float(silhouette_score(apart, chosen, metric="precomputed"))

    return score


def _split(rows: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    """Centres [k + 1, p] with one cluster split; None where all rows equal their centres."""
    best, cluster, offset = 0.0, -1, centres[0]
    for number, centre in enumerate(centres):
        own = rows[labels == number]
        spread = own - centre
        values, vectors = np.linalg.eigh((spread.T @ spread).astype(np.float64))
        # Scatter at the level of float32's rounding is not a difference between rows.
        noise = (own**2).sum() * (16 * np.finfo(np.float32).eps) ** 2
        if values[-1] > max(best, noise):
            best, cluster = values[-1], number
            offset = vectors[:, -1] * math.sqrt(values[-1] / len(own))
    if cluster < 0:
        return None
    start = np.vstack([centres, centres[cluster] + offset])
    start[cluster] -= offset
    return start.astype(np.float32)


def _kmeans(rows: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few distinct rows: the next split ends the path
        model = KMeans(len(start), init=start, n_init=1).fit(rows)
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


def _next_squares(rows: np.ndarray, centres: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Squared distance [m] to the nearest centre that is not a row's own; NaN for one centre."""
    if len(centres) < 2:
        return np.full(len(rows), np.nan)
    squares = np.empty(len(rows))
    with threadpool_limits(1):
        for part in blocks(rows):
            block = rows[part]
            apart = (centres**2).sum(axis=1) - 2 * block @ centres.T
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
