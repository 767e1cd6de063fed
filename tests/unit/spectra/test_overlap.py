"""Bases and kernels against reflections and simulated subspaces."""

import numpy as np
import pytest

from blockresearch.spectra.overlap import (
    factored,
    kernel_deviation,
    overlap,
    overlap_deviation,
)


def test_independent_subspaces_give_the_null():
    random = np.random.default_rng(1)
    kernels = []
    for _ in range(400):
        first, second = (np.linalg.qr(random.standard_normal((60, k)))[0] for k in (8, 12))
        kernels.append(np.square(first.T @ second).sum())
    assert np.mean(kernels) == pytest.approx(8 * 12 / 60, rel=0.03)
    assert np.std(kernels) == pytest.approx(kernel_deviation(8, 12, 60), rel=0.1)
    assert overlap_deviation(8, 60) == pytest.approx(kernel_deviation(8, 8, 60) / 8)


@pytest.mark.parametrize("is_dependent", [False, True])
def test_bases_agree_with_reflections(is_dependent):
    random = np.random.default_rng(2)
    columns = random.standard_normal((50, 4))
    if is_dependent:
        columns = columns @ np.diag([1, 1, 1, 1e-9])
        columns[:, 3] += columns[:, 0]
    found = factored(columns)
    assert found.is_basis == is_dependent
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(found.basis @ found.triangle, columns, atol=1e-12)
    np.testing.assert_allclose(np.abs(found.triangle), np.abs(np.linalg.qr(columns)[1]), atol=1e-12)
    some = random.standard_normal((4, 2))
    np.testing.assert_allclose(found.span(some), found.basis @ some, atol=1e-12)
    assert overlap(columns, columns @ random.standard_normal((4, 4))) == pytest.approx(1)
