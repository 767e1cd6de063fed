"""Overlaps against exact singular vectors and planted rotations."""

import numpy as np
import pytest

from blockresearch.compare.sides import Side, Sides
from blockresearch.compare.subspaces import subspaces


def sides(a, b):
    def side(w):
        return Side(lambda: (w[i : i + 70] for i in range(0, len(w), 70)), "F32")

    return Sides(side(a), side(b), *a.shape)


def with_spectrum(random, rows, cols):
    """A matrix with singular values 1, 0.95, 0.95² …, and its singular vectors."""
    n = min(rows, cols)
    left = np.linalg.qr(random.standard_normal((rows, n)))[0]
    right = np.linalg.qr(random.standard_normal((cols, n)))[0]
    return left, 0.95 ** np.arange(n), right


@pytest.fixture
def parts():
    return with_spectrum(np.random.default_rng(0), 300, 200)


def built(left, values, right):
    return ((left * values) @ right.T).astype(np.float32)


def test_equal_matrices_and_a_planted_rotation(parts):
    left, values, right = parts
    same = subspaces(sides(built(*parts), built(*parts)))
    assert same["left_overlap_8"] == pytest.approx(1, abs=1e-6)
    assert same["intruders_32"] == 0 and same["spectral_shift"] < 1e-6
    assert same["delta_inside_8"] is None
    turned = left.copy()
    angle = np.radians(40)
    # One of the eight leading directions turns toward one behind them.
    turned[:, 7] = np.cos(angle) * left[:, 7] + np.sin(angle) * left[:, 150]
    found = subspaces(sides(built(*parts), built(turned, values, right)))
    assert found["left_angle_8"] == pytest.approx(40, abs=1)
    assert found["left_overlap_8"] == pytest.approx((7 + np.cos(angle) ** 2) / 8, abs=1e-3)
    assert found["right_overlap_8"] == pytest.approx(1, abs=1e-3)


def test_an_intruder_and_where_a_change_lies(parts):
    left, _, right = parts
    change = 3 * np.outer(left[:, 190], right[:, 190])
    found = subspaces(sides(built(*parts), built(*parts) + change.astype(np.float32)))
    assert found["intruders_8"] == 1
    assert found["delta_inside_32"] < 1e-3
    inside = built(*parts) + (0.1 * np.outer(left[:, 3], right[:, 5])).astype(np.float32)
    assert subspaces(sides(built(*parts), inside))["delta_inside_8"] == pytest.approx(1, abs=0.01)


def test_small_matrices_have_no_subspaces():
    w = np.ones((12, 40), np.float32)
    assert subspaces(sides(w, w)) == {}


def test_directions_beyond_the_rank_are_left_out():
    random = np.random.default_rng(1)
    w = (random.standard_normal((300, 20)) @ random.standard_normal((20, 200))).astype(np.float32)
    found = subspaces(sides(w, w + np.float32(0.1) * w[::-1]))
    assert "left_overlap_8" in found and "left_overlap_32" not in found
