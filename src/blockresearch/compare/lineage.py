"""Whether two checkpoints can have been trained independently: an exact test on hidden units.

Weights start from random numbers, so the hidden units of an MLP come in a random order that
training does not change. Unit i of one model is matched with the most similar unit of the other
(one to one, by the cosines of their rows). If both started independently, the matching is a random
permutation, for any data, code and length of training. Its rank correlation with the identity then
has a known distribution: p is the probability of a correlation at least this large.

    log10_p          of the matching of up_proj, gate_proj … with the identity
    log10_p_units    of two matchings of one layer with each other, such as gate and up: it stays
                     small if the units of one side were shuffled, together in all matrices

The p-values of layers are combined by Fisher's method. A small p means "not independent" and
nothing more: not which came first, nor how.

Source: Zhu, Ahmed, Kuditipudi and Liang 2025, arXiv:2502.12292.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from blockresearch.compare.sides import Panels

# Layers that are tested, evenly spaced, and units of each: a matching takes about a second.
MAX_LAYERS, MAX_UNITS = 8, 2048

# Below this, independence is excluded in the words of the report.
NOT_INDEPENDENT = -10.0


@dataclass(frozen=True)
class Evidence:
    """Of one layer: the projection, its units, the rank correlation of the matching, log₁₀ p."""

    layer_index: int | None
    projection: str
    units: int
    correlation: float
    log10_p: float


def matching(base: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The row of `base` [n, cols] that each row of `other` [n, cols] is matched with, int64 [n].

    One to one, so that the sum of cosines is largest.
    """
    cosines = _normed(other) @ _normed(base).T
    best = cosines.argmax(axis=1)
    if len(np.unique(best)) == len(best):
        return best
    # A tenth of a second to load.
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(cosines, maximize=True)[1]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two permutations [n]."""
    n = len(first)
    apart = np.square(first.astype(np.float64) - second).sum()
    return 1 - 6 * float(apart) / (n * (n**2 - 1))


def log10_p(correlation: float, n: int) -> float:
    """log₁₀ of the probability that a random permutation of `n` correlates at least this much.

    Student's t with n - 2 degrees of freedom, never below the probability 1/n! of the identity.
    """
    from scipy.special import stdtr

    least = -math.lgamma(n + 1) / math.log(10)
    if correlation >= 1:
        return least
    freedom = n - 2
    t = correlation * math.sqrt(freedom / (1 - correlation**2))
    tail = float(stdtr(freedom, -t))
    # Where the tail underflows, its leading term.
    log = math.log(tail) if tail > 0 else _log_t(t, freedom)
    return max(least, log / math.log(10))


def combined_log10_p(values: Iterable[float]) -> float:
    """Fisher's combination of independent log₁₀ p, also where p itself would be 0."""
    from scipy.special import gammaincc

    logs = list(values)
    half, x = len(logs), -math.log(10) * sum(logs)
    tail = float(gammaincc(half, x))
    # Where the tail underflows, its leading term.
    log = math.log(tail) if tail > 0 else (half - 1) * math.log(x) - x - math.lgamma(half)
    return log / math.log(10)


def sampled(panels: Panels, rows: int) -> np.ndarray:
    """At most MAX_UNITS evenly spaced rows, float32 [k, cols]."""
    wanted = np.unique(np.linspace(0, rows - 1, min(rows, MAX_UNITS)).astype(np.int64))
    found, first = [], 0
    for panel in panels():
        chosen = wanted[(wanted >= first) & (wanted < first + len(panel))]
        found.append(np.asarray(panel[chosen - first], np.float32))
        first += len(panel)
    return np.concatenate(found)


def _log_t(t: float, freedom: int) -> float:
    """ln of the upper tail of Student's t far out: its density by t over the degrees of freedom."""
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    density = -(freedom + 1) / 2 * math.log1p(t * t / freedom)
    return constant - math.log(freedom * math.pi) / 2 + density + math.log(t / freedom)


def _normed(rows: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(sizes > 0, sizes, 1)
