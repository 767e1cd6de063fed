import math

import numpy as np
import pytest

from blockresearch.spectra.metrics import Rounding, spectral_metrics
from blockresearch.tables.schemas import METRICS, NOISE_LAW


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


def test_planted_spikes_are_counted_exactly():
    edge = math.sqrt(400) + math.sqrt(200)
    sizes = np.array([3.0, 2.5, 2.0, 1.8, 1.5]) * edge
    found = metrics_of(with_spikes(400, 200, sizes))
    assert found["spikes"] == 5
    assert found["mp_edge"] == pytest.approx(edge, rel=0.05)
    assert found["mp_lower_edge"] == pytest.approx(math.sqrt(400) - math.sqrt(200), rel=0.05)
    values = np.linalg.svd(with_spikes(400, 200, sizes), compute_uv=False)
    above = (values[:5] ** 2).sum() / (values**2).sum()
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
        wanted = None if value is None else pytest.approx(value * 10 ** powers.get(name, 0))
        assert ten[name] == wanted, name


def test_spectrum_snr_follows_its_tool():
    values = np.linalg.svd(with_spikes(300, 120, [60.0, 50.0]), compute_uv=False)
    quarter, three = np.percentile(values, (25, 75))
    threshold = (three - quarter) / 1.349 * math.sqrt((1 + math.sqrt(120 / 300)) ** 2)
    score = values[values > threshold].sum() / values[values <= threshold].sum() / values.max()
    found = spectral_metrics(values, 300, 120)["spectrum_snr"]
    assert found == pytest.approx(score, rel=1e-9)


def test_the_undefined_is_missing():
    zero = spectral_metrics(np.zeros(5), 5, 8)
    norms = ("rank", "resolved_rank", "spectral_norm", "frobenius_norm", "nuclear_norm")
    assert [zero[name] for name in norms] == [0, 0, 0, 0, 0]
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


def test_the_noise_law_needs_half_the_rank():
    values = np.linalg.svd(noise(60, 40), compute_uv=False)
    assert spectral_metrics(values, 60, 40)["mp_ks"] < 0.1
    rounded = spectral_metrics(values, 60, 40, Rounding(values[18], values[3]))
    assert (rounded["storage_rank"], rounded["storage_rank_min"]) == (18, 3)
    low = spectral_metrics(np.r_[values[:19], values[19:] * 1e-9], 60, 40)
    assert low["resolved_rank"] == 19 and low["alpha_passes"] is False
    for found in (rounded, low, spectral_metrics(values, 60, 40, is_constant=True)):
        assert {found[name] for name in NOISE_LAW} == {None}
        assert found["stable_rank"] is not None and found["alpha"] is not None
    half = spectral_metrics(np.r_[values[:20], values[20:] * 1e-9], 60, 40)
    assert half["spikes"] is not None and half["mp_rejected"] is True
