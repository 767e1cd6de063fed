"""Bases and kernels against reflections and simulated subspaces."""

import numpy as np
import pytest

from blockresearch.spectra.overlap import (
    kernel_deviation,
    orthonormal,
    overlap,
    overlap_deviation,
    triangle,
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


def test_columns_that_are_nearly_dependent():
    random = np.random.default_rng(2)
    columns = random.standard_normal((50, 4)) @ np.diag([1, 1, 1, 1e-9])
    columns[:, 3] += columns[:, 0]
    basis, r = orthonormal(columns)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(basis @ r, columns, atol=1e-12)
    np.testing.assert_allclose(np.abs(triangle(columns)), np.abs(r), atol=1e-12)
    assert overlap(columns, columns @ random.standard_normal((4, 4))) == pytest.approx(1)
