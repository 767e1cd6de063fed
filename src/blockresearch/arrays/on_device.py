"""Arrays of torch on a device.

Types are those of the CPU, and nothing here changes torch's settings: products in float32 use no
reduced precision (TF32). Eigenvalues are computed in float64.
"""

from collections.abc import Iterable

import numpy as np
import torch


class OnDevice:
    """See `arrays.Arrays`."""

    def __init__(self, device: torch.device):
        self._device = device

    def put(self, array: np.ndarray) -> torch.Tensor:
        """An array […] there; see `Arrays`."""
        return torch.from_numpy(array).to(self._device)

    def get(self, array: torch.Tensor) -> np.ndarray:
        """An array […] from there; see `Arrays`."""
        return array.cpu().numpy()

    def double(self, array: torch.Tensor) -> torch.Tensor:
        """Float64 […]; see `Arrays`."""
        return array.double()

    def energy(self, array: torch.Tensor, axis: int | None = None) -> np.ndarray:
        """Sums […]; see `Arrays`."""
        return array.double().square().sum(axis).cpu().numpy()

    def is_finite(self, array: torch.Tensor) -> bool:
        """Whether all elements […] are finite; see `Arrays`."""
        return bool(torch.isfinite(array).all())

    def eigenvalues(self, matrices: Iterable[torch.Tensor]) -> np.ndarray:
        """Eigenvalues [count, n]; see `Arrays`."""
        return torch.linalg.eigvalsh(torch.stack(list(matrices)).double()).cpu().numpy()

    def ordered(self, array: torch.Tensor, keys: np.ndarray) -> torch.Tensor:
        """Elements [n] in the order of `keys` [n]; see `Arrays`."""
        pairs = self.put(keys.view(np.int64)).bitwise_left_shift_(32)
        pairs |= array.reshape(-1).view(torch.int32).to(torch.int64) & 0xFFFFFFFF
        low = pairs.sort().values & 0xFFFFFFFF
        # The bits of a sign do not fit a signed integer of 32 bits as they are.
        return torch.where(low > 0x7FFFFFFF, low - 2**32, low).to(torch.int32).view(torch.float32)
