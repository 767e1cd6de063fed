"""Which metric shows the clusters."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from blockresearch.tokens.clustering import cluster_rows, space
from blockresearch.tokens.metric import find_curve
from tests.unit.tokens.samples import cloud, fits_of, planted


def frequent(seed: int = 0):
    """Six groups of directions under a continuous direction that is ten times as wide."""
    rng = np.random.default_rng(seed)
    truth = np.arange(6000) % 6
    rows = 4 * np.eye(6, 24)[truth] + rng.standard_normal((6000, 24))
    rows[:, 23] += 60 * rng.random(6000)
    return rows.astype(np.float32), truth


def test_whitening_shows_groups_a_direction_hides():
    rows, truth = frequent()
    hidden = cluster_rows(rows, 6, start=fits_of(rows, 6, 6)[0].labels)
    assert adjusted_rand_score(truth, hidden.labels) < 0.1
    curve = find_curve(space(rows, 8), "auto", 2, 8)
    assert curve.metric == "whitened" and "no clear elbow" in curve.rule
    found = next(fit for fit in curve.fits if fit.k == 6)
    assert adjusted_rand_score(truth, found.labels) > 0.9


def test_clusters_that_lie_apart_are_taken_as_they_are():
    rows, truth = planted(7)
    curve = find_curve(space(rows, 10), "auto", 2, 10)
    assert curve.metric == "euclidean" and curve.clear is True
    assert adjusted_rand_score(truth, curve.fits[5].labels) >= 0.99
    assert find_curve(space(rows, 3), "auto", 3, 3).metric == "euclidean"


@pytest.mark.parametrize("shape", [(25, 40), (600, 2)])
def test_what_is_too_small_to_whiten_is_taken_as_it_is(shape):
    # Whitened to one or two directions, one cloud would fall into two clusters or onto a circle.
    curve = find_curve(space(cloud(*shape), 8), "auto", 2, 8)
    assert curve.metric == "euclidean" and "too few" in curve.rule


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_may_have_very_different_sizes(seed):
    # They bend the curve twice, so there may be no clear elbow, but they are stable.
    rows = np.random.default_rng(seed).standard_normal((900, 32)).astype(np.float32)
    rows += 5 * np.eye(4, 32, dtype=np.float32)[np.arange(900) % 4]
    rows[-60:] *= 0.05
    curve = find_curve(space(rows, 8), "auto", 2, 8)
    assert curve.metric == "euclidean"
    assert curve.clear or "samples" in curve.rule


def tables():
    """Clusters, one cloud, clusters of uneven sizes, and a cloud with a borderline group."""
    random = np.random.default_rng(3)
    border = random.standard_normal((240, 12)).astype(np.float32)
    border[:80, 0] += 3.3
    uneven = random.standard_normal((240, 12)).astype(np.float32)
    uneven[-20:, :3] += 7
    return {
        "apart": planted(4, size=60, d=12)[0],
        "cloud": cloud(240, 12),
        "uneven": uneven,
        "edge": border,
    }


@pytest.mark.slow
def test_ten_seeds_choose_the_same_metric():
    for name, rows in tables().items():
        curves = [find_curve(space(rows, 4), "auto", 2, 4, random_state=seed) for seed in range(10)]
        assert len({(curve.metric, curve.rule, curve.clear) for curve in curves}) == 1, name
