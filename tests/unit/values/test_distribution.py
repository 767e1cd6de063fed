import math

import numpy as np
import pytest

from blockresearch.safetensors.dtypes import codes, decode
from blockresearch.tables.schemas import QUANTILES
from blockresearch.values.distribution import SUMMARY_KEYS, Distribution


def to_bf16(values):
    bits = np.asarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def weights(rows=300, cols=257, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, cols)) * 0.02 * rng.lognormal(size=(rows, 1))).astype("f4")


STORED = {
    "BF16": to_bf16(weights()),
    "F16": weights().astype(np.float16),
    "F32": weights(),
    "F64": weights().astype(np.float64) * 1e-3,
    "F8_E4M3": np.random.default_rng(1).integers(0, 127, (300, 257)).astype(np.uint8),
    "I8": np.random.default_rng(2).integers(-128, 128, (300, 257)).astype(np.int8),
    "I32": np.random.default_rng(3).integers(-2000, 2000, (300, 257)).astype(np.int32),
    "U16": np.random.default_rng(4).integers(0, 65536, (300, 257)).astype(np.uint16),
}


def measured(dtype, stored, chunk=10007, twice=True):
    """The distribution of `stored`, read in chunks that end in the middle of rows."""
    raw = np.ascontiguousarray(stored).view(np.uint8).reshape(-1)
    distribution = Distribution(dtype, *stored.shape, 1e-6)
    step = chunk * stored.itemsize
    for start in range(0, len(raw), step):
        distribution.update(raw[start : start + step])
    if twice and distribution.needs_second_pass():
        for start in range(0, len(raw), step):
            distribution.update_second_pass(raw[start : start + step])
    return distribution


def plain(dtype, stored):
    return decode(stored, dtype, np.float64).reshape(stored.shape)


@pytest.mark.parametrize("dtype", STORED)
def test_values_agree_with_numpy_in_float64(dtype):
    stored = STORED[dtype]
    summary, w = measured(dtype, stored).summary(), plain(dtype, stored)
    deviation = w - w.mean()
    expected = {
        "numel": w.size,
        "finite_count": w.size,
        "mean": w.mean(),
        "var": w.var(),
        "std": w.std(),
        "skewness": (deviation**3).mean() / w.std() ** 3,
        "kurtosis_excess": (deviation**4).mean() / w.var() ** 2 - 3,
        "min": w.min(),
        "max": w.max(),
        "absmax": np.abs(w).max(),
        "rms": math.sqrt((w**2).mean()),
        "zero_fraction": (w == 0).mean(),
        "sparsity": (np.abs(w) <= 1e-6).mean(),
    }
    for name, value in expected.items():
        assert summary[name] == pytest.approx(value, rel=1e-10, abs=1e-12 * w.std()), name
    assert tuple(summary) == SUMMARY_KEYS
    exact = dtype != "F64"
    for name, level in QUANTILES.items():
        tolerance = 1e-12 if exact else 2**-10
        assert summary[name] == pytest.approx(np.quantile(w, level), rel=tolerance), name
    outside = (np.abs(deviation) > 3 * w.std()).mean()
    assert summary["outlier_3sigma"] == pytest.approx(outside, abs=0 if exact else 1e-4)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_code_statistics_agree_with_counting(dtype):
    stored = STORED[dtype]
    distribution, summary = measured(dtype, stored), measured(dtype, stored).summary()
    found, counts = np.unique(stored.view(np.uint16), return_counts=True)
    codes, occurrences = distribution.histogram()
    assert codes.dtype == np.uint16 and occurrences.dtype == np.int64
    assert codes.tolist() == found.tolist() and occurrences.tolist() == counts.tolist()

    def entropy(keys):
        shares = np.unique(keys, return_counts=True)[1] / stored.size
        return -(shares * np.log2(shares)).sum()

    bits, width = stored.view(np.uint16), {"BF16": 7, "F16": 10}[dtype]
    assert summary["entropy_bits"] == pytest.approx(entropy(bits))
    assert summary["entropy_sign_bits"] == pytest.approx(entropy(bits >> 15))
    assert summary["entropy_exponent_bits"] == pytest.approx(entropy((bits & 0x7FFF) >> width))
    assert summary["entropy_mantissa_bits"] == pytest.approx(entropy(bits & (2**width - 1)))
    w = plain(dtype, stored)
    assert summary["distinct_values"] == len(np.unique(w))
    assert summary["fp16_exact_fraction"] == (w.astype(np.float16) == w).mean()


def test_a_second_pass_makes_quantiles_exact():
    w = weights()
    once, twice = (measured("F32", w, twice=twice).summary() for twice in (False, True))
    for name, level in QUANTILES.items():
        assert once[name] == pytest.approx(np.quantile(w, level), rel=2**-10)
        assert twice[name] == pytest.approx(np.quantile(w.astype(np.float64), level), rel=1e-15)
    deviation = np.abs(w - w.astype(np.float64).mean())
    assert twice["outlier_3sigma"] == (deviation > 3 * once["std"]).mean()
    assert any(once[name] != twice[name] for name in QUANTILES)


def test_wide_floats_report_range_and_exponents():
    w = np.array([[1.0, -0.5, 2.0**-24, 2.0**-25], [65504.0, 65520.0, 1 + 2.0**-11, 0.0]])
    for dtype, stored in (("F32", w.astype(np.float32)), ("F64", w)):
        summary = measured(dtype, stored).summary()
        assert summary["fp16_exact_fraction"] == 5 / 8
        assert summary["entropy_sign_bits"] == pytest.approx(-(1 / 8 * -3 + 7 / 8 * np.log2(7 / 8)))
        shares = np.array([2, 1, 1, 1, 2, 1]) / 8
        assert summary["entropy_exponent_bits"] == pytest.approx(-(shares * np.log2(shares)).sum())
        assert summary["entropy_bits"] is None and summary["distinct_values"] is None


