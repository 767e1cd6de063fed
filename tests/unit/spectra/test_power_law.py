import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr

from blockresearch.spectra import power_law
from blockresearch.spectra.metrics import spectral_metrics


def plain_power_law(eigenvalues):
    """Every tail tried, as WeightWatcher and powerlaw define it: (α, xmin, KS, σ, tail)."""
    x = np.sort(eigenvalues)
    best = (math.inf,)
    for i in range(len(x) - 1):
        n = len(x) - i
        alpha = 1 + n / np.sum(np.log(x[i:] / x[i]))
        distance = np.max(np.abs(1 - (x[i:] / x[i]) ** (1 - alpha) - np.arange(n) / n))
        if distance < best[0]:
            best = (distance, alpha, x[i], (alpha - 1) / math.sqrt(n), n)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_the_best_of_all_tails(seed):
    rng = np.random.default_rng(seed)
    for eigenvalues in (
        rng.pareto(1.5 + seed, 400) + 1,
        np.linalg.eigvalsh(np.cov(rng.standard_normal((200, 500)))),
        np.r_[rng.pareto(2, 100) + 3, rng.uniform(0, 3, 200)],
    ):
        distance, alpha, xmin, stderr, tail = plain_power_law(eigenvalues)
        found = spectral_metrics(np.sqrt(np.sort(eigenvalues)[::-1]), len(eigenvalues), 10_000)
        assert found["alpha_tail"] == tail
        assert found["alpha"] == pytest.approx(alpha, rel=1e-9)
        assert found["alpha_ks"] == pytest.approx(distance, rel=1e-9)
        assert found["alpha_xmin"] == pytest.approx(xmin, rel=1e-12)
        assert found["alpha_xmin_share"] == pytest.approx(xmin / eigenvalues.max(), rel=1e-12)
        assert found["alpha_stderr"] == pytest.approx(stderr, rel=1e-9)
        assert found["weightwatcher_alpha"] == pytest.approx(alpha, rel=1e-9)


def test_a_power_law_passes_and_noise_does_not():
    random = np.random.default_rng(0)
    drawn = np.sort(random.pareto(1.5, 2000) + 1)[::-1]
    found = spectral_metrics(np.sqrt(drawn), 2000, 2000)
    assert found["alpha"] == pytest.approx(2.5, abs=0.3) and found["alpha_passes"]
    assert found["alpha_bootstrap_std"] == pytest.approx(found["alpha_stderr"], rel=2)
    assert not found["alpha_short_tail"]
    for seed in range(8):
        matrix = np.random.default_rng(seed).standard_normal((200, 256))
        assert not spectral_metrics(np.linalg.svd(matrix, compute_uv=False), 200, 256)[
            "alpha_passes"
        ]


def negative_lognormal(parameters, logs):
    center, scale = parameters[0], math.exp(parameters[1])
    standard = (logs - center) / scale
    above = log_ndtr(center / scale) + 0.5 * math.log(2 * math.pi)
    return -np.sum(-0.5 * standard**2 - math.log(scale) - above - logs)


def test_alternatives_have_their_largest_likelihood():
    random = np.random.default_rng(1)
    for tail in (random.exponential(1, 300) + 1, np.exp(np.abs(random.normal(0.3, 0.5, 300)))):
        tail = np.sort(tail) / tail.min()
        logs = np.log(tail)
        alpha = 1 + len(tail) / logs.sum()
        power = np.sum(math.log(alpha - 1) - alpha * logs)
        found = power_law.compare(np.log(tail), alpha)
        start = np.array([logs.mean(), math.log(logs.std())])
        best = minimize(negative_lognormal, start, (logs,), "Nelder-Mead", options={"fatol": 1e-9})
        assert found["lognormal"].ratio == pytest.approx(power + best.fun, abs=1e-5)
        exponential = np.sum(-math.log(tail.mean() - 1) - (tail - 1) / (tail.mean() - 1))
        assert found["exponential"].ratio == pytest.approx(power - exponential)
        # It contains both the power law and the exponential.
        assert found["truncated"].ratio <= min(0.0, found["exponential"].ratio) + 1e-6
        assert found["truncated"].is_against and 0 <= found["truncated"].p < 0.1
    heavy = np.sort(random.pareto(1, 200) + 1)
    found = power_law.compare(np.log(heavy / heavy[0]), 1 + 200 / np.log(heavy / heavy[0]).sum())
    assert -2 < found["lognormal"].ratio <= 1e-9 and -2 < found["truncated"].ratio <= 0
    assert found["exponential"].ratio > 0 and found["exponential"].p < 0.1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["one value", "nearly one", "wide", "low rank", "tiny"])
def test_odd_spectra_have_numbers_or_none(kind):
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 60, 80):
        values = {
            "one value": np.ones(count),
            "nearly one": 1 + 1e-15 * rng.random(count),
            "wide": np.exp(-700 * rng.random(count)),
            "low rank": np.r_[1.0, np.full(count - 1, 1e-160)],
            "tiny": 1e-300 * rng.random(count),
        }[kind]
        found = spectral_metrics(np.sort(values)[::-1], count + 7, count)
        assert found.get("alpha_passes") in (False, None)
        assert all(value is None or math.isfinite(value) for value in found.values())


def test_a_truncated_law_is_found_again():
    t = np.linspace(1, 200, 2_000_001)
    for a, r in ((1.5, 0.1), (0.5, 0.5), (3.0, 0.02)):
        density = t**-a * np.exp(-r * (t - 1))
        total = np.trapezoid(density, t)
        mean_log, mean = (np.trapezoid(density * f, t) / total for f in (np.log(t), t - 1))
        best = power_law.truncated_likelihood(
            mean_log, mean, 1 + 1 / mean_log, power_law.NODES, power_law.WEIGHTS
        )
        assert best == pytest.approx(-math.log(total) - a * mean_log - r * mean, abs=1e-6)


def test_few_eigenvalues_follow_weightwatcher():
    energies = np.array([1e-6, 0.2, 0.3, 0.5, 0.9, 1.0, 1.5, 2.5, 4.0, 9.0, 30.0])
    kept, best = energies[1:], (math.inf, 0.0)
    for start in range(3):
        tail = kept[start:]
        n = len(tail)
        alpha = 1 + (n - 1) / np.log(tail / tail[0]).sum()
        gaps = np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(n) / n)
        best = min(best, (gaps.max() - 0.868 / math.sqrt(n), alpha))
    assert power_law.weightwatcher_alpha(np.log(energies)) == pytest.approx(best[1])
    assert power_law.weightwatcher_alpha(np.log(energies[:8])) is None
