"""Leading directions against LAPACK."""

import numpy as np
import pytest

from blockresearch.compare.products import leading


def test_leading_directions_are_those_of_lapack():
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.standard_normal((n, 200)))[0] for n in (300, 200))
    w = ((left * 0.95 ** np.arange(200)) @ right.T).astype(np.float32)
    left, values, right = leading(lambda: iter([w]), *w.shape, 24)
    exact = np.linalg.svd(w.astype(np.float64))
    np.testing.assert_allclose(values[:8], exact[1][:8], rtol=1e-4)
    for mine, theirs in ((left, exact[0]), (right, exact[2].T)):
        overlap = np.square(mine[:, :8].T @ theirs[:, :8]).sum() / 8
        assert overlap == pytest.approx(1, abs=1e-4)
