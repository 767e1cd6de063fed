"""Rows, columns and the largest weights."""

import numpy as np
import pytest

from tests.unit.values.test_distribution import STORED, measured, plain


@pytest.mark.parametrize("dtype", STORED)
def test_rows_columns_and_top_agree_with_numpy(dtype):
    stored = STORED[dtype]
    distribution, w = measured(dtype, stored), plain(dtype, stored)
    summary = distribution.summary()
    for name, axis in (("row", 1), ("col", 0)):
        norms, peaks = np.sqrt((w**2).sum(axis=axis)), np.abs(w).max(axis=axis)
        assert summary[f"{name}_norm_cv"] == pytest.approx(norms.std() / norms.mean(), rel=1e-9)
        ratio = norms.max() / np.median(norms)
        assert summary[f"{name}_norm_max_over_median"] == pytest.approx(ratio, rel=1e-9)
        ratio = peaks.max() / np.median(peaks)
        assert summary[f"{name}_absmax_max_over_median"] == pytest.approx(ratio, rel=1e-12)
    order = np.argsort(-np.abs(w).reshape(-1), kind="stable")[:16]
    places = [(int(i // w.shape[1]), int(i % w.shape[1])) for i in order]
    assert distribution.top() == [(i, j, w[i, j]) for i, j in places]
