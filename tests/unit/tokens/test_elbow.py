"""The elbow of the curve, and whether it is clear."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from blockresearch.tokens.clustering import cluster_rows
from blockresearch.tokens.elbow import elbow, explains_all, is_clear
from tests.unit.tokens.samples import cloud, elbow_curve, fits_of, planted


def test_planted_clusters_have_a_clear_elbow():
    rows, truth = planted(7)
    curve = elbow_curve(rows, 2, 20)
    assert curve.loc[curve["chosen"], "k"].tolist() == [7]
    assert is_clear(fits_of(rows, 2, 20)) is True
    found = cluster_rows(rows, 7)
    assert adjusted_rand_score(truth, found.labels) == 1.0
    assert found.inertia == pytest.approx(curve.set_index("k")["inertia"][7], rel=1e-5)


def test_one_cloud_has_no_clear_elbow():
    assert is_clear(fits_of(cloud(), 2, 15)) is False


def test_elbow_is_the_largest_height_over_the_chord():
    curve = elbow_curve(cloud(), 2, 12)
    k, inertia = curve["k"].to_numpy(float), curve["inertia"].to_numpy(float)
    chord = np.interp(k, k[[0, -1]], inertia[[0, -1]])
    height = (chord - inertia) / (inertia[0] - inertia[-1])
    np.testing.assert_allclose(curve["elbow_height"].to_numpy(float), height, atol=1e-12)
    assert curve["chosen"].to_numpy().argmax() == height.argmax()


@pytest.mark.parametrize("distinct", [3, 4, 9])
def test_few_distinct_rows_are_as_many_clusters(distinct):
    values = np.random.default_rng(distinct).standard_normal((distinct, 16)).astype(np.float32)
    rows = np.repeat(values + 2, np.arange(10, 10 + distinct), axis=0)
    fits = fits_of(rows, 2, 30)
    assert elbow(fits) == distinct and is_clear(fits)
    # As many clusters as rows explain all of any table.
    apart = fits_of(values, 2, 30)
    assert explains_all(apart) is None


def test_an_elbow_that_one_cloud_has_too_is_not_clear():
    rows, _ = planted(5)
    fits = fits_of(rows, 2, 9)
    assert is_clear(fits) is True
    assert is_clear(fits, {fit.k: fit.inertia for fit in fits}) is False
