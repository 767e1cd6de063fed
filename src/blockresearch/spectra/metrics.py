"""Metrics of a spectrum: ranks, norms, power law, Marchenko-Pastur.

Notation: W is rows x cols with singular values σ₁ ≥ … ≥ σ_q, q = min(rows, cols),
p = max(rows, cols), β = q/p, λ = σ². A number that is not defined is None, never 0.
"""

import math
from functools import lru_cache

import numpy as np

from blockresearch.compiled import compiled
from blockresearch.spectra.singular_values import numerical_rank
from blockresearch.tables.schemas import METRICS

Metrics = dict[str, float | int | None]

# 99.9 % quantile of the Tracy-Widom law of order 1 (Bejan 2005, table of percentiles).
TRACY_WIDOM_999 = 3.2724


def spectral_metrics(values: np.ndarray, rows: int, cols: int) -> Metrics:
    """All spectral metrics of a matrix [rows, cols], by the names in METRICS.

    `values` are its singular values [n] (float64, descending). If they are only the largest ones (a
    sketch), everything that needs the whole spectrum is None. A zero matrix has rank and norms 0;
    everything else is None.
    """
    metrics: Metrics = dict.fromkeys(METRICS)
    complete = len(values) == min(rows, cols) and len(values) > 0
    if len(values) == 0 or not np.isfinite(values).all():
        return metrics
    metrics["spectral_norm"] = float(values[0])
    if not complete:
        return metrics
    scale = float(values[0])
    metrics["rank"] = numerical_rank(values, rows, cols)
    if scale == 0.0:
        return metrics | {"frobenius_norm": 0.0, "nuclear_norm": 0.0}
    unit = values / scale
    energies = unit**2
    metrics |= _ranks_and_norms(unit, energies, scale)
    metrics |= _power_law(energies, scale)
    metrics |= _marchenko_pastur(unit, energies, rows, cols, scale)
    return {name: _finite(metrics[name]) for name in METRICS}


def _finite(value: float | int | None) -> float | int | None:
    return value if value is not None and math.isfinite(value) else None


def effective_rank(weights: np.ndarray) -> float:
    """exp(-Σ p ln p), p = weights / Σ weights, of weights [n] ≥ 0.

    Source: Roy & Vetterli, EUSIPCO 2007, with weights = σ.
    """
    shares = weights[weights > 0] / weights.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _ranks_and_norms(unit: np.ndarray, energies: np.ndarray, scale: float) -> Metrics:
    """Stable rank Σλ/λ₁ (Rudelson & Vershynin 2007); participation ratio (Σλ)²/Σλ²; k_x, the
    fewest directions that hold x % of Σλ; condition number σ₁/σ_q (None if σ_q is 0); the share
    of Σλ in the smallest tenth of the values (arXiv:2410.17770)."""
    total = float(energies.sum())
    reached = np.cumsum(energies) / total
    decile = len(unit) // 10
    return {
        "stable_rank": total,
        "effective_rank_sigma": effective_rank(unit),
        "effective_rank_energy": effective_rank(energies),
        "participation_ratio": total**2 / float(np.sum(energies**2)),
        "k90": _first_reaching(reached, 0.90),
        "k95": _first_reaching(reached, 0.95),
        "k99": _first_reaching(reached, 0.99),
        "frobenius_norm": scale * math.sqrt(total),
        "nuclear_norm": scale * float(unit.sum()),
        "condition_number": 1.0 / float(unit[-1]) if unit[-1] > 0 else None,
        "bottom_decile_energy": float(energies[-decile:].sum()) / total if decile else None,
    }


def _first_reaching(reached: np.ndarray, share: float) -> int:
    return min(int(np.searchsorted(reached, share)) + 1, len(reached))


def _power_law(energies: np.ndarray, scale: float) -> Metrics:
    """Power law p(λ) ~ λ^-α of the tail λ ≥ xmin (Clauset, Shalizi & Newman, arXiv:0706.1062).

    For each candidate xmin, α = 1 + n/Σ ln(λ/xmin); xmin is the one with the smallest
    Kolmogorov-Smirnov distance max |F(λ_i) - i/n|, i = 0 … n-1, as `powerlaw` and WeightWatcher
    define it. `alpha_stderr` = (α-1)/√n, `alpha_tail` = n. The Hill estimate uses the upper half:
    α = 1 + k/Σ_{i≤k} ln(λ_i/λ_{k+1}), k = ⌊q/2⌋ (AlphaPruning, arXiv:2410.10912).
    """
    ascending = energies[energies > 0][::-1]
    metrics: Metrics = {}
    half = len(energies) // 2
    if half and energies[half] > 0:
        slope = float(np.sum(np.log(energies[:half] / energies[half])))
        metrics["alpha_hill"] = 1 + half / slope if slope > 0 else None
    if len(ascending) < 2:
        return metrics
    best, distance, alpha = fit_power_law(np.log(ascending))
    if best < 0:
        return metrics
    tail = len(ascending) - best
    return metrics | {
        "alpha": alpha,
        "alpha_xmin": float(ascending[best]) * scale * scale,
        "alpha_ks": distance,
        "alpha_tail": tail,
        "alpha_stderr": (alpha - 1) / math.sqrt(tail),
    }


@compiled
def fit_power_law(logs: np.ndarray) -> tuple[int, float, float]:
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


def _marchenko_pastur(
    unit: np.ndarray, energies: np.ndarray, rows: int, cols: int, scale: float
) -> Metrics:
    """Noise level and edges of the Marchenko-Pastur bulk, and the share outside it.

    σ̂ = median(σ)/√(p μ_β), μ_β the median of the Marchenko-Pastur law (Gavish & Donoho,
    arXiv:1305.5870); edges σ̂(√p ± √q). `spikes` counts λ above the 99.9 % point of the largest
    noise eigenvalue, σ̂²(μ + t s), μ = (√p+√q)², s = (√p+√q)(1/√p+1/√q)^⅓ (Johnstone 2001,
    Tracy-Widom). `energy_beyond_edge` is the share of Σλ above the edge, `calibrated_snr_db` the
    ratio of the two shares in decibels (None if nothing lies above). `spectrum_snr` is the score
    of the tool Spectrum, for comparison: Σ_{σ>t}σ / Σ_{σ≤t}σ / σ₁ with t = IQR(σ)/1.349·(1+√β);
    it depends on the scale of W.
    """
    q, p = sorted((rows, cols))
    noise = float(np.median(unit)) / math.sqrt(p * marchenko_pastur_median(q / p))
    wide, narrow = math.sqrt(p), math.sqrt(q)
    edge = noise * (wide + narrow)
    fluctuation = (wide + narrow) * (1 / wide + 1 / narrow) ** (1 / 3)
    spike = noise**2 * ((wide + narrow) ** 2 + TRACY_WIDOM_999 * fluctuation)
    signal = float(energies[unit > edge].sum())
    bulk = float(energies[unit <= edge].sum())
    low, high = np.quantile(unit, (0.25, 0.75))
    above = unit > (high - low) / 1.349 * (1 + math.sqrt(q / p))
    rest = float(unit[~above].sum())
    return {
        "mp_sigma": noise * scale,
        "mp_edge": edge * scale,
        "mp_lower_edge": noise * (wide - narrow) * scale,
        "spikes": int(np.count_nonzero(energies > spike)),
        "energy_beyond_edge": signal / (signal + bulk),
        "spectrum_snr": float(unit[above].sum()) / rest / scale if rest > 0 else None,
        "calibrated_snr_db": 10 * math.log10(signal / bulk) if signal > 0 and bulk > 0 else None,
    }


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
