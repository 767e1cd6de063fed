"""The power law fitted to the tail of a spectrum, and how far it can be trusted.

p(λ) ~ λ^-α for λ ≥ xmin. For each candidate xmin, α = 1 + n/Σ ln(λ/xmin); xmin is the one with the
smallest Kolmogorov-Smirnov distance max |F(λ_i) - i/n|, i = 0 … n-1, as powerlaw 1.5 and
WeightWatcher define it (Clauset, Shalizi & Newman, arXiv:0706.1062).

A power law can be fitted to any tail. Five things say what it is worth:

- the number of tail values, and xmin as a share of the largest λ;
- the spread of α over resamples of λ, with xmin chosen anew (`bootstrap_spread`);
- the distance that fits to noise of the same shape reach (`noise_distance`);
- likelihood ratios against a lognormal, an exponential and a truncated power law (`compare`).

All alternatives are exponential families in y = ln(λ/xmin), so their likelihoods are concave and
Newton's method finds the maximum. A lognormal and a truncated power law contain the power law as a
limit: the power law is never likelier than these two.
"""

import math
from dataclasses import dataclass

import numpy as np

from blockresearch.compiled import compiled, inlined

# Fewest tail values from which Clauset, Shalizi and Newman consider a fit reliable.
FEWEST_TAIL = 50

# α above it means no heavy tail; WeightWatcher reads α of 2 to 6.
LARGEST_ALPHA = 6.0

# p below which a likelihood ratio decides (Clauset, Shalizi and Newman).
DECISIVE = 0.1

RESAMPLES = 20

# Candidates for xmin, and points of each, in a resample: all of them would cost as much as the SVD.
CANDIDATES = 32

# WeightWatcher's constants: the least λ, and numbers of λ for its two estimators.
LEAST_EIGENVALUE = 1e-5
FEWEST_EIGENVALUES, SMALL_SAMPLE = 8, 20

# Quadrature of the truncated power law.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)

# Scales between 0 and the center of a lognormal, at most: beyond it is a power law.
MOST_SCALES = 30.0

# ln of the largest over the smallest eigenvalue of a tail that is compared with other laws. Below,
# the eigenvalues are equal within rounding; above, likelihoods exceed the range of floats.
LEAST_SPAN, LARGEST_SPAN = 1e-6, 300.0


@dataclass(frozen=True)
class Comparison:
    """Log-likelihood ratio of the power law over an alternative (negative: the alternative is
    likelier) and the probability `p` of one at least as far from 0 if both fit equally well."""

    ratio: float
    p: float

    @property
    def is_against(self) -> bool:
        """Whether the alternative fits decisively better."""
        return self.ratio < 0 and self.p < DECISIVE


