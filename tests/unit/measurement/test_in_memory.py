import doctest

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from blockresearch.measurement import in_memory
from blockresearch.measurement.in_memory import measure
from tests.conftest import ROOT

RANDOM = np.random.default_rng(0)


def test_a_matrix_equals_lapack():
    array = RANDOM.normal(size=(30, 20))
    found = measure(array)
    exact = np.linalg.svd(array, compute_uv=False)
    assert np.allclose(found.singular_values, exact, rtol=1e-12)
    assert found["rows"] == 30 and found["cols"] == 20 and found["dtype"] == "F64"
    assert found["stable_rank"] == pytest.approx((exact**2).sum() / exact[0] ** 2)
    assert found["std"] == pytest.approx(array.std())


def test_every_kind_of_array_gives_the_same(tmp_path):
    """NumPy, torch (also a transposed view), a slice of a file."""
    plain = RANDOM.normal(size=(16, 24)).astype(np.float16)
    save_file({"a": plain}, tmp_path / "a.safetensors")
    tensor = torch.from_numpy(plain)
    expected = measure(plain)
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        for same in (tensor, tensor.T.contiguous().T, file.get_slice("a")):
            found = measure(same)
            assert found.statistics.equals(expected.statistics)
            assert np.array_equal(found.singular_values, expected.singular_values)


def test_types_beyond_numpy_keep_their_codes():
    found = measure(torch.tensor([[1.0, 448.0], [-0.5, 2.0]]).to(torch.float8_e4m3fn))
    assert found["dtype"] == "F8_E4M3" and found["absmax"] == 448
    assert measure(torch.eye(3, dtype=torch.bfloat16))["dtype"] == "BF16"


def test_byte_order_is_that_of_files():
    array = RANDOM.normal(size=(5, 4)).astype(np.float32)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert measure(swapped).statistics.equals(measure(array).statistics)


def test_a_vector_has_values_and_no_spectrum():
    found = measure(np.array([1, 1, 2], np.float16))
    assert found.singular_values.size == 0 and "rank" not in found.statistics.dropna()
    assert found.histogram.to_dict("list") == {"value": [1.0, 2.0], "count": [2, 1]}


def test_a_nan_leaves_no_spectrum():
    found = measure(np.array([[1.0, np.nan], [0.0, 1.0]]))
    assert found["nan_count"] == 1 and found.singular_values.size == 0


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        ([1.0], TypeError, "cannot measure list"),
        (np.zeros(3, complex), TypeError, "elements of type complex128"),
        (np.zeros((2, 2, 2)), ValueError, "pass a matrix or a vector"),
        (np.zeros((0, 3)), ValueError, "with elements"),
    ],
)
def test_what_is_no_matrix_is_refused(array, error, message):
    with pytest.raises(error, match=message):
        measure(array)


def test_an_unknown_spectrum_is_refused():
    with pytest.raises(ValueError, match="choose one of full, rank"):
        measure(np.eye(2), spectra="all")


def test_examples_of_the_manual_are_right():
    manual = doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False)
    docstring = doctest.testmod(in_memory)
    assert manual.attempted >= 3 and docstring.attempted >= 3
    assert not manual.failed and not docstring.failed
