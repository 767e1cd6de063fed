import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score

from blockresearch.tokens.clustering import (
    cluster_rows,
    lloyd_iterations,
    silhouette_scorer,
    warm_path,
)
from blockresearch.tokens.elbow import elbow, elbow_table, explains_all, is_clear
from blockresearch.tokens.metric import find_curve
from blockresearch.tokens.stability import checks, is_beyond_null
from blockresearch.tokens.vectors import (
    principal_components,
    to_unit_length,
    usable_rows,
    whitened,
)


def elbow_curve(rows, k_min, k_max, random_state=0, progress=None):
    """Table `elbow` for `rows` [n, d] with the elbow as the chosen k."""
    fits = warm_path(usable_rows(rows)[0], k_min, k_max, random_state, progress)
    return elbow_table(fits, elbow(fits) if fits else None)


def planted(clusters: int, size: int = 150, d: int = 100, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(clusters), size)
    centers = 2 * rng.standard_normal((clusters, d))
    rows = centers[truth] + rng.standard_normal((len(truth), d))
    return rows.astype(np.float32), truth


def cloud(n: int = 3000, d: int = 100, seed: int = 0):
    """Rows without clusters, more spread in some directions than in others, far from the origin."""
    rng = np.random.default_rng(seed)
    scales = 1 / np.sqrt(1 + np.arange(d))
    return (5 + rng.standard_normal((n, d)) * scales).astype(np.float32)


def test_planted_clusters_have_a_clear_elbow():
    rows, truth = planted(7)
    curve = elbow_curve(rows, 2, 20)
    assert curve.loc[curve["chosen"], "k"].tolist() == [7]
    assert is_clear(warm_path(rows, 2, 20)) is True
    found = cluster_rows(rows, 7)
    assert adjusted_rand_score(truth, found.labels) == 1.0
    assert found.inertia == pytest.approx(curve.set_index("k")["inertia"][7], rel=1e-5)


def test_one_cloud_has_no_clear_elbow():
    assert is_clear(warm_path(cloud(), 2, 15)) is False


def test_curve_agrees_with_scikit_learn():
    rows = cloud()
    curve = elbow_curve(rows, 2, 12).set_index("k")
    total = ((rows.astype(float) - rows.mean(axis=0, dtype=float)) ** 2).sum()
    for k in (2, 6, 12):
        best = KMeans(k, n_init=5, random_state=0).fit(rows)
        share = 1 - best.inertia_ / total
        assert curve["explained_share"][k] >= 0.98 * share
        assert curve["explained_share"][k] == pytest.approx(1 - curve["inertia"][k] / total)


def test_inertia_and_silhouette_follow_the_labels():
    rows = cloud(800)
    for fit in warm_path(rows, 3, 5):
        wide = rows.astype(float)
        own = [wide[fit.labels == c] for c in range(fit.k)]
        inertia = sum(((part - part.mean(axis=0)) ** 2).sum() for part in own)
        assert fit.inertia == pytest.approx(inertia, rel=1e-6)
        assert fit.silhouette == pytest.approx(silhouette_score(wide, fit.labels), abs=1e-5)


def test_a_sample_estimates_the_silhouette(monkeypatch):
    monkeypatch.setattr("blockresearch.tokens.clustering.SILHOUETTE_ROWS", 500)
    rows, truth = planted(4, size=300, d=20)
    score = silhouette_scorer(rows, 0)(truth)
    assert score == pytest.approx(silhouette_score(rows, truth), abs=0.01)
    assert score != silhouette_score(rows, truth)


def test_elbow_is_the_largest_height_over_the_chord():
    curve = elbow_curve(cloud(), 2, 12)
    k, inertia = curve["k"].to_numpy(float), curve["inertia"].to_numpy(float)
    chord = np.interp(k, k[[0, -1]], inertia[[0, -1]])
    height = (chord - inertia) / (inertia[0] - inertia[-1])
    np.testing.assert_allclose(curve["elbow_height"].to_numpy(float), height, atol=1e-12)
    assert curve["chosen"].to_numpy().argmax() == height.argmax()


def test_the_final_fit_is_a_fixed_point():
    rows = cloud(1000)
    start = warm_path(rows, 6, 6)[0].labels
    found = cluster_rows(rows, 6, start=start)
    sizes = np.bincount(found.labels)
    assert list(sizes) == sorted(sizes, reverse=True)
    apart = np.linalg.norm(rows[:, None].astype(float) - found.centers[None], axis=2)
    np.testing.assert_allclose(found.distances, apart[np.arange(1000), found.labels], rtol=1e-5)
    assert (apart.argmin(axis=1) == found.labels).all()
    assert found.inertia == pytest.approx((apart.min(axis=1) ** 2).sum(), rel=1e-6)