@compiled
def fit(logs: np.ndarray) -> tuple[int, float, float]:
    """(index of xmin, KS distance, α) of the best tail of ascending `logs` [n]; index -1 if none.

    The exact minimum over all tails of two and more points: a tail is rejected as soon as one of
    its points deviates more than the worst point of the best tail.
    """
    count = len(logs)
    best, best_distance, best_alpha = -1, 1.0, 0.0
    total = logs[count - 1]
    for start in range(count - 2, -1, -1):
        total += logs[start]
        tail = count - start
        spread = total - tail * logs[start]
        if spread <= 0.0:
            continue
        slope = -tail / spread
        distance = 0.0
        # A few points first: most bad tails are rejected by one of them.
        for step in (max(1, tail // 8), 1):
            for i in range(0, tail, step):
                gap = abs(1.0 - math.exp(slope * (logs[start + i] - logs[start])) - i / tail)
                if gap > distance:
                    distance = gap
                    if distance > best_distance:
                        break
            if distance > best_distance:
                break
        if distance <= best_distance:
            best, best_distance, best_alpha = start, distance, 1.0 - slope
    return best, best_distance, best_alpha


def bootstrap_spread(logs: np.ndarray) -> float | None:
    """Standard deviation of α over `RESAMPLES` resamples of ascending `logs` [n] with replacement,
    xmin chosen anew each time; None if a resample has no fit.

    The same resamples for every matrix of n values. Eigenvalues are not independent, so this is the
    sensitivity of α to single values, not the error over retrainings.
    """
    count = len(logs)
    places = np.random.default_rng(count).integers(count, size=(RESAMPLES, count))
    found = np.array([coarse_alpha(logs[np.sort(row)], CANDIDATES) for row in places])
    return float(np.std(found, ddof=1)) if np.isfinite(found).all() else None


@compiled
def coarse_alpha(logs: np.ndarray, size: int) -> float:
    """α of the best of about `size` evenly spaced tails of ascending `logs` [n], whose distance is
    taken at about `size` points; NaN if there is none."""
    count = len(logs)
    every = max(1, count // size)
    best_distance, best_alpha = 1.0, np.nan
    total = logs[count - 1]
    for start in range(count - 2, -1, -1):
        total += logs[start]
        tail = count - start
        spread = total - tail * logs[start]
        if tail % every or spread <= 0.0:
            continue
        slope = -tail / spread
        distance = 0.0
        for i in range(0, tail, max(1, tail // size)):
            gap = abs(1.0 - math.exp(slope * (logs[start + i] - logs[start])) - i / tail)
            distance = max(distance, gap)
        if distance <= best_distance:
            best_distance, best_alpha = distance, 1.0 - slope
    return best_alpha


def weightwatcher_alpha(logs: np.ndarray) -> float | None:
    """α as WeightWatcher 0.7.7 computes it by default, of ascending `logs` [n] of all λ > 0.

    It drops λ ≤ 1e-5, so it depends on the scale of W. Below 20 values it corrects α for bias,
    α = 1 + (n - 1)/Σ ln(λ/xmin), and chooses xmin by the distance minus 0.868/√n over tails of 8
    and more. None below 8 values, for which it has none. Source: WW_powerlaw.py of that version.
    """
    logs = logs[logs > math.log(LEAST_EIGENVALUE)]
    count = len(logs)
    if count < FEWEST_EIGENVALUES:
        return None
    if count >= SMALL_SAMPLE:
        best, _, alpha = fit(logs)
        return alpha if best >= 0 else None
    found: tuple[float, float] | None = None
    for start in range(count - FEWEST_EIGENVALUES + 1):
        excess = logs[start:] - logs[start]
        size = len(excess)
        if excess.sum() <= 1e-12:
            continue
        alpha = 1 + (size - 1) / excess.sum()
        distance = np.abs(1 - np.exp((1 - alpha) * excess) - np.arange(size) / size).max()
        score = distance - 0.868 / math.sqrt(size)
        if found is None or score < found[0]:
            found = score, alpha
    return float(found[1]) if found else None


def compare(logs: np.ndarray, alpha: float) -> dict[str, Comparison]:
    """The power law of exponent `alpha` against alternatives, on the ascending `logs` [n] of λ/xmin
    (so ≥ 0): ``lognormal``, ``exponential`` and ``truncated``, all restricted to λ ≥ xmin.

    p is Vuong's for the lognormal and the exponential, and that of the likelihood-ratio test with
    one degree of freedom for the truncated power law, as in powerlaw 1.5. Nothing is returned for a
    tail of (nearly) equal values and for one that spans more than 130 orders of magnitude. Source:
    arXiv:0706.1062, appendix C; Vuong 1989.
    """
    if not LEAST_SPAN <= logs[-1] <= LARGEST_SPAN:
        return {}
    tail = np.exp(logs)
    power = math.log(alpha - 1) - alpha * logs
    mean = float(tail.mean()) - 1
    truncated = truncated_likelihood(float(logs.mean()), mean, alpha, NODES, WEIGHTS)
    ratio = min(0.0, float(power.mean()) - truncated) * len(tail)
    return {
        "lognormal": _vuong(power, _lognormal(logs)),
        "exponential": _vuong(power, -math.log(mean) - (tail - 1) / mean),
        "truncated": Comparison(ratio, math.erfc(math.sqrt(-ratio))),
    }


def _vuong(one: np.ndarray, other: np.ndarray) -> Comparison:
    """The ratio of two log-likelihoods [n] of the same points."""
    gaps = one - other
    ratio, spread = float(gaps.sum()), float(gaps.std())
    if spread < 1e-12:
        return Comparison(0.0, 1.0)
    return Comparison(ratio, math.erfc(abs(ratio) / (math.sqrt(2 * len(gaps)) * spread)))


def _lognormal(logs: np.ndarray) -> np.ndarray:
    """Log-likelihoods [n] of the lognormal that fits best, for y = `logs` = ln(λ/xmin) [n].

    Its y follow a normal law restricted to y ≥ 0. Mean² over mean square of that falls from 1 to
    1/2 as h = -center/scale grows; at 1/2 and below the best lognormal is the power law itself.
    """
    mean, square = float(logs.mean()), float((logs**2).mean())
    low, high = -MOST_SCALES, MOST_SCALES
    if mean**2 / square <= _shape(high)[2]:
        return -math.log(mean) - logs / mean - logs
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _shape(middle)[2] > mean**2 / square else (low, middle)
    above, first, _ = _shape(low)
    scale = mean / first
    return -0.5 * (logs / scale + low) ** 2 - math.log(scale * above) - logs


def _shape(h: float) -> tuple[float, float, float]:
    """Of exp(-(y + h)²/2) on y ≥ 0: its integral, its mean, and mean² over mean square."""
    above = math.sqrt(math.pi / 2) * math.erfc(h / math.sqrt(2))
    first = math.exp(-0.5 * h * h) / above - h
    return above, first, first * first / (1 - h * first)


@compiled
def truncated_likelihood(
    mean_log: float, mean: float, alpha: float, nodes: np.ndarray, weights: np.ndarray
) -> float:
    """Mean log-likelihood of the best law ~ t^-a exp(-r (t - 1)), t ≥ 1, r ≥ 0, for data with these
    means of ln t and t - 1; `alpha` is the a of the best power law (r = 0).

    For each r, Newton's method finds a, and bisection finds the r for which t has the mean of the
    data. `nodes` and `weights` [k] are those of a quadrature rule on [-1, 1].
    """
    best = math.log(alpha - 1.0) - alpha * mean_log
    if alpha > 2.0 and mean >= 1.0 / (alpha - 2.0):
        # A cutoff would make the mean still smaller than that of the data.
        return best
    low, high, a = math.log(1e-9 / mean), math.log(1e3 / mean), alpha
    for _ in range(28):
        r = math.exp((low + high) / 2)
        found = 0.0
        for _ in range(60):
            total, first, second, found = _integrals(a, r, nodes, weights)
            step = (first - mean_log) / max(second - first * first, 1e-300)
            a += max(-50.0, min(50.0, step))
            if abs(step) < 1e-8 * (1.0 + abs(a)):
                break
        best = max(best, -math.log(total) - a * mean_log - r * mean)
        if found > mean:
            low = math.log(r)
        else:
            high = math.log(r)
    return best


@inlined
def _integrals(a, r, nodes, weights):
    """Integral of t^-a exp(-r (t - 1)) over t ≥ 1, and its means of ln t, (ln t)² and t - 1."""
    # In u = ln t the integrand is exp(top) at its peak and negligible from `end` on.
    peak = max(0.0, math.log((1.0 - a) / r)) if a < 1.0 else 0.0
    top = (1.0 - a) * peak - r * math.expm1(peak)
    near, end = peak, peak + 1.0
    while (1.0 - a) * end - r * math.expm1(end) > top - 45.0:
        near, end = end, 2.0 * end
    for _ in range(20):
        middle = (near + end) / 2
        if (1.0 - a) * middle - r * math.expm1(middle) > top - 45.0:
            near = middle
        else:
            end = middle
    total = first = second = excess = 0.0
    for i in range(len(nodes)):
        u = end * (nodes[i] + 1.0) / 2
        t = math.expm1(u)
        weight = weights[i] * math.exp((1.0 - a) * u - r * t - top)
        total += weight
        first += weight * u
        second += weight * u * u
        excess += weight * t
    scale = end / 2 * math.exp(top)
    return total * scale, first / total, second / total, excess / total
