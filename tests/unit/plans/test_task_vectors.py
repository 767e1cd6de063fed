"""How task vectors agree, for matrices whose agreement is known."""

import numpy as np
import pytest

from blockresearch.plans.task_vectors import density, vectors_of

RANDOM = np.random.default_rng(0)
ONE, OTHER = (RANDOM.standard_normal((96, 64)).astype(np.float32) for _ in range(2))


def agreement(one, other):
    (found,) = vectors_of("a", {0: one, 1: other}).agreements
    return found


@pytest.mark.parametrize(
    ("other", "cosine", "conflict", "overlap"),
    [(2 * ONE, 1.0, 0.0, 1.0), (-ONE, -1.0, 1.0, 1.0)],
)
def test_equal_and_opposite_changes(other, cosine, conflict, overlap):
    found = agreement(ONE, other)
    assert found.cosine == pytest.approx(cosine)
    assert found.conflict == pytest.approx(conflict)
    assert (found.left, found.right) == pytest.approx((overlap, overlap), abs=1e-3)


def test_independent_changes_agree_by_chance():
    found = agreement(ONE, OTHER)
    assert abs(found.cosine) < 0.05 and found.conflict == pytest.approx(0.5, abs=0.03)
    # Eight directions of 96, and of 64.
    assert found.left == pytest.approx(8 / 96, abs=0.05)
    assert found.right == pytest.approx(8 / 64, abs=0.05)


def test_elements_that_one_leaves_do_not_conflict():
    half = np.where(np.arange(64) < 32, -ONE, 0)
    assert agreement(ONE, half).conflict == 1


def test_small_matrices_have_no_leading_directions():
    found = agreement(ONE[:4], OTHER[:4])
    assert found.left is None and found.right is None


def test_density_is_the_share_of_large_elements():
    assert density(ONE) == pytest.approx(0.43, abs=0.02)
    sparse = np.zeros((10, 10))
    sparse[0] = 1
    assert density(sparse) == pytest.approx(0.09)
