"""Noise of all shapes has one exponent; planted power laws are found."""

import numpy as np
import pytest

from blockresearch.spectra.heavy_tails import fit_p, permuted_alpha, square_alpha, windows

SHAPES = [(256, 256), (512, 256), (128, 512), (128, 1024), (2048, 128)]


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_noise_of_all_shapes_has_one_exponent():
    found = [square_alpha(normal(shape) * 3) for shape in SHAPES]
    assert np.ptp(found) < 0.05
    for shape, alpha in zip(SHAPES, found, strict=True):
        assert permuted_alpha(normal(shape), 1) == pytest.approx(alpha, abs=0.05)


def test_a_planted_tail_falls_below_its_null():
    sides = [np.linalg.qr(normal((256, 256), seed))[0] for seed in (1, 2)]
    energies = (np.arange(256) + 0.5) ** -0.8
    matrix = ((sides[0] * np.sqrt(energies)) @ sides[1]).astype(np.float32)
    planted = 1 + 128 / np.log(energies[:128] / energies[128]).sum()
    assert square_alpha(matrix) == pytest.approx(planted, abs=0.01)
    assert permuted_alpha(matrix, 2) == pytest.approx(square_alpha(normal((256, 256))), abs=0.05)
    wide = np.hstack([matrix, matrix[:, ::-1]])
    assert square_alpha(wide) == pytest.approx(planted, abs=0.15)


@pytest.mark.parametrize(("shape", "count"), [((4, 4), 1), ((4, 8), 3), ((4, 9), 4)])
def test_windows_cover_the_matrix(shape, count):
    matrix = np.arange(np.prod(shape)).reshape(shape)
    found = list(windows(matrix))
    assert len(found) == count and {each.shape for each in found} == {(4, 4)}
    assert set(np.concatenate(found, axis=None)) == set(matrix.flat)


def test_large_matrices_have_few_windows():
    found = list(windows(np.empty((3000, 9000), np.float32)))
    assert len(found) == 12 and found[0].shape == (768, 768)


def test_matrices_without_a_spectrum_have_no_exponent():
    assert square_alpha(np.zeros((64, 64), np.float32)) is None
    assert square_alpha(normal((4, 4))) is None


def test_power_laws_pass_and_others_fail():
    random = np.random.default_rng(3)
    passed = [fit_p(random.pareto(1.5, 400) + 1, seed) for seed in range(6)]
    assert min(passed) > 0.02 and max(passed) > 0.3
    two_groups = np.concatenate([random.uniform(1, 1.1, 200), random.uniform(5, 5.2, 200)])
    assert fit_p(two_groups, 0) < 0.05
