"""Exponents of spectra that compare between shapes, and how well a power law fits.

The spectrum of noise depends on the ratio of the sides, so an exponent fitted to it does, too. Here
the matrix is cut into overlapping square windows, and the exponent is Hill's of the upper half of
their pooled eigenvalues: noise of all shapes has the same. Source: Hu and others 2025,
arXiv:2506.06280 (FARMS). Windows are at most `MOST_SIDE` wide, and at most `MOST_WINDOWS`.

The null permutes the elements of the matrix: it keeps their distribution and destroys what rows and
columns have in common. An exponent near its null is explained by the values alone.

The goodness of fit is the bootstrap of Clauset, Shalizi and Newman on the plain spectrum: samples
of the fitted law above xmin, and of the data below, are fitted anew. Windows overlap, so their
pooled eigenvalues are no sample for a test.
"""

import math
from collections.abc import Iterator

import numpy as np

from blockresearch.arrays.arrays import ON_CPU, Array, Arrays
from blockresearch.spectra.power_law import fit

# Sides and number of windows: what bounds the cost of a large matrix.
MOST_SIDE, MOST_WINDOWS = 768, 12

# Samples of the bootstrap: p is known to 0.05.
SAMPLES = 100


def square_alpha(matrix: Array, arrays: Arrays = ON_CPU) -> float | None:
    """Hill's exponent of the pooled eigenvalues of square windows of `matrix` [rows, cols] float32;
    None for fewer than 8 values in a half or equal ones."""
    found = arrays.eigenvalues(window @ window.T for window in windows(matrix))
    pooled = np.sort(np.maximum(found.reshape(-1).astype(np.float64), 0))[::-1]
    half = len(pooled) // 2
    if half < 8 or pooled[half] <= 0 or pooled[0] == pooled[half]:
        return None
    return 1 + half / float(np.log(pooled[:half] / pooled[half]).sum())


def permuted_alpha(matrix: Array, seed: int, arrays: Arrays = ON_CPU) -> float | None:
    """The same of `matrix` [rows, cols] float32 with its elements permuted.

    They are sorted by random numbers, which a device does as well.
    """
    rows, cols = matrix.shape
    keys = np.random.PCG64(seed).random_raw(rows * cols)
    keys >>= 33
    return square_alpha(arrays.ordered(matrix, keys).reshape(rows, cols), arrays)


def windows(matrix: Array) -> Iterator[Array]:
    """Square windows [side, side] of `matrix` [rows, cols] that cover it evenly.

    Neighbors share half or more unless there are too many.
    """
    side = min(*matrix.shape, MOST_SIDE)
    starts = [_starts(length, side) for length in matrix.shape]
    places = [(row, col) for row in starts[0] for col in starts[1]]
    chosen = np.linspace(0, len(places) - 1, min(len(places), MOST_WINDOWS)).round().astype(int)
    for i in chosen:
        row, col = places[i]
        yield matrix[row : row + side, col : col + side]


def _starts(length: int, side: int) -> list[int]:
    count = max(1, math.ceil(2 * length / side) - 1)
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def fit_p(eigenvalues: np.ndarray, seed: int) -> float | None:
    """Share of samples of the fitted power law that are farther from their fit than `eigenvalues`
    [n] > 0 are from theirs; below 0.1 the law is rejected. None without a fit.

    Source: arXiv:0706.1062, section 4.1.
    """
    logs = np.sort(np.log(eigenvalues))
    start, distance, alpha = fit(logs)
    if start < 0:
        return None
    random, count = np.random.default_rng(seed), len(logs)
    worse = 0
    for _ in range(SAMPLES):
        above = random.binomial(count, 1 - start / count)
        tail = logs[start] + random.exponential(1 / (alpha - 1), above)
        body = random.choice(logs[:start], count - above) if start else np.empty(0)
        worse += fit(np.sort(np.concatenate([body, tail])))[1] >= distance
    return worse / SAMPLES
