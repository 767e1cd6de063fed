"""Principal components, unit lengths, whitening."""

import numpy as np
from sklearn.decomposition import PCA

from blockresearch.tokens.vectors import principal_components, survey, to_unit_length, whitened
from tests.unit.tokens.samples import cloud


def test_components_agree_with_scikit_learn():
    rows = cloud(500, 30)
    ours = principal_components(rows, 3)
    theirs = PCA(3, svd_solver="full").fit(rows.astype(float))
    signs = np.sign((ours.axes.T * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.axes.T, theirs.components_ * signs[:, None], atol=1e-6)
    np.testing.assert_allclose(
        ours.variances / ours.total_variance, theirs.explained_variance_ratio_, rtol=1e-6
    )
    assert (ours.axes[np.abs(ours.axes).argmax(axis=0), range(3)] > 0).all()


def test_small_variances_come_from_float64():
    random = np.random.default_rng(0)
    turned = (
        np.linalg.qr(random.standard_normal((40, 40)))[0] * 10 ** np.linspace(2, -2, 40)[:, None]
    )
    rows = (random.standard_normal((3000, 40)) @ turned).astype(np.float32)
    rounded = np.linalg.eigvalsh(survey(rows).covariance)[::-1][:30]
    exact = np.linalg.eigvalsh(np.cov(rows.T.astype(float), ddof=0))[::-1][:30]
    found = principal_components(rows, 30)
    assert np.abs(rounded / exact - 1).max() > 1e-3  # what float32 leaves of them
    np.testing.assert_allclose(found.variances, exact, rtol=1e-5)
    units = whitened(rows, found)
    variances = np.linalg.eigvalsh(np.cov(units.T.astype(float)))
    assert variances[-1] < 1.3 * variances[0]


def test_rows_of_length_one():
    rows = np.float32([[3, 4], [0, 0], [0, -2]])
    to_unit_length(rows)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, -1]])


def test_whitened_rows_have_no_leading_direction():
    rows = cloud(4000, 20)
    units = whitened(rows, principal_components(rows, 20))
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-6)
    variances = np.linalg.eigvalsh(np.cov(units.T.astype(float)))
    assert variances[-1] < 1.2 * variances[0]
    flat = np.repeat(rows[:, :1], 3, axis=1)
    assert np.isfinite(whitened(flat, principal_components(flat, 3))).all()
