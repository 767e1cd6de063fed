"""Principal components, unit lengths, whitening."""

import numpy as np
from sklearn.decomposition import PCA

from blockresearch.tokens.vectors import principal_components, to_unit_length, whitened
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
