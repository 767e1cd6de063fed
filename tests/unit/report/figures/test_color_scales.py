"""Colors of numbers: around a median, or along the values."""

import pytest

from blockresearch.report.figures.color_scales import (
    ALONG,
    AROUND,
    along,
    around,
    color_at,
    deviation,
)

RATIO, DECIBEL = {"scale": "ratio", "end": 1.5}, {"scale": "difference", "end": 3}


def test_deviations_are_relative_to_the_median():
    assert deviation(2.0, 1.0, RATIO) == pytest.approx(2 / 3)
    assert deviation(0.0, 1.0, RATIO) is None and deviation(None, 1.0, DECIBEL) is None
    assert deviation(15.0, 18.0, DECIBEL) == -1 and deviation(1.0, 18.0, DECIBEL) == -1
    assert color_at(0) == AROUND[0] and color_at(1) == AROUND[-1]
    assert [label for _, label in around(RATIO).stops][1:4] == ["÷ 1.7", "median", "× 1.7"]


def test_values_are_colored_by_their_logarithm():
    scale = along(RATIO, [0.01, None, 0.0, 1.0])
    colors = [scale.color(value, None) for value in (0.01, 0.1, 1.0)]
    assert colors == [ALONG[0], ALONG[4], ALONG[-1]]
    assert scale.color(0.0, None) is scale.color(None, None) is None
    assert [label for _, label in scale.stops][::2] == ["0.01", "0.1", "1"]


def test_nearly_equal_values_get_nearly_equal_colors():
    scale = along(RATIO | {"span": 2.0}, [0.0100, 0.0101])
    assert {scale.color(value, None) for value in (0.0100, 0.0101)} == {ALONG[4]}
    shares = along(DECIBEL | {"span": 0.01}, [0.9999, 1.0])
    assert [label for _, label in shares.stops][::4] == ["0.99", "1"]
    # Without any value, and with one, there is a scale, too.
    assert along(RATIO, []).stops and along(DECIBEL, [2.0]).color(2.0, None) == ALONG[4]
