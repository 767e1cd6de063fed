"""What jobs ask for holds what they were measured to take, and is not far above it."""

import pytest

from workflow.lib import needs


def merge_of(tensors):
    return needs.to_merge({"parts": [{"tensors": [{}] * tensors}]})


@pytest.mark.parametrize(
    ("asked", "measured_mb"),
    [
        (merge_of(89_939), 1226),
        (needs.to_cluster(151_936 * 2560), 2109),
        (needs.to_cluster(49_152 * 576), 606),
        (needs.to_cluster(30_522 * 384), 484),
        (needs.to_cluster(4128 * 160), 372),
    ],
)
def test_memory_is_predicted_within_a_factor_and_never_asked_too_small(asked, measured_mb):
    assert measured_mb < asked["mem_mb"] < 1.3 * needs.MEMORY_FACTOR * measured_mb


@pytest.mark.parametrize(
    ("elements", "seconds"), [(151_936 * 2560, 105), (49_152 * 576, 32), (30_522 * 384, 17)]
)
def test_clustering_time_is_predicted_within_a_factor_of_two(elements, seconds):
    assert seconds / 2 < needs.clustering_seconds(elements) < 2 * seconds


def test_a_further_attempt_asks_for_more():
    first, second = (needs.to_cluster(10**7, attempt) for attempt in (1, 2))
    assert second["mem_mb"] == 2 * first["mem_mb"] and second["runtime"] == 2 * first["runtime"]
