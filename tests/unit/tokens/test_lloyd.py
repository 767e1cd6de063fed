"""Lloyd's iteration with bounds does what the plain one does."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from blockresearch.tokens.lloyd import (
    gathered_sums,
    nearest_centers,
    settle,
    settle_table,
    split,
)
from blockresearch.tokens.vectors import Rows
from blockresearch.tokens.workers import Workers
from tests.unit.tokens.samples import cloud, planted


@pytest.mark.parametrize("rows", [cloud(), cloud(1500, 7, 1) * 1e-4, planted(9)[0] + 30])
def test_labels_are_those_of_scikit_learn(rows):
    start = rows[:: len(rows) // 9][:9]
    labels, centers = settle(rows, start, 0.0)
    model = KMeans(9, init=start.astype(float), n_init=1, tol=0).fit(rows.astype(float))
    assert (labels == model.labels_).mean() > 0.999
    np.testing.assert_allclose(centers, model.cluster_centers_, rtol=1e-2, atol=1e-3)
    both = nearest_centers(rows, [centers[:2], centers])
    assert (both[1] == labels).all() and both[0].max() == 1
    in_blocks, again = settle_table(Rows(rows), start, 300, Workers(2))
    assert (in_blocks == labels).mean() > 0.999
    np.testing.assert_allclose(again, centers, rtol=1e-2, atol=1e-3)


def test_a_center_without_rows_gets_the_farthest_row():
    rows = np.float32([[0, 0], [0, 1], [1, 0], [90, 0], [0, 70]])
    labels, centers = settle(rows, np.float32([[0, 0], [999, 999], [998, 998]]), 0.0)
    assert labels.tolist() == [0, 0, 0, 1, 2]
    start = np.float32([[0, 0], [999, 999], [998, 998]])
    assert settle_table(rows, start, 9)[0].tolist() == labels.tolist()
    np.testing.assert_allclose(centers, [[1 / 3, 1 / 3], [90, 0], [0, 70]])
    same = np.ones((4, 2), np.float32)
    assert settle(same, np.float32([[1, 1], [5, 5]]), 0.0)[0].tolist() == [0] * 4


def test_the_widest_cluster_is_split_along_its_axis():
    rows, _ = planted(2, size=200, d=30)
    rows[200:, 3] += np.repeat(np.float32([-40, 40]), 100)
    labels = np.repeat(np.int32([0, 1]), 200)
    means = np.stack([rows[:200].mean(axis=0), rows[200:].mean(axis=0)])
    start = split(rows, labels, means)
    np.testing.assert_array_equal(start[0], means[0])
    apart = start[2] - start[1]
    values, axes = np.linalg.eigh(np.cov(rows[200:].T.astype(float), ddof=0))
    assert abs(apart @ axes[:, -1]) == pytest.approx(2 * np.sqrt(values[-1]), rel=1e-4)
    assert split(means, np.int32([0, 1]), means) is None


def test_sums_of_several_partitions():
    rows = cloud(1300, 11)
    labels = np.random.default_rng(0).integers(0, 3, (2, 1300)).astype(np.int32)
    labels[1] += 2 * (rows[:, 0] > 5)
    origin = rows.mean(axis=0)
    sums = gathered_sums(rows, origin, labels, np.array([3, 5]))
    wide = rows.astype(float) - origin
    expected = [wide[labels[0] == c].sum(axis=0) for c in range(3)]
    expected += [wide[labels[1] == c].sum(axis=0) for c in range(5)]
    np.testing.assert_allclose(sums, expected, atol=1e-3)
