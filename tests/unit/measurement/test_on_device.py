"""Torch on a device gives the numbers of the CPU: here on torch's CPU device, for every type."""

from dataclasses import replace

import numpy as np
import pytest

from blockresearch.measurement import elements
from blockresearch.measurement.elements import compute, compute_values
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.settings import Settings
from blockresearch.safetensors.dtypes import DTYPES, FLOAT_LAYOUTS, nbytes, storage
from blockresearch.weights.layout import Layout, Matrix
from blockresearch.weights.reading import open_tensor
from blockresearch.weights.stored import Stored
from blockresearch.weights.weight import Weight
from tests.tools.devices import differences

torch = pytest.importorskip("torch")

CPU = Settings(1e-6)
DEVICE = replace(CPU, device="torch-cpu")

SHAPE = (168, 160)


@pytest.fixture(autouse=True)
def no_matrix_is_small(monkeypatch):
    monkeypatch.setattr(elements, "SMALL_ELEMENTS", 0)


def stored_bytes(dtype, shape, seed=0):
    """Weights of a type: normal numbers if it has a format of torch or NumPy, else any codes."""
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal(shape) * 0.02 * rng.lognormal(size=(shape[0], 1))
    if dtype == "BF16":
        return (normal.astype("f4").view("u4") >> 16).astype("u2").tobytes()
    if dtype == "F16":
        return normal.astype("f2").tobytes()
    if dtype in ("F32", "F64"):
        return normal.astype(storage(dtype)).tobytes()
    if dtype == "C64":
        return (normal + 1j * normal[::-1]).astype("c8").tobytes()
    if DTYPES[dtype].bits >= 16:
        return rng.integers(-2000, 2000, shape).astype(storage(dtype)).tobytes()
    if dtype in ("F8_E4M3", "F8_E5M2"):
        # No NaN and no infinity, which would leave values alone.
        return rng.integers(0, 0x70, shape, dtype=np.uint8).tobytes()
    if dtype.endswith("FNUZ") or dtype == "F8_E8M0":
        return rng.integers(118, 126, shape, dtype=np.uint8).tobytes()
    return rng.bytes(nbytes(dtype, shape[0] * shape[1]))


def source_of(tmp_path, dtype, raw, shape=SHAPE):
    path = tmp_path / "shard"
    path.write_bytes(b"beginning" + raw)
    stored = Stored("w", path.name, dtype, shape, 9, 9 + len(raw))
    return open_tensor({path.name: path}, Weight(stored, Layout("matrix")))


def assert_equal(found, expected):
    """Counts, extremes and places are the same; real numbers agree to 1e-9."""
    assert_same_values(found.distribution, expected.distribution)
    assert (expected.spectrum is None) == (found.spectrum is None)
    if expected.spectrum is not None:
        of, on = expected.spectrum.values, found.spectrum.values
        assert np.allclose(on, of, rtol=1e-9, atol=1e-12 * of[0])
        assert found.spectrum.refined_from == expected.spectrum.refined_from
    assert (expected.rounded is None) == (found.rounded is None)
    if expected.rounded is not None:
        assert np.array_equal(found.rounded.sample, expected.rounded.sample)
        assert_close(found.rounded.errors, expected.rounded.errors, exact="max_error")


def assert_same_values(found, expected):
    assert found.top() == expected.top()
    if expected.histogram() is not None:
        assert all(map(np.array_equal, found.histogram(), expected.histogram()))
    assert_close(found.summary(), expected.summary())
    for bound in ("storage_bound", "rounding_norm"):
        assert_close({"": getattr(found, bound)()}, {"": getattr(expected, bound)()})


def assert_close(found, expected, exact="count"):
    for name, value in expected.items():
        if isinstance(value, float) and exact not in name:
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-300, nan_ok=True), name
        else:
            assert found[name] == value, name


@pytest.mark.parametrize("dtype", sorted(set(DTYPES) - {"C64"}))
def test_every_type_has_the_numbers_of_the_cpu(tmp_path, dtype):
    source = source_of(tmp_path, dtype, stored_bytes(dtype, SHAPE))
    expected = compute(source, Matrix(*SHAPE), CPU)
    assert_equal(compute(source, Matrix(*SHAPE), DEVICE), expected)
    assert (expected.rounded is not None) == (dtype in FLOAT_LAYOUTS)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64", "C64", "F8_E5M2"])
