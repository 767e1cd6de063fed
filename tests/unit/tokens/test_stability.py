"""Clusters are told from one cloud by samples and by a null."""

import pytest

from blockresearch.tokens.stability import checks, is_beyond_null
from blockresearch.tokens.vectors import principal_components
from tests.unit.tokens.samples import cloud, planted


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
