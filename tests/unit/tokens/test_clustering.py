import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from blockresearch.tokens.clustering import Fit, cluster_rows, with_silhouettes
from blockresearch.tokens.on_device import lloyd
from blockresearch.tokens.vectors import Rows
from blockresearch.tokens.workers import Workers
from tests.unit.tokens.samples import cloud, elbow_curve, fits_of, planted


def test_curve_agrees_with_scikit_learn():
    rows = cloud()
    curve = elbow_curve(rows, 2, 12).set_index("k")
    total = ((rows.astype(float) - rows.mean(axis=0, dtype=float)) ** 2).sum()
    for k in (2, 6, 12):
        best = KMeans(k, n_init=5, random_state=0).fit(rows)
        share = 1 - best.inertia_ / total
        assert curve["explained_share"][k] >= 0.98 * share
        assert curve["explained_share"][k] == pytest.approx(1 - curve["inertia"][k] / total)


def test_the_path_of_a_sample_is_nearly_as_good(monkeypatch):
    rows = cloud(4000, 20)
    whole = fits_of(rows, 2, 9)
    monkeypatch.setattr("blockresearch.tokens.clustering.PATH_ELEMENTS", 20_000)
    sampled = fits_of(rows, 2, 9)
    for a, b in zip(whole, sampled, strict=True):
        assert len(b.labels) == 4000 and b.inertia == pytest.approx(a.inertia, rel=0.02)
    rare = np.repeat(np.eye(5, dtype=np.float32), [2000, 1000, 900, 99, 1], axis=0)
    assert fits_of(rare, 2, 9)[-1].k == 5


def test_inertia_and_silhouette_follow_the_labels():
    rows = cloud(800)
    for fit in fits_of(rows, 3, 5):
        wide = rows.astype(float)
        own = [wide[fit.labels == c] for c in range(fit.k)]
        inertia = sum(((part - part.mean(axis=0)) ** 2).sum() for part in own)
        assert fit.inertia == pytest.approx(inertia, rel=1e-6)
        assert fit.silhouette == pytest.approx(silhouette_score(wide, fit.labels), abs=1e-5)


def test_a_sample_estimates_the_silhouette(monkeypatch):
    monkeypatch.setattr("blockresearch.tokens.clustering.SILHOUETTE_ROWS", 500)
    rows, truth = planted(4, size=300, d=20)
    fit = with_silhouettes(rows, [Fit(4, truth, 1.0, 2.0)], 0)[0]
    assert fit.silhouette == pytest.approx(silhouette_score(rows, truth), abs=0.01)
    assert 0.001 < fit.silhouette_error < 0.01
    assert fit.silhouette != silhouette_score(rows, truth)


def test_the_final_fit_is_a_fixed_point():
    rows = cloud(1000)
    start = fits_of(rows, 6, 6)[0].labels
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
    assert elbow_curve(broken, 2, 5).equals(elbow_curve(rows[keep], 2, 5))


def test_a_large_table_ends_after_a_few_steps(monkeypatch):
    rows = cloud(4000, 20)
    start = fits_of(rows, 7, 7)[0].labels
    whole = cluster_rows(rows, 7, start=start)
    monkeypatch.setattr("blockresearch.tokens.clustering.SETTLED_ELEMENTS", 1000)
    few = [cluster_rows(Rows(rows), 7, start=start, workers=Workers(n)) for n in (1, 3)]
    assert few[0].inertia == pytest.approx(whole.inertia, rel=0.01)
    means = np.stack([rows[few[0].labels == c].mean(axis=0) for c in range(7)])
    np.testing.assert_allclose(few[0].centers, means, atol=1e-5)
    assert (few[0].labels == few[1].labels).all() and few[0].inertia == few[1].inertia


@pytest.mark.parametrize("distinct", [1, 2, 3, 5])
def test_few_distinct_rows_end_the_curve(distinct):
    values = np.random.default_rng(1).standard_normal((distinct, 70)).astype(np.float32) + 3
    rows = np.tile(values, (7, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = fits_of(rows, 2, 30)
        found = cluster_rows(rows, 30)
    assert fits[-1].k == distinct and fits[-1].inertia <= 1e-5 * max(fits[-1].total, 1)
    assert len(found.centers) == len(np.unique(found.labels)) == distinct


def test_tiny_tables():
    row = np.ones((1, 4), np.float32)
    assert [fit.k for fit in fits_of(row, 2, 30)] == [1]
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


def test_torch_finds_the_same_clusters():
    rows = cloud(2000)
    labels = fits_of(rows, 5, 5)[0].labels
    ours, theirs = (
        cluster_rows(rows, 5, 0, labels, Workers(device=device)) for device in ("cpu", "cpu:0")
    )
    assert theirs.inertia == pytest.approx(ours.inertia, rel=1e-5)
    assert adjusted_rand_score(ours.labels, theirs.labels) > 0.98


def test_torch_iterates_like_scikit_learn():
    rows = cloud(800, 10)
    start = rows[:4].copy()
    centers = lloyd(rows, start, 300, "cpu:0")
    whole = KMeans(4, init=start, n_init=1, tol=0, max_iter=1000).fit(rows)
    np.testing.assert_allclose(whole.cluster_centers_, centers, atol=1e-4)
    # A center far from every row keeps its place.
    far = np.vstack([start, np.full((1, 10), 1e6, np.float32)])
    assert (lloyd(rows, far, 300, "cpu:0")[4] == 1e6).all()


def test_margins_are_to_the_next_centre():
    rows = cloud(300)
    found = cluster_rows(rows.copy(), 4)
    squares = ((rows[:, None].astype(float) - found.centers[None]) ** 2).sum(axis=2)
    squares.sort(axis=1)
    np.testing.assert_allclose(found.margins, squares[:, 1] - squares[:, 0], rtol=1e-2, atol=1e-3)
