"""Metrics of a spectrum: ranks, norms, power law, noise law.

Notation: W is rows x cols with singular values σ₁ ≥ … ≥ σ_q, q = min(rows, cols),
p = max(rows, cols), β = q/p, λ = σ². A number that is not defined is None, never 0.
"""

import math
from dataclasses import dataclass

import numpy as np

from blockresearch.spectra import noise, power_law
from blockresearch.spectra.singular_values import numerical_rank, resolved_rank
from blockresearch.tables.schemas import METRICS, NOISE_LAW

Metrics = dict[str, float | int | bool | None]


@dataclass(frozen=True)
class Rounding:
    """What rounding to the stored type can do to singular values: how much independent errors
    change them (`typical`, an estimate) and how much any errors do (`most`)."""

    typical: float
    most: float


def spectral_metrics(
    values: np.ndarray,
    rows: int,
    cols: int,
    rounding: Rounding | None = None,
    is_constant: bool = False,
) -> Metrics:
    """All spectral metrics of a matrix [rows, cols], by the names in METRICS.

    `values` are its singular values [n] (float64, descending). If they are only the largest ones (a
    sketch), everything that needs the whole spectrum is None. A zero matrix has ranks and norms 0;
    everything else is None. The median of a matrix of rank below q/2 is rounding, and so is the
    rest of a constant one: they have no noise law.
    """
    metrics = ranks_and_noise(values, rows, cols, rounding, is_constant)
    if metrics["stable_rank"] is None:
        return metrics
    scale = float(values[0])
    unit = values / scale
    metrics |= _power_law(unit**2, scale, rows, cols)
    metrics["spectrum_snr"] = _spectrum_snr(unit, rows, cols, scale)
    if metrics["mp_ks"] is None and metrics["alpha"] is not None:
        metrics["alpha_passes"] = False
    return {name: _finite(metrics[name]) for name in METRICS}


def ranks_and_noise(
    values: np.ndarray,
    rows: int,
    cols: int,
    rounding: Rounding | None = None,
    is_constant: bool = False,
) -> Metrics:
    """The same of `values` [n], but for the power law and the score of Spectrum, which are None."""
    metrics: Metrics = dict.fromkeys(METRICS)
    complete = len(values) == min(rows, cols) and len(values) > 0
    if len(values) == 0 or not np.isfinite(values).all():
        return metrics
    metrics["spectral_norm"] = float(values[0])
    if not complete:
        return metrics
    scale = float(values[0])
    metrics["rank"] = numerical_rank(values, rows, cols)
    metrics["resolved_rank"] = rank = resolved_rank(values)
    if rounding is not None:
        metrics["storage_rank"] = int(np.count_nonzero(values > rounding.typical))
        metrics["storage_rank_min"] = int(np.count_nonzero(values > rounding.most))
        rank = min(rank, int(np.count_nonzero(values > rounding.typical)))
    if scale == 0.0:
        return metrics | {"frobenius_norm": 0.0, "nuclear_norm": 0.0}
    unit = values / scale
    energies = unit**2
    metrics |= _ranks_and_norms(unit, energies, scale)
    if not is_constant and 2 * rank >= len(values):
        metrics |= _noise_law(unit, energies, rows, cols, scale)
    return {name: _finite(metrics[name]) for name in METRICS}


def _finite(value: float | int | bool | None) -> float | int | bool | None:
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


def _power_law(energies: np.ndarray, scale: float, rows: int, cols: int) -> Metrics:
    """The fit of `power_law` to all λ > 0 and what it is worth.

    `alpha_stderr` = (α-1)/√n for the chosen xmin. The Hill estimate uses the upper half:
    α = 1 + k/Σ_{i≤k} ln(λ_i/λ_{k+1}), k = ⌊q/2⌋ (AlphaPruning, arXiv:2410.10912).
    """
    ascending = energies[energies > 0][::-1]
    metrics: Metrics = {}
    half = len(energies) // 2
    if half and energies[half] > 0:
        slope = float(np.sum(np.log(energies[:half]) - np.log(energies[half])))
        metrics["alpha_hill"] = 1 + half / slope if slope > 0 else None
    if len(ascending) < 2:
        return metrics
    logs = np.log(ascending)
    best, distance, alpha = power_law.fit(logs)
    if best < 0:
        return metrics
    tail = len(ascending) - best
    against = power_law.compare(logs[best:] - logs[best], alpha)
    usual = noise.power_law_distance(rows, cols)
    for name, found in against.items():
        metrics |= {f"alpha_vs_{name}": found.ratio, f"alpha_vs_{name}_p": found.p}
    return metrics | {
        "alpha": alpha,
        "alpha_xmin": float(ascending[best]) * scale * scale,
        "alpha_ks": distance,
        "alpha_tail": tail,
        "alpha_stderr": (alpha - 1) / math.sqrt(tail),
        "alpha_xmin_share": float(ascending[best]),
        "alpha_short_tail": tail < power_law.FEWEST_TAIL,
        "alpha_bootstrap_std": power_law.bootstrap_spread(logs),
        "alpha_noise_ks": usual,
        "alpha_passes": (
            tail >= power_law.FEWEST_TAIL
            and alpha <= power_law.LARGEST_ALPHA
            and distance < usual
            and bool(against)
            and not any(found.is_against for found in against.values())
        ),
        "weightwatcher_alpha": power_law.weightwatcher_alpha(logs + 2 * math.log(scale)),
    }


def _noise_law(
    unit: np.ndarray, energies: np.ndarray, rows: int, cols: int, scale: float
) -> Metrics:
    """Noise level, edges and fit of the Marchenko-Pastur law, and what lies beyond it.

    `spikes` counts σ above the threshold of `noise`, `energy_beyond_edge` is their share of Σλ, and
    `calibrated_snr_db` the ratio of the two shares in decibels (None without spikes).
    """
    level = noise.noise_level(unit, rows, cols)
    lower, upper = noise.edges(level, rows, cols)
    distance = noise.distance(unit, rows, cols, level)
    beyond = unit > noise.threshold(level, rows, cols)
    signal, bulk = float(energies[beyond].sum()), float(energies[~beyond].sum())
    found: Metrics = {
        "mp_sigma": level * scale,
        "mp_edge": upper * scale,
        "mp_lower_edge": lower * scale,
        "mp_ks": distance,
        "mp_rejected": distance > noise.largest_distance(rows, cols),
        "spikes": int(np.count_nonzero(beyond)),
        "energy_beyond_edge": signal / (signal + bulk),
        "calibrated_snr_db": 10 * math.log10(signal / bulk) if signal > 0 and bulk > 0 else None,
    }
    assert tuple(found) == NOISE_LAW
    return found


def _spectrum_snr(unit: np.ndarray, rows: int, cols: int, scale: float) -> float | None:
    """The score of the tool Spectrum: Σ_{σ>t}σ / Σ_{σ≤t}σ / σ₁ with t = IQR(σ)/1.349·(1+√β); it
    depends on the scale of W."""
    low, high = np.quantile(unit, (0.25, 0.75))
    q, p = sorted((rows, cols))
    above = unit > (high - low) / 1.349 * (1 + math.sqrt(q / p))
    rest = float(unit[~above].sum())
    return float(unit[above].sum()) / rest / scale if rest > 0 else None
