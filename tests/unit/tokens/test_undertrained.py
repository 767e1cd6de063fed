"""Likeness to rows that were never trained."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from blockresearch.tokens.geometry import geometry
from blockresearch.tokens.undertrained import MAGIKARP, magikarp_indicators, untrained_scores
from tests.unit.tokens.samples import untrained_sample


@pytest.mark.parametrize("tied_like", [True, False])
@pytest.mark.parametrize("group", range(3))
def test_any_kind_of_reference_finds_untrained_rows(tied_like, group):
    rows, known = untrained_sample(tied_like)
    masks = [np.zeros(len(rows), bool) for _ in range(3)]
    masks[group] = known
    found = untrained_scores(geometry(rows), *masks)
    assert (found.reference == known).all() and found.held_out > 0.95
    others = np.flatnonzero(~known)
    top = others[np.argsort(-found.scores[others])[:30]]
    assert (np.sort(top) == np.arange(len(rows) - 59, len(rows), 2)).all()


def test_unnamed_rows_of_zeros_are_no_reference():
    rows, control = untrained_sample()
    rows[:20] = 0
    padding = np.arange(len(rows)) < 20
    nobody = np.zeros(len(rows), bool)
    found = untrained_scores(geometry(rows), nobody, padding, control)
    assert (found.reference == control).all() and found.held_out > 0.95
    # Some rows that were left untrained are better examples than filled ones, and than none these.
    both = untrained_scores(geometry(rows), nobody, padding | control, nobody)
    assert (both.reference == control).all()
    alone = untrained_scores(geometry(rows), nobody, padding, nobody)
    assert (alone.reference == padding).all() and alone.held_out is None
    assert "rows of zeros" in alone.method


def test_control_tokens_that_differ_are_no_reference():
    rows, _ = untrained_sample()
    nobody = np.zeros(len(rows), bool)
    control = nobody.copy()
    control[:8] = True
    found = untrained_scores(geometry(rows), nobody, nobody, control)
    assert not found.reference.any() and found.held_out is None and "weak" in found.method


def test_the_leading_direction_is_a_singular_vector():
    rows = np.random.default_rng(2).standard_normal((300, 12)).astype(np.float32) + 1
    first = np.linalg.svd(rows.astype(float), full_matrices=False)[2][0]
    assert abs(geometry(rows).leading @ first) == pytest.approx(1, abs=1e-9)


def test_published_indicators_are_reproduced():
    """By the formulas of magikarp/utils.py, in scikit-learn and plain NumPy."""
    rows, known = untrained_sample()
    rows[3] = 0
    mat = rows.astype(float)
    pc = PCA(n_components=1).fit(mat).components_[0]

    def cosine_distance(mat, v):
        lengths = np.linalg.norm(mat, axis=1) * np.linalg.norm(v)
        return 1 - mat @ v / lengths.clip(min=1e-6)

    without_pc, centered = mat - np.outer(mat @ pc, pc), mat - mat.mean(axis=0)
    wanted = [cosine_distance(x, x[known].mean(axis=0)) for x in (mat, centered, without_pc)]
    wanted.append(np.linalg.norm(mat - mat[known].mean(axis=0), axis=1))
    nobody = known & False
    seen = geometry(rows)
    found = magikarp_indicators(seen, untrained_scores(seen, known, nobody, nobody))
    assert tuple(found) == MAGIKARP
    for values, one in zip(wanted, found.values(), strict=True):
        assert one == pytest.approx(values, abs=2e-6)
    assert magikarp_indicators(seen, untrained_scores(seen, nobody, nobody, nobody)) == {}


def test_chance_does_not_choose_the_indicator():
    rows, known = untrained_sample()
    nobody = np.zeros(len(rows), bool)
    # Nearly alike indicators: the cosine, unless the other is set.
    assert untrained_scores(geometry(rows), known, nobody, nobody).indicator == "cosine"
    assert (
        untrained_scores(geometry(rows), known, nobody, nobody, "distance").indicator == "distance"
    )
