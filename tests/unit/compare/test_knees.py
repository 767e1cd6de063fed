"""Knees of planted curves, and how often noise has one."""

import numpy as np
import pytest

from blockresearch.compare.knees import knee, knees
from blockresearch.tables.io import frame

RANDOM = np.random.default_rng(4)


def bent(x, at, before=1.0, after=0.1):
    return before * np.minimum(x, at) + after * np.maximum(x - at, 0)


def test_a_planted_knee_is_found_in_noise():
    x = np.array([0.0, 1, 2, 4, 6, 10, 20, 30])
    found = knee(x, bent(x, 6) + 0.05 * RANDOM.standard_normal(len(x)))
    assert found is not None and x[found.place] == 6
    assert found.slope_ratio == pytest.approx(0.1, abs=0.03)
    # The chord from (0, 0) to (30, 8.4) is at 1.68 where the curve is at 6.
    assert found.height == pytest.approx((6 - 1.68) / 8.4, abs=0.03)


def test_falling_and_rising_curves_have_the_same_knee():
    x = np.arange(9.0)
    up, down = knee(x, bent(x, 3)), knee(x, 5 - bent(x, 3))
    assert up is not None and down is not None
    assert (up.place, up.height) == (3, pytest.approx(down.height)) and down.place == 3


@pytest.mark.parametrize(
    "y",
    [np.zeros(9), np.arange(9.0), np.arange(9.0) ** 1.1, bent(np.arange(4.0), 1)],
    ids=["constant", "straight", "hardly bent", "four steps"],
)
def test_no_knee_without_evidence(y):
    assert knee(np.arange(len(y), dtype=float), y) is None


def test_noise_around_a_line_rarely_has_a_knee():
    x = np.arange(12.0)
    found = [knee(x, x / 11 + 0.2 * RANDOM.standard_normal(12)) for _ in range(1000)]
    assert sum(each is not None for each in found) <= 70


def test_heads_of_a_group_have_one_curve_of_k():
    x = np.arange(6)
    rows = [
        {
            **{"step": f"s{place}", "position": place, "component": "text", "layer_index": 0},
            **{"head": head, "kv_head": head // 2},
            **{f"{letter}_change_from_first": float(bent(place, 2)) for letter in "qkvo"},
        }
        for place in x
        for head in range(4)
    ]
    heads = frame(rows, "dynamics_heads")
    found = frame(knees(frame([], "dynamics"), heads), "knees")
    counts = found["metric"].str[0].value_counts().to_dict()
    assert counts == {"q": 4, "o": 4, "k": 2, "v": 2}
    assert set(found["step"]) == {"s2"} and found["kv_head"].dropna().tolist().count(1) == 2
