"""Rounding errors on a device: every format's function `errors` for many groups at once.

Each operation is that of the loops on the CPU, in float32 and in the same order, so that the
largest errors are equal bit for bit. Torch divides by a number of Python by multiplying with its
reciprocal, which is not the same; so constants are tensors (`Groups.number`).
"""

import math
from collections.abc import Callable, Iterable
from importlib import import_module

import numpy as np
import torch

from blockresearch.tables.schemas import LOW_BIT_FORMATS, ROUNDING
from blockresearch.values.rounding import formats
from blockresearch.values.rounding.errors import (
    FLUSH_AFTER,
    TINY,
    Scale,
)
from blockresearch.values.rounding.grids import BLOCK, E2M1_MAX, E4M3_MAX, GROUP

# Bits of the exponent of a float32, and what they are for 1.
EXPONENT, ONE = 0x7F800000, 0x3F800000


def rounding_errors(panels: Iterable[torch.Tensor], absmax: float) -> dict[str, float | None]:
    """The numbers of `errors.rounding_errors` for panels on a device, float32 or float64 [r, cols].

    Memory: about 40 bytes for every weight of a panel.
    """
    if not 0 < absmax < math.inf:
        return dict.fromkeys(ROUNDING)
    scale, sums = Scale(absmax), _Sums()
    rest: tuple[torch.Tensor, ...] = ()
    for panel in panels:
        parts = _groups(panel, scale)
        if rest:
            parts = tuple(torch.cat(pair) for pair in zip(rest, parts, strict=True))
        whole = len(parts[0]) // FLUSH_AFTER * FLUSH_AFTER
        sums.add(tuple(part[:whole] for part in parts), FLUSH_AFTER, scale)
        rest = tuple(part[whole:].clone() for part in parts)
    if rest:
        sums.add(rest, len(rest[0]), scale)
    found = sums.totals()
    return scale.summary(found.pop("")[0], found)


def _groups(panel: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, ...]:
    """Scaled groups of a panel in order: their weights [g, 128], the largest |w| of each block
    [g, 8] and of each row [g, 1]. Tiny groups are left out, see `TINY`."""
    wide = panel.to(torch.float64) if scale.is_wide else panel
    scaled = (wide * scale.factor).to(torch.float32)
    # Every format represents the zeros after a short group exactly.
    padded = torch.nn.functional.pad(scaled, (0, -panel.shape[1] % GROUP))
    values = padded.reshape(-1, GROUP)
    blocks = values.abs().unflatten(1, (-1, BLOCK)).amax(dim=2)
    peaks = blocks.amax(dim=1)
    per_row = padded.shape[1] // GROUP
    rows = peaks.reshape(-1, per_row).amax(dim=1).repeat_interleave(per_row)[:, None]
    kept = peaks >= float(TINY)
    if not kept.all():
        values, blocks, rows = values[kept], blocks[kept], rows[kept]
    return values, blocks, rows


