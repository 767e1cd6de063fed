"""Are the clusters real? K-means on samples of the rows, beside samples of one cloud.

Stability: the partitions that K-means finds on two samples of the rows, carried over to the same
other rows, are compared by the adjusted Rand index (Hubert and Arabie 1985): 1 for the same groups,
0 for chance. Null: a normal cloud with the covariance of the rows (scaled to length 1 if they are),
cut by the same path from samples of the same size. Any cloud can be cut, so only an excess over the
null indicates clusters (the reference of the gap statistic, Tibshirani et al. 2001, with the
covariance kept). It does not prove them: a skewed or heavy-tailed cloud exceeds the normal one,
too.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.tokens.clustering import TOLERANCE, path
from blockresearch.tokens.lloyd import nearest_centers
from blockresearch.tokens.paths_on_device import paths
from blockresearch.tokens.vectors import Components
from blockresearch.tokens.workers import SERIAL, Workers

SAMPLE_ROWS = 8_192

SAMPLES = 4

NULL_SAMPLES = 8

SIGNIFICANT = 3.0

STABLE = 0.8  # adjusted Rand index

MORE_STABLE = 0.3

Draw = Callable[[int], np.ndarray]

# k, labels and centers of a path.
Levels = Iterable[tuple[int, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Check:
    """One k on samples of the rows beside samples of one cloud without clusters (`null_…`).

    `sample_share` is the explained share and `stability` the mean adjusted Rand index between the
    partitions that two samples give, each with its standard error; `null_error` is the standard
    deviation of the null's share.
    """

    stability: float
    stability_error: float
    sample_share: float
    sample_share_error: float
    null_stability: float
    null_stability_error: float
    null_share: float
    null_error: float


def sample_size(count: int, sample_rows: int = SAMPLE_ROWS) -> int:
    """Number of rows in a sample of `count` rows: at most half of them."""
    return min(count // 2, sample_rows)


def checks(
    reduced: np.ndarray,
    components: Components,
    k_max: int,
    random_state: int = 0,
    unit_length: bool = False,
    sample_rows: int = SAMPLE_ROWS,
    workers: Workers = SERIAL,
) -> dict[int, Check]:
    """Stability and null of each k from 2 to `k_max`, on samples of `sample_size` rows.

    `reduced` [n, p] are the rows along `components`, `unit_length` whether the rows have length 1.
    Everything random comes from `random_state`. Each sample is cut by one of the `workers`.
    """
    n = len(reduced)
    size = sample_size(n, sample_rows)
    if size < 2:
        return {}
    generator = np.random.default_rng(random_state)
    scales = np.sqrt(components.variances)
    rest = max(components.total_variance - float(components.variances.sum()), 0.0)

    def drawn(count: int) -> np.ndarray:
        return reduced[np.sort(generator.choice(n, count, replace=False))]

    def simulated(count: int) -> np.ndarray:
        places = generator.standard_normal((count, len(scales))) * scales
        if unit_length:
            # What lies outside of the components enters the length by its mean.
            points = places @ components.axes.T + components.mean
            points /= np.sqrt((points**2).sum(axis=1, keepdims=True) + rest)
            places = (points - components.mean) @ components.axes
        return places.astype(np.float32)

    with threadpool_limits(1):
        # All samples are drawn before the first is cut, so threads change no random number.
        commons, samples = [], []
        for draw, count in ((drawn, SAMPLES), (simulated, NULL_SAMPLES)):
            commons += [draw(size)] * count
            samples += [draw(size) for _ in range(count)]
        cuts = list(
            workers.map(
                lambda each: _cut(*each, rest),
                zip(samples, commons, _levels(samples, k_max, workers), strict=True),
                "k-means of samples",
            )
        )
        real, null = _agreement(cuts[:SAMPLES]), _agreement(cuts[SAMPLES:])
    return {
        k: Check(
            stability=real[k].stability,
            stability_error=real[k].stability_error,
            sample_share=real[k].share,
            sample_share_error=real[k].share_spread / math.sqrt(SAMPLES),
            null_stability=null[k].stability,
            null_stability_error=null[k].stability_error,
            null_share=null[k].share,
            null_error=null[k].share_spread,
        )
        for k in sorted(real.keys() & null.keys())
    }


def is_beyond_null(check: Check) -> bool:
    """Whether the clusters explain more than cuts through one normal cloud do, beyond its spread.

    The spread is that of `NULL_SAMPLES` clouds, with the gap statistic's factor for their number.
    By Student's t one more such cloud passes about once in a hundred times.
    """
    spread = check.null_error * math.sqrt(1 + 1 / NULL_SAMPLES)
    return check.sample_share - check.null_share > SIGNIFICANT * spread


def is_found_again(check: Check) -> bool:
    """Whether samples give nearly the same clusters, while those of one cloud do not: also if the
    stability is a standard error less than was measured."""
    least = max(STABLE, check.null_stability + MORE_STABLE)
    return check.stability - check.stability_error >= least


@dataclass(frozen=True)
class _Agreement:
    stability: float
    stability_error: float
    share: float
    share_spread: float


Cut = dict[int, tuple[np.ndarray, float]]


def _agreement(cuts: list[Cut]) -> dict[int, _Agreement]:
    """Per k: mean adjusted Rand index, and mean and standard deviation of the explained share."""
    found = {}
    for k in set.intersection(*map(set, cuts)):
        labels, shares = zip(*(cut[k] for cut in cuts), strict=True)
        indices = [adjusted_rand_index(a, b) for a, b in combinations(labels, 2)]
        found[k] = _Agreement(
            *_mean_of_pairs(indices, len(cuts)),
            float(np.mean(shares)),
            float(np.std(shares, ddof=1)),
        )
    return found


def _mean_of_pairs(indices: list[float], samples: int) -> tuple[float, float]:
    """Mean of the `indices` of all pairs of samples, and its standard error by the jackknife over
    samples: pairs that share a sample are not independent."""
    pairs = list(combinations(range(samples), 2))
    without = [
        np.mean([index for index, pair in zip(indices, pairs, strict=True) if left not in pair])
        for left in range(samples)
    ]
    variance = (samples - 1) * float(np.var(without))
    return float(np.mean(indices)), math.sqrt(variance)


def _levels(samples: list[np.ndarray], k_max: int, workers: Workers) -> list[Levels]:
    """The path of each of `samples`: on the CPU still to be walked, on a device at once for all."""
    if workers.on_cpu:
        return [path(sample, k_max) for sample in samples]
    found: list[list[tuple[int, np.ndarray, np.ndarray]]] = [[] for _ in samples]
    for k, own, labels, centers in paths(np.stack(samples), k_max, workers.device, TOLERANCE):
        workers.report(f"k-means of samples: k = {k} of {k_max}")
        for at, number in enumerate(own.tolist()):
            found[number].append((k, labels[at], centers[at]))
    return list(found)


def _cut(sample: np.ndarray, common: np.ndarray, levels: Levels, rest: float) -> Cut:
    """Per k from 2: the path of `sample` carried over to `common`, and its explained share.

    `levels` are k, labels and centers of the path, and `rest` is the variance outside of the
    directions of the sample.
    """
    mean = sample.mean(axis=0, dtype=np.float64)
    total = float(((sample - mean) ** 2).sum()) + rest * len(sample)
    centers, shares = {}, {}
    for k, own, found in levels:
        if k > 1:
            between = np.bincount(own, minlength=k) @ ((found - mean) ** 2).sum(axis=1)
            centers[k], shares[k] = found, float(between) / total if total > 0 else 0.0
    if not centers:
        return {}
    labels = nearest_centers(common, list(centers.values()))
    return {k: (labels[at], shares[k]) for at, k in enumerate(centers)}


def adjusted_rand_index(a: np.ndarray, b: np.ndarray) -> float:
    """Agreement of two partitions given by labels [m]: 1 for the same groups, 0 for chance.

    Source: Hubert and Arabie 1985, equation 5.
    """
    width = int(b.max()) + 1
    table = np.bincount(a.astype(np.int64) * width + b, minlength=(int(a.max()) + 1) * width)
    table = table.reshape(-1, width)

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1)).sum()) / 2

    both, of_a, of_b = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = of_a * of_b / (len(a) * (len(a) - 1) / 2)
    most = (of_a + of_b) / 2
    return (both - chance) / (most - chance) if most != chance else 1.0
