"""What operators do not do is the same for NumPy and for torch."""

import numpy as np
import pytest

from blockresearch.arrays.arrays import ON_CPU

torch = pytest.importorskip("torch")


@pytest.fixture
def there():
    from blockresearch.arrays.on_device import OnDevice

    return OnDevice(torch.device("cpu"))


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_elements_are_ordered_alike(there):
    """Equal keys, both zeros and all signs."""
    values = np.concatenate([normal(500), np.array([0.0, -0.0, 1e-40, -3e38], np.float32)])
    keys = np.random.default_rng(1).integers(0, 100, len(values), dtype=np.uint64) << 24
    here = ON_CPU.ordered(values, keys.copy())
    found = there.get(there.ordered(there.put(values), keys.copy()))
    assert (found.view(np.uint32) == here.view(np.uint32)).all()
    bits = [sorted(each.view(np.uint32).tolist()) for each in (values, here)]
    assert bits[0] == bits[1] and not np.array_equal(values, here)


def test_eigenvalues_agree(there):
    grams = [window.T @ window for window in normal(3, 40, 30)]
    found = there.eigenvalues(map(there.put, grams))
    exact = np.linalg.eigvalsh(np.array(grams, np.float64))
    assert np.allclose(found, exact, atol=1e-12)
    assert np.allclose(found, ON_CPU.eigenvalues(grams), rtol=0, atol=2e-5 * exact.max())


def test_sums_of_squares_and_checks_agree(there):
    values = 1e20 * normal(40, 30)
    for axis in (None, 0, 1):
        found = there.energy(there.put(values), axis)
        assert np.allclose(found, ON_CPU.energy(values, axis), rtol=1e-14)
    assert np.isfinite(found).all(), "float32 would be infinite"
    values[3, 4] = np.nan
    for arrays in (there, ON_CPU):
        assert not arrays.is_finite(arrays.put(values)) and arrays.is_finite(arrays.put(values[:3]))
