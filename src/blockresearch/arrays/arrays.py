"""Formulas that run on arrays of NumPy or of torch alike.

Operators, `.T`, `.sum(axis)`, `.reshape`, `.diagonal()` and slices are those of both. What differs
is a method here: for NumPy in this module, for a device in `on_device`.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from scipy.linalg import eigvalsh

# An array of NumPy, or a tensor of torch.
Array = Any


class Arrays(Protocol):
    """Where arrays are, and what operators do not do."""

    def put(self, array: np.ndarray) -> Array:
        """An array […] of NumPy there, of the same type; not to be overwritten."""

    def get(self, array: Array) -> np.ndarray:
        """An array […] from there."""

    def double(self, array: Array) -> Array:
        """The same in float64."""

    def energy(self, array: Array, axis: int | None = None) -> np.ndarray:
        """Sums of squares along an axis of […], or of all elements, added in float64."""

    def is_finite(self, array: Array) -> bool:
        """Whether all elements are."""

    def eigenvalues(self, matrices: Iterable[Array]) -> np.ndarray:
        """The eigenvalues [count, n] of symmetric matrices [n, n] float32, to its precision."""

    def ordered(self, array: Array, keys: np.ndarray) -> Array:
        """The elements [n] of a float32 array in the order of their `keys` [n], uint64 below 2³¹,
        which are overwritten.

        Elements of one key are in the order of their bits, so the result is the same everywhere.
        """


class OnCpu:
    """Arrays of NumPy."""

    def put(self, array: np.ndarray) -> np.ndarray:
        """An array […] there; see `Arrays`."""
        return array

    def get(self, array: np.ndarray) -> np.ndarray:
        """An array […] from there; see `Arrays`."""
        return array

    def double(self, array: np.ndarray) -> np.ndarray:
        """Float64 […]; see `Arrays`."""
        return array.astype(np.float64)

    def energy(self, array: np.ndarray, axis: int | None = None) -> np.ndarray:
        """Sums […]; see `Arrays`."""
        return np.square(array, dtype=np.float64).sum(axis=axis)

    def is_finite(self, array: np.ndarray) -> bool:
        """Whether all elements […] are finite; see `Arrays`."""
        return bool(np.isfinite(array).all())

    def eigenvalues(self, matrices: Iterable[np.ndarray]) -> np.ndarray:
        """Eigenvalues [count, n]; see `Arrays`."""
        return np.stack([eigvalsh(matrix, check_finite=False) for matrix in matrices])

    def ordered(self, array: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Elements [n] in the order of `keys` [n]; see `Arrays`."""
        # Pairs of key and bits are sorted in a fraction of the time of places by keys.
        keys <<= 32
        keys |= array.reshape(-1).view(np.uint32)
        keys.sort()
        return keys.astype("<u8", copy=False).view("<u4")[::2].view("<f4")


ON_CPU = OnCpu()
