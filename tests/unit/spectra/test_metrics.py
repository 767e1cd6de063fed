import math

import numpy as np
import pytest
from scipy.integrate import quad

from blockresearch.spectra.metrics import (
    fit_power_law,
    marchenko_pastur_median,
    spectral_metrics,
)
from blockresearch.tables.schemas import METRICS


def noise(rows, cols, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, cols))


def with_spikes(rows, cols, sizes, seed=0):
    """Unit noise plus orthogonal directions of the given singular values."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((rows, len(sizes))))[0]
    right = np.linalg.qr(rng.standard_normal((cols, len(sizes))))[0]
    return noise(rows, cols, seed + 1) + left * sizes @ right.T


def metrics_of(matrix):
    return spectral_metrics(np.linalg.svd(matrix, compute_uv=False), *matrix.shape)


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


def test_formulas_on_a_spectrum_done_by_hand():
    found = spectral_metrics(np.array([4.0, 2.0, 2.0, 1.0]), 4, 7)
    p, energy = np.array([4, 2, 2, 1]) / 9, np.array([16, 4, 4, 1]) / 25
    expected = {
        "rank": 4,
        "stable_rank": 25 / 16,
        "effective_rank_sigma": math.exp(-(p * np.log(p)).sum()),
        "effective_rank_energy": math.exp(-(energy * np.log(energy)).sum()),
        "participation_ratio": 625 / (256 + 16 + 16 + 1),
        "k90": 3,
        "k95": 3,
        "k99": 4,
        "spectral_norm": 4,
        "frobenius_norm": 5,
        "nuclear_norm": 9,
        "condition_number": 4,
        "alpha_hill": 1 + 2 / math.log(16 / 4),
        "bottom_decile_energy": None,
    }
    assert tuple(found) == METRICS
    for name, value in expected.items():
        assert found[name] == (value if value is None else pytest.approx(value)), name
    twenty = np.arange(20, 0, -1.0)
    share = spectral_metrics(twenty, 20, 20)["bottom_decile_energy"]
    assert share == pytest.approx((1 + 4) / (twenty**2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_power_law_is_the_best_of_all_tails(seed):
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
        assert found["alpha_stderr"] == pytest.approx(stderr, rel=1e-9)


def test_power_law_finds_the_planted_exponent():
    x = np.sort(np.random.default_rng(0).pareto(1.5, 20_000) + 1)
    start, distance, alpha = fit_power_law(np.log(x))
    assert alpha == pytest.approx(2.5, abs=0.1) and distance < 0.02 and start < 18_000


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.03])
def test_marchenko_pastur_median_halves_the_law(beta):
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2

    def density(x):
        return math.sqrt(max((high - x) * (x - low), 0)) / (2 * math.pi * beta * x)

    median = marchenko_pastur_median(beta)
    assert quad(density, median, high, limit=200)[0] == pytest.approx(0.5, abs=1e-6)
    if beta == 1:
        assert 4 / math.sqrt(3) / math.sqrt(median) == pytest.approx(2.858, abs=1e-3)


def test_noise_has_no_spikes_and_its_own_level():
    for seed in range(12):
        for shape in ((400, 200), (150, 300), (250, 250)):
            found = metrics_of(0.3 * noise(*shape, seed))
            assert found["spikes"] == 0, (seed, shape)
            assert found["mp_sigma"] == pytest.approx(0.3, rel=0.03)


def test_planted_spikes_are_counted_exactly():
    edge = math.sqrt(400) + math.sqrt(200)
    sizes = np.array([3.0, 2.5, 2.0, 1.8, 1.5]) * edge
    found = metrics_of(with_spikes(400, 200, sizes))
    assert found["spikes"] == 5
    assert found["mp_edge"] == pytest.approx(edge, rel=0.05)
    assert found["mp_lower_edge"] == pytest.approx(math.sqrt(400) - math.sqrt(200), rel=0.05)
    values = np.linalg.svd(with_spikes(400, 200, sizes), compute_uv=False)
    above = (values[values > found["mp_edge"]] ** 2).sum() / (values**2).sum()
    assert found["energy_beyond_edge"] == pytest.approx(above)
    assert found["calibrated_snr_db"] == pytest.approx(10 * math.log10(above / (1 - above)))


def test_only_lengths_depend_on_the_scale():
    matrix = with_spikes(300, 120, [60.0, 50.0])
    one, ten = metrics_of(matrix), metrics_of(10 * matrix)
    powers = dict.fromkeys(
        ("spectral_norm", "frobenius_norm", "nuclear_norm", "mp_sigma", "mp_edge", "mp_lower_edge"),
        1,
    ) | {"alpha_xmin": 2, "spectrum_snr": -1}
    for name, value in one.items():
        assert ten[name] == pytest.approx(value * 10 ** powers.get(name, 0), rel=1e-9), name


def test_spectrum_snr_follows_its_tool():
    values = np.linalg.svd(with_spikes(300, 120, [60.0, 50.0]), compute_uv=False)
    quarter, three = np.percentile(values, (25, 75))
    threshold = (three - quarter) / 1.349 * math.sqrt((1 + math.sqrt(120 / 300)) ** 2)
    score = values[values > threshold].sum() / values[values <= threshold].sum() / values.max()
    found = spectral_metrics(values, 300, 120)["spectrum_snr"]
    assert found == pytest.approx(score, rel=1e-9)


def test_the_undefined_is_missing():
    zero = spectral_metrics(np.zeros(5), 5, 8)
    norms = ("rank", "spectral_norm", "frobenius_norm", "nuclear_norm")
    assert [zero[name] for name in norms] == [0, 0, 0, 0]
    assert all(value is None for name, value in zero.items() if name not in norms)
    assert set(spectral_metrics(np.empty(0), 0, 8).values()) == {None}
    assert set(spectral_metrics(np.array([np.nan, 1.0]), 2, 8).values()) == {None}
    partial = spectral_metrics(np.array([3.0, 2.0]), 5, 8)
    assert partial["spectral_norm"] == 3 and partial["rank"] is None
    single = spectral_metrics(np.array([2.0]), 1, 8)
    assert single["rank"] == 1 and single["alpha"] is None and single["alpha_hill"] is None
    deficient = spectral_metrics(np.array([2.0, 1.0, 0.0]), 3, 3)
    assert deficient["rank"] == 2 and deficient["condition_number"] is None
    equal = spectral_metrics(np.ones(40), 40, 40)
    assert equal["alpha"] is None and equal["alpha_hill"] is None
    assert equal["effective_rank_sigma"] == pytest.approx(40)
    for values in ([1e-200, 1e-201], [1e200, 1e199]):
        found = spectral_metrics(np.array(values), 2, 3)
        assert found["stable_rank"] == pytest.approx(1.01)
        assert all(v is None or math.isfinite(v) for v in found.values())
