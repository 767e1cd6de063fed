"""Statistics of values on a device: the accumulators of `Distribution`, filled by torch.

Counts, extremes and the largest values are those of the loops on the CPU, bit for bit. Sums are in
float64 and differ by rounding alone. Everything that is derived from the accumulators is computed
by `Distribution` itself.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch

from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.safetensors.on_device import decode, look_up, unsigned
from blockresearch.values.distribution import FINE_BITS, CodeHistogram, Distribution, WideValues
from blockresearch.values.loops import chan_merge
from blockresearch.values.rows_and_columns import TOP, RowsAndColumns

# One pass over a matrix: codes [n, cols] of whole rows from top to bottom.
Pass = Callable[[], Iterable[torch.Tensor]]


def distribution_of(
    codes: Pass, dtype: str, rows: int, cols: int, sparsity_threshold: float
) -> Distribution:
    """The distribution of a matrix [rows, cols], whose codes are read once, or twice for F32."""
    result = Distribution(dtype, rows, cols, sparsity_threshold)
    counted: _Codes | _Wide = (
        _Codes(result.counted)
        if isinstance(result.counted, CodeHistogram)
        else _Wide(result.counted, dtype)
    )
    sides = _Sides(result.sides)
    for block in codes():
        sides.add(counted.add(block))
    counted.finish()
    sides.finish()
    if isinstance(counted, _Wide) and result.needs_second_pass():
        counted.count_within_bins(codes())
    return result


class _Codes:
    """Counts of the codes of a type of at most 16 bits."""

    def __init__(self, histogram: CodeHistogram):
        self._histogram = histogram
        self._counts: torch.Tensor | None = None

    def add(self, codes: torch.Tensor) -> torch.Tensor:
        """Count codes, and return them for the sums over rows and columns."""
        size = len(self._histogram.counts)
        found = torch.bincount(unsigned(codes).reshape(-1), minlength=size)
        self._counts = found if self._counts is None else self._counts + found
        return codes

    def finish(self) -> None:
        if self._counts is not None:
            self._histogram.counts += self._counts.cpu().numpy()


class _Wide:
    """The counts, moments and bins of `WideValues`."""

    def __init__(self, wide: WideValues, dtype: str):
        self._wide, self._dtype = wide, DTYPES[dtype]
        self._number = torch.float32 if dtype == "F32" else torch.float64
        self._word = torch.int32 if dtype == "F32" else torch.int64
        self._shift = wide.layout.mantissa - FINE_BITS
        self._fine: torch.Tensor | None = None

    def add(self, codes: torch.Tensor) -> torch.Tensor:
        """Count values, and return their bits for the sums over rows and columns."""
        values = decode(codes, self._dtype, self._number)
        finite = values.reshape(-1)
        special = ~torch.isfinite(finite)
        if special.any():
            kinds = (torch.isnan(finite), finite == torch.inf, finite == -torch.inf)
            self._wide.counts[1:4] += [int(kind.sum()) for kind in kinds]
            finite = finite[~special]
        if len(finite):
            self._add_finite(finite)
        return values.view(self._word)

    def _add_finite(self, values: torch.Tensor) -> None:
        wide = self._wide
        low, high = torch.aminmax(values)
        wide.low, wide.high = min(wide.low, float(low)), max(wide.high, float(high))
        bits, size = values.view(self._word), values.abs().to(torch.float64)
        steps = size * 2.0**24
        # Mantissa bits that float16 does not have.
        rest = bits & (2 ** (wide.layout.mantissa - 10) - 1)
        half = (size >= 2.0**-14) & (size <= 65504.0) & (rest == 0)
        half |= (size < 2.0**-14) & (steps.floor() == steps)
        counts = [(size == 0).sum(), (size <= wide.sparsity_threshold).sum(), half.sum()]
        wide.counts[0] += len(values)
        wide.counts[4:] += torch.stack(counts).cpu().numpy()
        bins = (bits >> self._shift) & (len(wide.fine) - 1)
        found = torch.bincount(bins, minlength=len(wide.fine))
        self._fine = found if self._fine is None else self._fine + found
        chan_merge(wide.moments, _moments(values.to(torch.float64)))

    def finish(self) -> None:
        if self._fine is not None:
            self._wide.fine += self._fine.cpu().numpy()

    def count_within_bins(self, codes: Iterable[torch.Tensor]) -> None:
        """Count the values in the bins that were opened, see `WideValues`."""
        wide = self._wide
        slots = torch.full((len(wide.fine),), -1, dtype=torch.int64)
        slots[torch.from_numpy(wide.opened)] = torch.arange(len(wide.opened))
        found, width = torch.zeros(wide.within.size, dtype=torch.int64), wide.within.shape[1]
        for block in codes:
            slots, found = slots.to(block.device), found.to(block.device)
            bits = block.reshape(-1)
            slot = slots[(bits >> self._shift) & (len(wide.fine) - 1)]
            inside = slot >= 0
            places = slot[inside] * width + (bits[inside] & (width - 1))
            found += torch.bincount(places, minlength=len(found))
        wide.within += found.cpu().numpy().reshape(wide.within.shape)


def _moments(values: torch.Tensor) -> np.ndarray:
    """(n, mean, M2, M3, M4) of float64 values [n]."""
    count = len(values)
    mean = values.sum() / count
    deviation = values - mean
    square = deviation * deviation
    sums = (deviation.sum(), square.sum(), (square * deviation).sum(), (square * square).sum())
    mean, d1, d2, d3, d4 = torch.stack((mean, *sums)).cpu().tolist()
    # The rounded mean is off by d1 / count.
    shift = d1 / count
    m2, m3 = d2 - count * shift * shift, d3 - 3.0 * shift * d2
    return np.array([count, mean + shift, m2, m3, d4 - 4.0 * shift * d3])


class _Sides:
    """The sums, peaks and largest values of `RowsAndColumns`."""

    def __init__(self, sides: RowsAndColumns):
        self._sides = sides
        code = sides.code_dtype
        self._dtype = DTYPES[code]
        magnitude, exponent, infinity, least, _ = (int(number) for number in sides.form)
        self._magnitude, self._exponent = magnitude, exponent
        self._infinity, self._least = infinity, least
        self._table: torch.Tensor | None = None
        self._columns: list[torch.Tensor] = []
        self._seen = 0

    def add(self, codes: torch.Tensor) -> None:
        """Add the next rows: stored codes, or bits of the values of wider types."""
        if self._sides.table is not None:
            if self._table is None:
                bits = self._sides.table
                table = torch.from_numpy(bits.view(bits.dtype.str.replace("u", "i")))
                self._table = table.to(codes.device)
            codes = look_up(self._table, codes)
        size = codes & self._magnitude
        size = torch.where(size < self._infinity, size, 0)
        if len(self._sides.row_peaks):
            self._add_rows(size)
        self._keep_largest(codes.reshape(-1), size.reshape(-1))
        self._seen += len(codes)

    def _add_rows(self, size: torch.Tensor) -> None:
        sides, rows = self._sides, slice(self._seen, self._seen + len(size))
        powers = torch.where(size > 0, (size & self._exponent).clamp(min=self._least), 0)
        sums, peaks = [], size.amax(dim=0)
        for number, code in enumerate((size, powers)):
            squares = self._squares(code)
            sides.row_sums[number, rows] = squares.sum(dim=1).cpu().numpy()
            sums.append(squares.sum(dim=0))
        own = sides.row_peaks.dtype
        sides.row_peaks[rows] = size.amax(dim=1).cpu().numpy().view(own)
        if self._columns:
            sums = [a + b for a, b in zip(self._columns, sums, strict=False)]
            peaks = torch.maximum(self._columns[2], peaks)
        self._columns = [*sums, peaks]

    def _squares(self, code: torch.Tensor) -> torch.Tensor:
        """The squares of magnitudes as `loops.add_squares` adds them, float64."""
        values = decode(code, self._dtype, torch.float64) / self._sides.scale
        return values * values

    def _keep_largest(self, codes: torch.Tensor, size: torch.Tensor) -> None:
        kept, places = self._sides.largest
        least = int(kept[-1]) & self._magnitude
        if not len(size) or int(size.max()) <= least:
            return
        threshold = size.topk(min(TOP, len(size))).values[-1]
        above = torch.nonzero(size > threshold).reshape(-1)
        if int(threshold) > 0:
            equal = torch.nonzero(size == threshold).reshape(-1)
            # Of equal values the first ones count.
            above = torch.cat((above, equal[: TOP - len(above)]))
        found = codes[above].cpu().numpy().view(kept.dtype)
        where = above.cpu().numpy() + self._seen * self._sides.cols
        every, at = np.concatenate((kept, found)), np.concatenate((places, where))
        sizes = (every & kept.dtype.type(self._magnitude)).astype(np.int64)
        order = np.lexsort((at, -sizes))[:TOP]
        kept[:], places[:] = every[order], at[order]

    def finish(self) -> None:
        if self._columns:
            sides = self._sides
            for number, sums in enumerate(self._columns[:2]):
                sides.col_sums[number] = sums.cpu().numpy()
            sides.col_peaks[:] = self._columns[2].cpu().numpy().view(sides.col_peaks.dtype)
