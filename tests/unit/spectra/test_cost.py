"""Predicted seconds and bytes."""

import pytest

from blockresearch.spectra.cost import predicted_bytes, predicted_seconds


def test_costs_grow_with_the_matrix():
    assert predicted_seconds(4096, 2560) == pytest.approx(predicted_seconds(2560, 4096))
    assert predicted_seconds(151936, 4096) > 10 * predicted_seconds(4096, 2560)
    assert predicted_bytes(151936, 4096) < 0.6 * 2**30
