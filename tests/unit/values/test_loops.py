"""The sweep over rows and columns, for tiles that cut rows anywhere."""

import numpy as np
import pytest

from blockresearch.values.loops import scan
from blockresearch.values.rows_and_columns import NO_COUNTS, RowsAndColumns


@pytest.mark.parametrize("tile", [1, 7, 64, 10_000])
@pytest.mark.parametrize(("rows", "cols"), [(3, 29), (41, 5), (23, 16)])
def test_sums_and_peaks_for_any_tile(tile, rows, cols):
    w = np.random.default_rng(0).standard_normal((rows, cols)).astype(np.float16) / 100
    w[::5, 1], w[3 % rows, 2], w[1, 3], w[-1, -1] = 0, np.inf, np.nan, 2.0**-24
    kept = RowsAndColumns("F16", rows, cols)
    sides = (kept.row_sums, kept.row_peaks, kept.col_sums, kept.col_peaks)
    top = (np.zeros(16, dtype=np.uint16), np.zeros(16, dtype=np.int64))
    scan(w.view(np.uint16).ravel(), tile, NO_COUNTS, kept.form, 0, cols, sides, top)
    finite = np.where(np.isfinite(w), np.abs(w), 0).astype(np.float64)
    # The loops read half-precision bits in the exponent field of float32.
    finite_sums = finite**2 * 4.0**-112
    powers = np.where(finite > 0, 2.0 ** np.floor(np.log2(np.maximum(finite, 2.0**-14))), 0)
    for axis, sums, peaks in (
        (1, kept.row_sums, kept.row_peaks),
        (0, kept.col_sums, kept.col_peaks),
    ):
        np.testing.assert_allclose(sums[0], finite_sums.sum(axis), rtol=1e-13)
        np.testing.assert_allclose(sums[1], (powers**2 * 4.0**-112).sum(axis), rtol=1e-13)
        assert np.array_equal(peaks.view(np.float16), finite.max(axis).astype(np.float16))
    assert np.array_equal(np.sort(finite.ravel())[::-1][:16], top[0].view(np.float16).__abs__())