@pytest.mark.parametrize("dtype", ["BF16", "F32", "F16", "F8_E5M2"])
def test_nan_and_inf_are_counted_and_left_out(dtype):
    specials = {"BF16": (0x7FC1, 0x7F80, 0xFF80), "F16": (0x7E01, 0x7C00, 0xFC00)}
    if dtype == "F8_E5M2":
        stored = np.arange(1, 61, dtype=np.uint8).reshape(6, 10)
        specials[dtype] = (0x7F, 0x7C, 0xFC)
    else:
        stored = STORED[dtype][:6, :10].copy()
    places = [(0, 0), (2, 3), (2, 4), (5, 9)]
    nan, positive, negative = specials.get(dtype, (np.nan, np.inf, -np.inf))
    codes = stored if dtype == "F32" else stored.view(f"u{stored.itemsize}")
    for place, code in zip(places, (nan, positive, negative, nan), strict=True):
        codes[place] = code
    distribution = measured(dtype, stored, chunk=7)
    summary, w = distribution.summary(), plain(dtype, stored)
    finite = w[np.isfinite(w)]
    counted = [summary[f"{name}_count"] for name in ("finite", "nan", "posinf", "neginf")]
    assert counted == [56, 2, 1, 1] and summary["numel"] == 60
    assert summary["mean"] == pytest.approx(finite.mean(), rel=1e-12)
    assert summary["max"] == finite.max() and summary["absmax"] == np.abs(finite).max()
    norms = np.sqrt((np.where(np.isfinite(w), w, 0) ** 2).sum(axis=0))
    assert summary["col_norm_cv"] == pytest.approx(norms.std() / norms.mean(), rel=1e-9)
    assert abs(distribution.top()[0][2]) == summary["absmax"]


def test_undefined_values_are_missing():
    nothing = Distribution("F32", 0, 5, 1e-6).summary()
    assert nothing["numel"] == 0 and nothing["mean"] is None and nothing["q50"] is None
    broken = measured("BF16", np.full((4, 4), 0x7FC0, dtype=np.uint16))
    assert broken.summary()["nan_count"] == 16 and broken.summary()["mean"] is None
    assert broken.top() == []
    zeros = measured("F32", np.zeros((4, 4), dtype=np.float32)).summary()
    assert zeros["std"] == 0 and zeros["sparsity"] == 1 and zeros["q50"] == 0
    for name in ("skewness", "outlier_3sigma", "max_over_rms", "row_norm_cv"):
        assert zeros[name] is None
    vector = measured("F32", np.ones((1, 9), dtype=np.float32))
    assert vector.summary()["row_norm_cv"] is None and vector.storage_bound() is None
    assert vector.top()[0] == (0, 0, 1.0)


def test_chunks_cut_anywhere_give_the_same_bits():
    stored = STORED["BF16"]
    assert measured("BF16", stored, 17).histogram()[1].tolist() == (
        measured("BF16", stored, 77100).histogram()[1].tolist()
    )
    with pytest.raises(ValueError, match="more elements"):
        Distribution("BF16", 2, 2, 1e-6).update(np.zeros(10, dtype=np.uint8))


def test_the_storage_bound_excludes_rounding():
    rng = np.random.default_rng(5)
    w = rng.standard_normal((384, 16)) @ rng.standard_normal((16, 256)) / 100
    w[3] *= 50
    stored = to_bf16(w)
    bound = measured("BF16", stored).storage_bound()
    rounded = plain("BF16", stored)
    assert np.linalg.norm(rounded - w, 2) < bound
    assert np.count_nonzero(np.linalg.svd(rounded, compute_uv=False) > bound) == 16
    spacing = np.where(rounded == 0, 0, 2.0 ** (np.floor(np.log2(np.abs(rounded))) - 7))
    sides = [math.sqrt((spacing**2).sum(axis=axis).max() / 12) for axis in (0, 1)]
    assert bound == pytest.approx(sum(sides), rel=1e-12)


def test_subnormals_of_float16_share_one_spacing():
    stored = np.array([[2.0**-24, 3 * 2.0**-24], [2.0**-14, 2.0**-13]], dtype=np.float16)
    spacing = np.array([[1, 1], [1, 2]]) * 2.0**-24
    sides = [math.sqrt((spacing**2).sum(axis=axis).max() / 12) for axis in (0, 1)]
    assert measured("F16", stored).storage_bound() == pytest.approx(sum(sides), rel=1e-12)


def test_complex_numbers_count_by_modulus():
    z = np.array([[3 + 4j, 0], [1j, -2]], dtype=np.complex64)
    summary = measured("C64", z).summary()
    assert (summary["max"], summary["mean"], summary["zero_fraction"]) == (5.0, 2.0, 0.25)


def test_sub_byte_codes_are_counted_one_by_one():
    raw = np.random.default_rng(6).integers(0, 256, 30, dtype=np.uint8)
    for dtype in ("F4", "F6_E2M3"):
        values = decode(raw, dtype, np.float64)
        distribution = Distribution(dtype, 4, len(values) // 4, 1e-6)
        for half in (raw[:15], raw[15:]):
            distribution.update(codes(half, dtype))
        assert distribution.summary()["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert distribution.top()[0][2] == values[np.argmax(np.abs(values))]
