import math

import numpy as np
import pytest
from scipy.integrate import quad

from blockresearch.spectra import noise
from blockresearch.spectra.metrics import spectral_metrics


def metrics_of(matrix):
    return spectral_metrics(np.linalg.svd(matrix, compute_uv=False), *matrix.shape)


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.03])
def test_the_law_agrees_with_its_density(beta):
    low, high = (1 - math.sqrt(beta)) ** 2, (1 + math.sqrt(beta)) ** 2

    def density(x):
        return math.sqrt(max((high - x) * (x - low), 0)) / (2 * math.pi * beta * x)

    median = noise.marchenko_pastur_median(beta)
    assert quad(density, median, high, limit=200)[0] == pytest.approx(0.5, abs=1e-6)
    if beta == 1:
        assert 4 / math.sqrt(3) / math.sqrt(median) == pytest.approx(2.858, abs=1e-3)
    x = low + (high - low) * np.array([-1, 0, 0.1, 0.6, 0.99, 1, 2])
    above = [quad(density, min(max(value, low), high), high, limit=200)[0] for value in x]
    assert noise.marchenko_pastur_cdf(x, beta) == pytest.approx(1 - np.array(above), abs=1e-6)


def test_noise_has_no_spikes_and_its_own_level():
    for seed in range(3):
        for shape in ((400, 200), (150, 300), (250, 250)):
            matrix = 0.3 * np.random.default_rng(seed).standard_normal(shape)
            found = metrics_of(matrix)
            assert found["spikes"] == 0 and not found["mp_rejected"], (seed, shape)
            assert found["mp_sigma"] == pytest.approx(0.3, rel=0.03)
            assert found["energy_beyond_edge"] == 0 and found["calibrated_snr_db"] is None


def test_small_noise_seldom_has_spikes():
    # The plain quantile of Tracy and Widom lets 19 of 1,000 pass at this size.
    random = np.random.default_rng(0)
    values = np.linalg.svd(random.standard_normal((4000, 16, 16)), compute_uv=False)
    found = [row[0] > noise.threshold(noise.noise_level(row, 16, 16), 16, 16) for row in values]
    assert sum(found) <= 8


def test_another_law_is_rejected():
    random = np.random.default_rng(0)
    heavy = random.standard_normal((200, 300)) * random.lognormal(0, 1, (200, 1))
    found = metrics_of(heavy)
    assert found["mp_rejected"] and found["mp_ks"] > 0.1


def test_the_distance_is_the_largest_gap_to_the_steps():
    level = 0.5
    values = np.array([30.0, 20.0, 10.0]) * level
    law = noise.marchenko_pastur_cdf((np.array([10.0, 20.0, 30.0])) ** 2 / 300, 3 / 300)
    gaps = [abs(law[i] - step / 3) for i in range(3) for step in (i, i + 1)]
    assert noise.distance(values, 300, 3, level) == pytest.approx(max(gaps))
