"""Near duplicates among all rows."""

import numpy as np
import pytest

from blockresearch.tokens.describe import row_norms
from blockresearch.tokens.near_duplicates import near_duplicates


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_what_is_found_is_true_and_nearly_all(shift):
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((4000, 60)).astype(np.float32) + np.float32(shift)
    rows[3000:] = rows[:1000] * 2 + rng.uniform(0, 0.3, (1000, 1)) * rng.standard_normal((1000, 60))
    rows[17] = 0
    norms = row_norms(rows)
    unit = rows / np.where(norms > 0, norms, 1)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    exact = cosines.max(axis=1) >= 0.99
    found = near_duplicates(rows, norms, 0)
    assert not (found & ~exact).any()
    assert found.sum() >= 0.95 * exact.sum() > 1000
    assert (found == near_duplicates(rows, norms, 0)).all()


def test_rows_of_one_value_are_all_found():
    rows = np.ones((700, 5), np.float32)
    assert near_duplicates(rows, row_norms(rows), 0).all()
    nothing = rows[:0]
    assert near_duplicates(nothing, row_norms(nothing), 0).size == 0
