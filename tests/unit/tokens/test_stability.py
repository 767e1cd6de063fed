"""Samples and a null distinguish clusters from one cloud."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from blockresearch.tokens.stability import (
    Check,
    adjusted_rand_index,
    checks,
    is_beyond_null,
    is_found_again,
)
from blockresearch.tokens.vectors import principal_components
from blockresearch.tokens.workers import Workers
from tests.unit.tokens.samples import cloud, planted


def test_checks_tell_clusters_from_one_cloud():
    rows, _ = planted(7)
    components = principal_components(rows, 64)
    found = checks(components.project(rows), components, 9)
    assert found[7].stability > 0.99 and is_beyond_null(found[7])
    assert found[7].null_stability < 0.5 and 0 < found[7].null_stability_error < 0.3
    assert found[7].stability_error < 0.01 and 0 < found[7].sample_share_error < 0.05
    rows = cloud()
    components = principal_components(rows, 64)
    found = checks(components.project(rows), components, 9)
    assert not any(is_beyond_null(found[k]) for k in range(2, 10))
    for k in range(2, 10):
        assert found[k].sample_share == pytest.approx(found[k].null_share, rel=0.05)
    assert found == checks(components.project(rows), components, 9, workers=Workers(3))


def test_a_stability_within_its_error_is_not_enough():
    def check(stability, error):
        return Check(stability, error, 0.5, 0.01, 0.3, 0.05, 0.4, 0.01)

    assert is_found_again(check(0.85, 0.02)) and not is_found_again(check(0.85, 0.06))


def test_agreement_is_that_of_scikit_learn():
    a, b = np.random.default_rng(2).integers(0, [[4], [7]], (2, 500)).astype(np.int32)
    b[:250] = a[:250]
    assert adjusted_rand_index(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
    assert adjusted_rand_index(a, a) == adjusted_rand_index(0 * a, 0 * a) == 1.0
