"""Leading directions agree with LAPACK, of matrices and of products."""

import numpy as np
import pytest

from blockresearch.spectra.leading import leading_of_product, leading_of_rows
from blockresearch.spectra.overlap import factored


def same_line(found, wanted):
    return np.abs(np.sum(found * wanted, axis=1))


@pytest.mark.parametrize(("rows", "cols"), [(40, 30), (60, 300)])
def test_rows_agree_with_lapack(rows, cols):
    matrix = np.random.default_rng(0).standard_normal((rows, cols)) * np.geomspace(5, 1, cols)
    found = leading_of_rows(matrix.astype(np.float32), 4)
    _, values, v = np.linalg.svd(matrix)
    assert same_line(found.vectors, v[:4]) == pytest.approx(np.ones(4), abs=1e-4)
    assert found.shares == pytest.approx(values[:4] ** 2 / np.sum(values**2), rel=1e-4)
    gaps = np.minimum(values[:3] - values[1:4], np.r_[np.inf, values[:2] - values[1:3]])
    assert found.gaps[:3] == pytest.approx(gaps / values[:3], rel=1e-2)


def test_signs_do_not_come_from_rounding():
    """Rows without their mean, with which a start of all ones would have nothing in common."""
    matrix = np.random.default_rng(2).standard_normal((300, 200))
    matrix = (matrix - matrix.mean(axis=1, keepdims=True)).astype(np.float32)
    one, other = (leading_of_rows(each, 4).vectors for each in (matrix, matrix[::-1].copy()))
    assert (np.sum(one * other, axis=1) > 0.99).all()


def test_products_agree_with_lapack():
    random = np.random.default_rng(1)
    left, right = random.standard_normal((8, 50)), random.standard_normal((8, 40))
    sides = factored(left.T), factored(right.T)
    found = leading_of_product(sides[0].triangle @ sides[1].triangle.T, *sides, 3)
    u, values, v = np.linalg.svd(left.T @ right)
    assert same_line(found.vectors, u[:, :3].T) == pytest.approx(np.ones(3), abs=1e-6)
    assert same_line(found.others, v[:3]) == pytest.approx(np.ones(3), abs=1e-6)
    signs = np.sum(found.vectors * u[:, :3].T, axis=1) * np.sum(found.others * v[:3], axis=1)
    assert (signs > 0).all(), "the signs of both sides belong together"
    assert found.shares == pytest.approx(values[:3] ** 2 / np.sum(values**2))


def test_a_rank_below_the_count_gives_fewer():
    one = np.outer(np.arange(1, 6), np.arange(1, 8)).astype(np.float32)
    assert len(leading_of_rows(one, 4).vectors) == 1
    assert len(leading_of_rows(np.zeros((5, 7), np.float32), 4).vectors) == 0