class _Sums:
    """Sum of squared errors and largest error of every format; "" stands for the weights."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._largest: dict[str, torch.Tensor] = {}

    def add(self, parts: tuple[torch.Tensor, ...], run: int, scale: Scale) -> None:
        """Add groups. Squares of `run` groups in a row are added in float32, as on the CPU."""
        if not len(parts[0]):
            return
        # [run, n / run, ...]: what is added one after the other lies in separate slices.
        values, blocks, rows = (
            part.reshape(-1, run, part.shape[1]).transpose(0, 1).contiguous() for part in parts
        )
        matrix_peak = torch.full_like(values[0, 0, :1], float(scale.matrix_peak))
        groups = Groups(values, blocks, rows, matrix_peak)
        for name, errors in ERRORS.items():
            found = errors(groups)
            self._keep(name, found)
            squares = found * found
            total = squares[0]
            for others in squares[1:]:
                total += others
            added = total.to(torch.float64).sum(dim=0)
            self._sums[name] = self._sums[name] + added if name in self._sums else added

    def _keep(self, name: str, errors: torch.Tensor) -> None:
        largest = errors.abs().amax()
        if name in self._largest:
            largest = torch.maximum(largest, self._largest[name])
        self._largest[name] = largest

    def totals(self) -> dict[str, tuple[float, float]]:
        """The sum of all squared errors and the largest error by format."""
        if not self._sums:
            return dict.fromkeys(ERRORS, (0.0, 0.0))
        sums = torch.stack([self._sums[name] for name in ERRORS]).cpu().tolist()
        largest = torch.stack([self._largest[name] for name in ERRORS]).cpu().tolist()
        return {name: (math.fsum(sums[place]), largest[place]) for place, name in enumerate(ERRORS)}


def power_below(size: torch.Tensor) -> torch.Tensor:
    """The power of two at or below a float32 ≥ 0; 0 below the smallest normal number."""
    return (size.view(torch.int32) & EXPONENT).view(torch.float32)


def _rounded(size: torch.Tensor, least: float, steps: float, largest: float) -> torch.Tensor:
    power = power_below(size).clamp(min=least)
    reciprocal = (2 * ONE - power.view(torch.int32)).view(torch.float32)
    rounded = (size * reciprocal * steps).round() * power * (1 / steps)
    return rounded.clamp(max=largest)


def rounded_e4m3(size: torch.Tensor) -> torch.Tensor:
    """|x| rounded to the nearest E4M3 number, see `grids`."""
    return _rounded(size, 2.0**-6, 8.0, float(E4M3_MAX))


def rounded_e2m1(size: torch.Tensor) -> torch.Tensor:
    """|x| rounded to the nearest E2M1 number, see `grids`."""
    return _rounded(size, 1.0, 2.0, float(E2M1_MAX))


class Groups:
    """Groups of weights; every tensor is float32 [..., n], see `grids.Group`.

    values [..., 128], block_peaks [..., 8], peak, row_peak [..., 1], matrix_peak [1]
    """

    def __init__(
        self,
        values: torch.Tensor,
        block_peaks: torch.Tensor,
        row_peak: torch.Tensor,
        matrix_peak: torch.Tensor,
    ):
        self.values, self.block_peaks = values, block_peaks
        self.peak = block_peaks.amax(dim=-1, keepdim=True)
        self.row_peak, self.matrix_peak = row_peak, matrix_peak

    def number(self, value: float) -> torch.Tensor:
        """A float32 on the device; filled there, because a copy would wait for all work before."""
        return torch.full((), float(value), dtype=torch.float32, device=self.values.device)

    def peaks_of(self, length: int) -> torch.Tensor:
        """The largest |w| of each `length` weights, [..., 128 / length]."""
        blocks = self.block_peaks.unflatten(-1, (GROUP // length, length // BLOCK))
        return blocks.amax(dim=-1)

    def spread(self, scales: torch.Tensor) -> torch.Tensor:
        """Scales of equally long parts of a group [..., n] for each of its weights [..., 128]."""
        return scales.repeat_interleave(GROUP // scales.shape[-1], dim=-1)

    def chosen(self, table: np.ndarray, places: torch.Tensor) -> torch.Tensor:
        """The entries of a table (float32 [n]) at integer places [...]."""
        return torch.take(torch.from_numpy(table).to(places.device), places.long())

    def integer_errors(self, scale: torch.Tensor, low, high) -> torch.Tensor:
        """Rounding to integers from `low` to `high` (numbers or tensors) times `scale`."""
        code = (self.values * (self.number(1) / scale)).round().clamp(low, high)
        return self.values - code * scale

    def e4m3_errors(self, scale: torch.Tensor) -> torch.Tensor:
        """Rounding to E4M3 numbers times `scale`."""
        size = self.values.abs()
        return size - rounded_e4m3(size * (self.number(1) / scale)) * scale

    power_below = staticmethod(power_below)

    rounded_e4m3 = staticmethod(rounded_e4m3)

    def e2m1_errors(self, scales: torch.Tensor) -> torch.Tensor:
        """Rounding to E2M1 numbers times `scales` [..., 128], which may be 0."""
        inverse = torch.where(scales > 0, self.number(1) / scales, 0)
        size = self.values.abs()
        return size - rounded_e2m1(size * inverse) * scales


# The weights themselves are the errors if every weight is rounded to 0.
ERRORS: dict[str, Callable[[Groups], torch.Tensor]] = {"": lambda groups: groups.values} | {
    name: import_module(f"{formats.__name__}.{name}").errors for name in LOW_BIT_FORMATS
}
