"""Near duplicates among all rows."""

import numpy as np
import pytest

from blockresearch.tokens.clustering import space
from blockresearch.tokens.geometry import geometry
from blockresearch.tokens.near_duplicates import near_duplicates
from blockresearch.tokens.vectors import survey


def found_in(rows):
    units = survey(rows).units
    return near_duplicates(geometry(rows), units, space(rows, 0), 0)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_what_is_found_is_true_and_nearly_all(shift):
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((4000, 60)).astype(np.float32) + np.float32(shift)
    rows[3000:] = rows[:1000] * 2 + rng.uniform(0, 0.3, (1000, 1)) * rng.standard_normal((1000, 60))
    rows[17] = 0
    norms = np.linalg.norm(rows.astype(float), axis=1)
    unit = rows / np.where(norms > 0, norms, 1)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    exact = cosines.max(axis=1) >= 0.99
    found = found_in(rows)
    assert not (found & ~exact).any()
    assert found.sum() >= 0.95 * exact.sum() > 1000
    assert (found == found_in(rows)).all()


def test_rows_of_one_value_are_all_found():
    rows = np.ones((700, 5), np.float32)
    assert found_in(rows).all()
