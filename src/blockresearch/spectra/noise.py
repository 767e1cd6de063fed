"""The spectrum beside that of noise: the Marchenko-Pastur law.

A matrix of independent numbers of one variance has a spectrum close to the Marchenko-Pastur law.
Its level is estimated by the median, σ̂ = median(σ)/√(p μ_β), μ_β the median of the law (Gavish &
Donoho, arXiv:1305.5870); the law's edges are σ̂(√p ± √q). `distance` says whether the law fits at
all. Trained weights rarely follow it: σ̂ is then a scaled median, and what lies beyond the edge is
the tail of another law rather than signal above noise.

`threshold` is the 99.9 % point of the largest σ of noise whose level was estimated like that: the
Tracy-Widom law (Johnstone 2001), with a term for the error of σ̂ in small matrices, fitted to
simulations (docs/calibration.md).
"""

import math
from functools import lru_cache

import numpy as np

# 99.9 % quantile of the Tracy-Widom law of order 1 (Bejan 2005, table of percentiles).
TRACY_WIDOM_999 = 3.2724


def noise_level(values: np.ndarray, rows: int, cols: int) -> float:
    """Standard deviation of the elements of noise [rows, cols] with the median of `values` [n]."""
    q, p = sorted((rows, cols))
    return float(np.median(values)) / math.sqrt(p * marchenko_pastur_median(q / p))


def edges(level: float, rows: int, cols: int) -> tuple[float, float]:
    """Lower and upper edge of the singular values of noise of this `level`."""
    narrow, wide = (math.sqrt(side) for side in sorted((rows, cols)))
    return level * (wide - narrow), level * (wide + narrow)


def threshold(level: float, rows: int, cols: int) -> float:
    """The singular value that noise of this estimated `level` exceeds in one of 1,000 matrices.

    The quantile of Tracy and Widom holds for a known level. The error of the estimate shifts it by
    an amount that falls with the size and is largest for square matrices.
    """
    q, p = sorted((rows, cols))
    narrow, wide = math.sqrt(q), math.sqrt(p)
    quantile = TRACY_WIDOM_999 + 20.6 * (q / p) ** 1.1 * q ** (-2 / 3) * (1 + 8 / q**2)
    fluctuation = (wide + narrow) * (1 / wide + 1 / narrow) ** (1 / 3)
    return level * math.sqrt((wide + narrow) ** 2 + quantile * fluctuation)


def largest_distance(rows: int, cols: int) -> float:
    """The `distance` that noise exceeds in fewer than one of 1,000 matrices."""
    q = min(rows, cols)
    return (1 + 0.75 * math.log2(q)) / q


def power_law_distance(rows: int, cols: int) -> float:
    """The distance of a power law that fits to noise exceed in about 19 of 20 matrices."""
    return 0.105 + 0.4 / min(rows, cols)


def distance(values: np.ndarray, rows: int, cols: int, level: float) -> float:
    """Kolmogorov-Smirnov distance between `values` [n] (descending) and the law of this `level`."""
    q, p = sorted((rows, cols))
    law = marchenko_pastur_cdf((values[::-1] / level) ** 2 / p, q / p)
    steps = np.arange(len(values) + 1) / len(values)
    return float(max((law - steps[:-1]).max(), (steps[1:] - law).max()))


def marchenko_pastur_cdf(x: np.ndarray, beta: float) -> np.ndarray:
    """Share [n] of the Marchenko-Pastur law of ratio 0 < β ≤ 1 and unit variance below `x` [n]."""
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2
    x = np.clip(x, low, high)
    with np.errstate(divide="ignore"):
        ratio = np.sqrt((high - x) / (x - low))
        angles = (1 + beta) * np.arctan((ratio - 1 / ratio) / 2)
        if beta < 1:
            angles -= (1 - beta) * np.arctan((low * ratio - high / ratio) / (2 * (1 - beta)))
    root = np.sqrt((high - x) * (x - low))
    return np.clip((math.pi * beta + root - angles) / (2 * math.pi * beta), 0.0, 1.0)


@lru_cache(maxsize=4096)
def marchenko_pastur_median(beta: float) -> float:
    """Median of the Marchenko-Pastur law of aspect ratio 0 < β ≤ 1 and unit variance."""
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2

    # With x = 1 + β - 2√β cos θ the density is smooth on [0, π], and so quickly integrated.
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def excess(x: float) -> float:
        angle = math.acos(max(-1.0, min(1.0, (1 + beta - x) / (2 * math.sqrt(beta)))))
        theta = angle * (nodes + 1) / 2
        # Half angles keep 1 + β - 2√β cos θ exact near 0, where a square matrix has 0/0.
        half = np.sin(theta / 2) ** 2
        gap = (1 - math.sqrt(beta)) ** 2 + 4 * math.sqrt(beta) * half
        density = 8 / math.pi * half * (1 - half) / gap
        return float(np.sum(weights * density)) * angle / 2 - 0.5

    # Bisect until no number is left between; scipy.optimize would take a tenth of a second to load.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return middle