def test_equal_clusters_are_ordered_by_first_row():
    rows = np.repeat(np.float32([[9, 0], [0, 9], [-9, 0]]), 4, axis=0)
    assert cluster_rows(rows, 3).labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_rows_that_are_not_finite_are_left_out():
    rows, _ = planted(3, size=40)
    broken = rows.copy()
    broken[5, 3], broken[50, 0], broken[70, 1] = np.nan, -np.inf, 1e30
    keep = np.ones(len(rows), bool)
    keep[[5, 50, 70]] = False
    found, clean = cluster_rows(broken, 3), cluster_rows(rows[keep], 3)
    assert (found.labels[~keep] == -1).all() and np.isnan(found.distances[~keep]).all()
    np.testing.assert_array_equal(found.labels[keep], clean.labels)
    assert elbow_curve(broken, 2, 5).equals(elbow_curve(rows[keep], 2, 5))


@pytest.mark.parametrize("distinct", [1, 2, 3, 5])
def test_few_distinct_rows_end_the_curve(distinct):
    values = np.random.default_rng(1).standard_normal((distinct, 70)).astype(np.float32) + 3
    rows = np.tile(values, (7, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = warm_path(rows, 2, 30)
        found = cluster_rows(rows, 30)
    assert fits[-1].k == distinct and fits[-1].inertia <= 1e-5 * max(fits[-1].total, 1)
    assert len(found.centers) == len(np.unique(found.labels)) == distinct


@pytest.mark.parametrize("distinct", [3, 4, 9])
def test_few_distinct_rows_are_as_many_clusters(distinct):
    values = np.random.default_rng(distinct).standard_normal((distinct, 16)).astype(np.float32)
    rows = np.repeat(values + 2, np.arange(10, 10 + distinct), axis=0)
    fits = warm_path(rows, 2, 30)
    assert elbow(fits) == distinct and is_clear(fits)
    # As many clusters as rows explain all of any table.
    apart = warm_path(values, 2, 30)
    assert explains_all(apart) is None


def test_tiny_tables():
    row = np.ones((1, 4), np.float32)
    assert [fit.k for fit in warm_path(row, 2, 30)] == [1]
    assert elbow_curve(row, 2, 30)["chosen"].tolist() == [True]
    assert cluster_rows(row, 5).labels.tolist() == [0]
    empty = np.empty((0, 4), np.float32)
    assert len(elbow_curve(empty, 2, 30)) == 0
    assert cluster_rows(empty, 3).labels.size == 0


def test_wrong_ranges_are_refused():
    rows = cloud(10)
    with pytest.raises(ValueError, match="k_min = 5, k_max = 4"):
        elbow_curve(rows, 5, 4)
    with pytest.raises(ValueError, match="n_clusters = 0"):
        cluster_rows(rows, 0)


def test_components_agree_with_scikit_learn():
    rows = cloud(500, 30)
    ours = principal_components(rows, 3)
    theirs = PCA(3, svd_solver="full").fit(rows.astype(float))
    signs = np.sign((ours.axes.T * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.axes.T, theirs.components_ * signs[:, None], atol=1e-9)
    np.testing.assert_allclose(
        ours.variances / ours.total_variance, theirs.explained_variance_ratio_, rtol=1e-9
    )
    assert (ours.axes[np.abs(ours.axes).argmax(axis=0), range(3)] > 0).all()


def test_progress_counts_to_k_max():
    seen: list[tuple[int, int]] = []
    elbow_curve(cloud(50, 5), 2, 4, progress=lambda k, k_max: seen.append((k, k_max)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_checks_tell_clusters_from_one_cloud():
    rows, _ = planted(7)
    components = principal_components(rows, 64)
    found = checks(components.project(rows), components, 9)
    assert found[7].stability > 0.99 and is_beyond_null(found[7])
    assert found[7].null_stability < 0.5
    rows = cloud()
    components = principal_components(rows, 64)
    found = checks(components.project(rows), components, 9)
    assert not any(is_beyond_null(found[k]) for k in range(2, 10))
    for k in range(2, 10):
        assert found[k].sample_share == pytest.approx(found[k].null_share, rel=0.05)
    assert found == checks(components.project(rows), components, 9)


def test_an_elbow_that_one_cloud_has_too_is_not_clear():
    rows, _ = planted(5)
    fits = warm_path(rows, 2, 9)
    assert is_clear(fits) is True
    assert is_clear(fits, {fit.k: fit.inertia for fit in fits}) is False


def test_rows_of_length_one():
    rows = np.float32([[3, 4], [0, 0], [0, -2]])
    to_unit_length(rows)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, -1]])


def test_whitened_rows_have_no_leading_direction():
    rows = cloud(4000, 20)
    units = whitened(rows, principal_components(rows, 20))
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, atol=1e-6)
    variances = np.linalg.eigvalsh(np.cov(units.T.astype(float)))
    assert variances[-1] < 1.2 * variances[0]
    flat = np.repeat(rows[:, :1], 3, axis=1)
    assert np.isfinite(whitened(flat, principal_components(flat, 3))).all()


def frequent(seed: int = 0):
    """Six groups of directions under a continuous direction that is ten times as wide."""
    rng = np.random.default_rng(seed)
    truth = np.arange(6000) % 6
    rows = 4 * np.eye(6, 24)[truth] + rng.standard_normal((6000, 24))
    rows[:, 23] += 60 * rng.random(6000)
    return rows.astype(np.float32), truth


def test_whitening_shows_groups_a_direction_hides():
    rows, truth = frequent()
    hidden = cluster_rows(rows.copy(), 6, start=warm_path(rows, 6, 6)[0].labels)
    assert adjusted_rand_score(truth, hidden.labels) < 0.1
    curve = find_curve(rows, "auto", 2, 8)
    assert curve.metric == "whitened" and "no clear elbow" in curve.rule
    found = next(fit for fit in curve.fits if fit.k == 6)
    assert adjusted_rand_score(truth, found.labels) > 0.9


def test_clusters_that_lie_apart_are_taken_as_they_are():
    rows, truth = planted(7)
    curve = find_curve(rows, "auto", 2, 10)
    assert curve.metric == "euclidean" and curve.clear is True
    assert adjusted_rand_score(truth, curve.fits[5].labels) >= 0.99
    assert find_curve(rows, "auto", 3, 3).metric == "euclidean"


@pytest.mark.parametrize("shape", [(25, 40), (600, 2)])
def test_what_is_too_small_to_whiten_is_taken_as_it_is(shape):
    # Whitened to one or two directions, one cloud would fall into two clusters or onto a circle.
    curve = find_curve(cloud(*shape), "auto", 2, 8)
    assert curve.metric == "euclidean" and "too few" in curve.rule


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_clusters_may_have_very_different_sizes(seed):
    # They bend the curve twice, so there may be no clear elbow, but they are stable.
    rows = np.random.default_rng(seed).standard_normal((900, 32)).astype(np.float32)
    rows += 5 * np.eye(4, 32, dtype=np.float32)[np.arange(900) % 4]
    rows[-60:] *= 0.05
    curve = find_curve(rows, "auto", 2, 8)
    assert curve.metric == "euclidean"
    assert curve.clear or "samples" in curve.rule


def test_torch_finds_the_same_clusters():
    rows = cloud(2000)
    for one, two in zip(warm_path(rows, 2, 6), warm_path(rows, 2, 6, device="cpu:0"), strict=True):
        assert two.inertia == pytest.approx(one.inertia, rel=1e-3)
    labels = warm_path(rows, 5, 5)[0].labels
    ours, theirs = (cluster_rows(rows.copy(), 5, 0, labels, device) for device in ("cpu", "cpu:0"))
    assert theirs.inertia == pytest.approx(ours.inertia, rel=1e-5)
    assert adjusted_rand_score(ours.labels, theirs.labels) > 0.98


def test_torch_iterates_to_the_step_before_the_last():
    rows = cloud(800, 10)
    start = rows[:4].copy()
    centers = lloyd_iterations(rows, start, "cpu:0", 0.0)
    last = KMeans(4, init=centers, n_init=1, tol=0, max_iter=3).fit(rows)
    np.testing.assert_allclose(last.cluster_centers_, centers, atol=1e-4)
    whole = KMeans(4, init=start, n_init=1, tol=0, max_iter=1000).fit(rows)
    assert last.inertia_ == pytest.approx(whole.inertia_, rel=1e-5)
    # A center far from every row keeps its place.
    far = np.vstack([start, np.full((1, 10), 1e6, np.float32)])
    assert (lloyd_iterations(rows, far, "cpu:0", 0.0)[4] == 1e6).all()


def test_margins_are_to_the_next_centre():
    rows = cloud(300)
    found = cluster_rows(rows.copy(), 4)
    squares = ((rows[:, None].astype(float) - found.centers[None]) ** 2).sum(axis=2)
    squares.sort(axis=1)
    np.testing.assert_allclose(found.margins, squares[:, 1] - squares[:, 0], rtol=1e-2, atol=1e-3)
