"""The format of a rounded copy, and the loss of plain rounding in it."""

import numpy as np
import pytest

from blockresearch.compare.differences import difference
from blockresearch.compare.quantized_copy import can_be_quantized, grid_of
from blockresearch.compare.sides import Side, Sides
from tests.cases import variants
from tests.cases.checkpoints import E4M3, from_bf16, to_bf16


def stored(w):
    return from_bf16(to_bf16(w.astype(np.float32)))


def nearest(x, grid):
    grid = np.unique(grid[np.isfinite(grid)])
    return grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, x)]


def fp8(w):
    scale = np.abs(w).max() / 448
    return nearest(w / scale, E4M3.astype(np.float64)) * scale


def int8(w):
    scale = np.abs(w).max(axis=1, keepdims=True) / 127
    return np.round(w / scale) * scale


@pytest.fixture
def weights():
    return stored(np.random.default_rng(0).standard_normal((96, 512)) * 0.02)


def sides(a, b, dtype="BF16"):
    def side(w, stored_as):
        return Side(lambda: (w[i : i + 40] for i in range(0, len(w), 40)), stored_as)

    return Sides(side(a, "BF16"), side(b, dtype), *a.shape)


@pytest.mark.parametrize(
    ("name", "rounded"),
    [
        ("int4_g128_sym", variants.int4),
        ("nvfp4", variants.nvfp4),
        ("int8_channel", int8),
        ("fp8_tensor", fp8),
    ],
)
def test_a_copy_is_as_good_as_plain_rounding(weights, name, rounded):
    both = sides(weights, rounded(weights.astype(np.float64)).astype(np.float32), "F32")
    row = difference(both)
    assert can_be_quantized(row)
    found = grid_of(both, row["sqnr_db"])
    assert found["grid_format"] == name
    assert found["grid_sqnr_db"] == pytest.approx(row["sqnr_db"], abs=0.01)


def test_noise_of_the_same_size_is_no_format(weights):
    noise = np.random.default_rng(1).standard_normal(weights.shape) * 0.002
    both = sides(weights, stored(weights + noise))
    assert grid_of(both, difference(both)["sqnr_db"]) == {}


def test_a_change_of_a_dequantized_base_is_no_format(weights):
    base = stored(variants.int4(weights))
    both = sides(base, stored(variants.int4(weights * 1.1)))
    assert grid_of(both, difference(both)["sqnr_db"]) == {}
