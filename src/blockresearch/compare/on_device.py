"""Products of the matrices of a pair on a device, in float64.

Of a matrix that is read as it lies in its file, the stored bytes are copied and decoded there
(`weights.on_device`); chosen rows of token tables are read on the CPU and copied as numbers. The
triangles of QR decompositions, which are small, are solved by LAPACK on the CPU. TF32 plays no part
in float64, and nothing here changes torch's settings.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from blockresearch.compare.products import EXTRA, PASSES, Leading, start
from blockresearch.compare.sides import Side, Sides, aligned
from blockresearch.lane import Lane
from blockresearch.spectra.on_device import singular_values
from blockresearch.weights.on_device import DeviceMatrix

Panels = Callable[[], Iterator[torch.Tensor]]


class OnDevice:
    """The products of a pair on a device; see `products.Products`."""

    def __init__(self, held: Lane, sides: Sides):
        self._rows, self._cols = sides.rows, sides.cols
        self._device, self._kind = held.device, held.kind
        self._both = [_panels(held, side) for side in sides.both]

    def delta_values(self) -> np.ndarray:
        """See `Products`: float64 [n]."""
        return self._values_of(self._deltas)

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Products`: float64 [n], [n]."""
        base, other = map(self._values_of, self._both)
        return base, other

    def leading(self, count: int) -> Leading:
        """See `Products`."""
        more = min(count + EXTRA, self._rows, self._cols)
        a, b = (_leading(panels, self._cols, more, self._device) for panels in self._both)
        inside, energy = self._inside(a[0][:, :count], a[2][:, :count])
        left, right, inner = (
            found.cpu().numpy() for found in (a[0].T @ b[0], a[2].T @ b[2], inside)
        )
        return Leading(a[1], b[1], left, right, inner, energy)

    def _values_of(self, panels: Panels) -> np.ndarray:
        return singular_values(panels, self._rows, self._cols, self._kind).values

    def _deltas(self) -> Iterator[torch.Tensor]:
        """Δ in panels [n, cols] of the wider of both types, as `Sides.deltas`."""
        base, other = self._both
        for a, b in aligned(base(), other()):
            yield b - a

    def _inside(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, float]:
        """UᵀΔV [k, k] of vectors U [rows, k], V [cols, k], and ‖Δ‖²."""
        inner = left.new_zeros((left.shape[1], right.shape[1]))
        energy, first = left.new_zeros(()), 0
        for delta in self._deltas():
            wide = delta.double()
            energy += wide.square().sum()
            inner += left[first : first + len(wide)].T @ (wide @ right)
            first += len(wide)
        return inner, float(energy)


def _panels(held: Lane, side: Side) -> Panels:
    """The rows of a side on the device, float32 or float64 [n, cols]; not to be overwritten."""
    if side.stored is not None:
        return DeviceMatrix(held, *side.stored).panels

    def copied() -> Iterator[torch.Tensor]:
        for panel in side.panels():
            number = torch.float64 if panel.dtype == np.float64 else torch.float32
            yield held.send_array(panel).view(number).reshape(panel.shape)

    return copied


def _leading(
    panels: Panels, cols: int, count: int, device: torch.device
) -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
    """The leading singular vectors and values, as `products.leading`."""
    right = torch.from_numpy(start(cols, count)).to(device).double()
    for _ in range(PASSES):
        image = torch.linalg.qr(torch.cat([panel.double() @ right for panel in panels()]))[0]
        turned, first = torch.zeros_like(right), 0
        for panel in panels():
            turned += panel.double().T @ image[first : first + len(panel)]
            first += len(panel)
        right, triangle = torch.linalg.qr(turned)
    inner, values, left = np.linalg.svd(triangle.cpu().numpy())
    u, v = (torch.from_numpy(vectors).to(device) for vectors in (left.T, inner))
    return image @ u, values, right @ v
