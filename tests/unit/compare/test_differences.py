"""The numbers of one pair, against plain NumPy in float64."""

import numpy as np
import pytest
from scipy.stats import entropy, wasserstein_distance

from blockresearch.compare.differences import difference as numbers
from blockresearch.compare.sides import Side, Sides
from tests.cases.checkpoints import from_bf16, to_bf16
from tests.cases.comparisons import planted


def side(w, dtype="BF16", step=100):
    return Side(lambda: (w[i : i + step] for i in range(0, len(w), step)), dtype)


def difference(base, other, rows, cols):
    return numbers(Sides(base, other, rows, cols))


def rounded(w):
    return from_bf16(to_bf16(w))


@pytest.fixture(scope="module")
def weights():
    return rounded(np.random.default_rng(0).standard_normal((320, 192)) * 0.02)


@pytest.mark.parametrize("relative", [0.1, 0.01, 0.003, 0.0008])
def test_a_planted_rank_is_found_behind_rounding(relative):
    random = np.random.default_rng(1)
    weights = rounded(random.standard_normal((1024, 640)) * 0.02)
    change = relative * np.linalg.norm(weights) * planted(random, 1024, 640, 8)
    found = difference(side(weights), side(rounded(weights + change), step=77), 1024, 640)
    assert found["delta_storage_rank"] == 8
    assert found["changed"] > 0.17


@pytest.mark.parametrize("share", [0.01, 0.15])
def test_changes_by_chance_have_no_rank(weights, share):
    random = np.random.default_rng(2)
    # One unit in the last place up or down: less energy than rounding of both sides.
    codes = to_bf16(weights)
    moved = from_bf16(
        np.where(random.random(codes.shape) < 0.5, codes + 1, codes - 1).astype("<u2")
    )
    other = np.where(random.random(weights.shape) < share, moved, weights)
    found = difference(side(weights), side(other), 320, 192)
    assert found["changed"] == pytest.approx(share, abs=0.01)
    assert found["delta_storage_rank"] == 0


def test_numbers_agree_with_numpy(weights):
    other = rounded(weights * 1.01 + np.random.default_rng(2).standard_normal((320, 192)) * 1e-4)
    found = difference(side(weights), side(other, step=33), 320, 192)
    a, b = weights.astype(np.float64), other.astype(np.float64)
    delta = b - a
    sigma = np.linalg.svd(delta, compute_uv=False)
    codes = [to_bf16(w).astype(int) for w in (weights, other)]
    ordered = [np.where(c >> 15, -(c & 0x7FFF), c) for c in codes]
    distances = np.abs(ordered[0] - ordered[1])
    exact = {
        "elements": a.size,
        "delta_norm": np.linalg.norm(delta),
        "relative_change": np.linalg.norm(delta) / np.linalg.norm(a),
        "sqnr_db": 20 * np.log10(np.linalg.norm(a) / np.linalg.norm(delta)),
        "cosine": np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b),
        "shadow_sigma": np.abs(delta).sum() / (np.abs(a).sum() + np.abs(b).sum()),
        "changed": np.mean(delta != 0),
        "sign_flips": np.sum(a * b < 0),
        "max_change": np.abs(delta).max(),
        "ulp_median": np.quantile(distances[distances > 0], 0.5, method="inverted_cdf"),
        "wasserstein": wasserstein_distance(a.ravel(), b.ravel()),
        "delta_spectral_norm": sigma[0],
        "delta_stable_rank": np.sum(sigma**2) / sigma[0] ** 2,
        "ulp_p99": np.quantile(distances[distances > 0], 0.99, method="inverted_cdf"),
        "ulp_max": distances.max(),
        "not_finite": 0,
        "delta_effective_rank": np.exp(entropy(sigma)),
        **{f"delta_energy_{k}": np.sum(sigma[:k] ** 2) / np.sum(sigma**2) for k in (8, 16, 64)},
        **{
            f"delta_k{share}": np.argmax(np.cumsum(sigma**2) >= share / 100 * np.sum(sigma**2)) + 1
            for share in (90, 95, 99)
        },
    }
    for name, value in exact.items():
        # Distances above 512 are kept to eight bits.
        bound = 0.004 if name.startswith("ulp") else 1e-6
        assert found[name] == pytest.approx(value, rel=bound), name
    place = found["max_change_row"], found["max_change_col"]
    assert place == np.unravel_index(np.abs(delta).argmax(), delta.shape)
    np.testing.assert_allclose(found["delta_singular_values"][:100], sigma[:100], rtol=1e-6)


def test_an_unchanged_matrix_has_no_change(weights):
    found = difference(side(weights), side(weights.copy(), step=7), 320, 192)
    assert found["changed"] == found["delta_norm"] == found["delta_storage_rank"] == 0
    assert found["cosine"] == pytest.approx(1, abs=1e-15)
    assert "ulp_max" not in found


def test_codes_are_compared_in_the_coarser_type(weights):
    exact = np.random.default_rng(3).standard_normal((64, 32)).astype(np.float32)
    found = difference(side(exact, "F32"), side(rounded(exact), "BF16"), 64, 32)
    assert found["compared_as"] == "BF16"
    assert found["changed"] == 0 < found["delta_norm"]
    found = difference(side(exact, "F32"), side(np.nextafter(exact, 9), "F32"), 64, 32)
    assert (found["changed"], found["ulp_max"]) == (1, 1)


def test_dequantized_values_have_no_codes(weights):
    found = difference(side(weights), side(weights + np.float32(1e-4), None), 320, 192)
    assert found["changed"] == 1 and "ulp_max" not in found
    assert found["delta_storage_rank"] is None


def test_values_that_are_not_finite_are_counted(weights):
    broken = weights.copy()
    broken[3, 4], broken[5, 6] = np.nan, np.inf
    found = difference(side(weights), side(broken), 320, 192)
    assert found["not_finite"] == 2
    assert found["delta_norm"] == 0
    assert "delta_spectral_norm" not in found


def test_signs_that_flip(weights):
    flipped = weights.copy()
    flipped[0, :5] *= -1
    assert difference(side(weights), side(flipped), 320, 192)["sign_flips"] == 5


def test_different_numbers_of_rows_are_refused(weights):
    with pytest.raises(ValueError, match="different numbers of rows"):
        difference(side(weights), side(weights[:-1]), 320, 192)
