"""What is written is read back by our reader and by the library of the format."""

import numpy as np
import pytest
from safetensors import safe_open

from blockresearch.safetensors.dtypes import decode
from blockresearch.safetensors.reader import read_bytes, read_header
from blockresearch.safetensors.writer import Written, rounded, write_tensors

VALUES = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_blocks_of_a_tensor_are_read_back(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    tensors = {"a": Written(dtype, (6, 5)), "b": Written("F32", (5,))}
    write_tensors(path, tensors, [VALUES[:4], VALUES[4:], VALUES[0]])
    first, second = read_header(path).tensors
    raw = read_bytes(path, first.begin, first.end)
    assert np.array_equal(decode(raw, dtype).reshape(6, 5), rounded(VALUES, dtype))
    assert (first.name, second.name) == ("a", "b")
    with safe_open(path, "np") as file:
        assert np.array_equal(file.get_tensor("b"), VALUES[0])
        assert file.metadata() == {"format": "pt"}


def test_bfloat16_rounds_to_the_nearest():
    """A tie goes to the even code: 1 + 2⁻⁸ is between 1 and 1 + 2⁻⁷."""
    values = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20])
    assert rounded(values, "BF16").tolist() == [1, 1 + 2.0**-6, 1 + 2.0**-7]


@pytest.mark.parametrize("values", [[VALUES[:4]], [VALUES, VALUES]])
def test_values_must_have_the_shape(tmp_path, values):
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match=r"the values of \w do not have its shape"):
        write_tensors(path, {"a": Written("F32", (6, 5)), "b": Written("F32", (5,))}, values)
    assert not path.exists()