def test_values_that_are_no_numbers_are_counted(tmp_path, dtype):
    """Random bits: NaN, infinities, subnormals, both zeros, and the ends of the range."""
    raw = np.random.default_rng(1).bytes(nbytes(dtype, 168 * 160 - 512)) + bytes(nbytes(dtype, 512))
    source = source_of(tmp_path, dtype, raw)
    assert_same_values(
        compute_values(source, Matrix(*SHAPE), DEVICE), compute_values(source, Matrix(*SHAPE), CPU)
    )


def test_equal_values_keep_their_first_places(tmp_path):
    codes = np.full(SHAPE, 0x3F80, "<u2")
    codes[5, 7] = codes[160, 3] = 0xC000
    source = source_of(tmp_path, "BF16", codes.tobytes())
    assert_equal(compute(source, Matrix(*SHAPE), DEVICE), compute(source, Matrix(*SHAPE), CPU))


@pytest.mark.parametrize("resident", [0, 2**30])
@pytest.mark.parametrize("dtype", ["BF16", "F64"])
def test_panels_and_copies_change_nothing(tmp_path, monkeypatch, resident, dtype):
    """Tall, wide and transposed matrices, and pieces whose rows lie apart, in many panels."""
    monkeypatch.setattr("blockresearch.weights.on_device.PANEL_ELEMENTS", 15_000)
    monkeypatch.setattr("blockresearch.weights.on_device.RESIDENT_BYTES", resident)
    monkeypatch.setattr("blockresearch.spectra.on_device.WIDE_BYTES", 2**18)
    monkeypatch.setattr("blockresearch.lane.STAGE_BYTES", 1000)
    source = source_of(tmp_path, dtype, stored_bytes(dtype, (320, 168)), (320, 168))
    for matrix in (
        Matrix(320, 168),
        Matrix(168, 320),
        Matrix(1, 320 * 168),
        Matrix(160, 168, steps=((80, 4 * 168), (2, 168))),
        Matrix(168, 320, steps=((168, 1),), stride=168),
        Matrix(150, 160, first=168 * 2),
    ):
        assert_equal(compute(source, matrix, DEVICE), compute(source, matrix, CPU))


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3"])
def test_panels_of_packed_types_end_on_whole_bytes(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("blockresearch.weights.on_device.PANEL_ELEMENTS", 3000)
    shape = (320, 165)
    source = source_of(tmp_path, dtype, stored_bytes(dtype, shape), shape)
    assert_equal(compute(source, Matrix(*shape), DEVICE), compute(source, Matrix(*shape), CPU))


@pytest.mark.parametrize("small", [20, 120])
def test_small_values_are_refined(tmp_path, small):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 160)))[0] for n in SHAPE)
    values = np.r_[np.linspace(2, 1, 160 - small), np.linspace(2e-4, 1e-5, small)]
    source = source_of(tmp_path, "F64", (left * values @ right.T).tobytes())
    expected = compute(source, Matrix(*SHAPE), CPU)
    assert expected.spectrum.refined_from == 160 - small
    assert_equal(compute(source, Matrix(*SHAPE), DEVICE), expected)


@pytest.mark.parametrize("mode", ["none", "rank", "sketch"])
def test_modes_of_spectra_agree(tmp_path, mode):
    shape = (530, 520)
    source = source_of(tmp_path, "BF16", stored_bytes("BF16", shape), shape)
    chosen = {"spectra": mode, "sketch_above": 0.0}
    found, expected = (
        compute(source, Matrix(*shape), replace(settings, **chosen)) for settings in (DEVICE, CPU)
    )
    assert_equal(found, expected)


def test_a_full_device_falls_back_to_the_cpu(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("blockresearch.spectra.on_device._gram", full)
    source = source_of(tmp_path, "BF16", stored_bytes("BF16", SHAPE))
    with caplog.at_level("WARNING"):
        found = compute(source, Matrix(*SHAPE), DEVICE)
    assert_equal(found, compute(source, Matrix(*SHAPE), CPU))
    assert found.spectrum.method == "gram" and "using the CPU" in caplog.text


def test_a_whole_model_has_the_tables_of_the_cpu(analyzed):
    """With experts, biases, a matrix with NaN, and tensors that are not supported."""
    expected, _ = analyzed
    folder = expected.manifest.model_path
    found = analyze_folder(folder, DEVICE, 2, "2026-01-01T00:00:00Z")
    for table in ("params", "matrices", "spectra"):
        assert not differences(getattr(found, table), getattr(expected, table)), table
