"""Exact statistics of a tensor's values, from one pass over its stored bytes.

Types of at most 16 bits have at most 65 536 codes: one integer histogram of the codes holds
everything about the values, and moments, quantiles, shares and entropies follow from it exactly, in
float64.

Wider types (F32, F64, 32- and 64-bit integers) are summed in float64: central moments of blocks,
merged by Chan's formulas (Chan, Golub & LeVeque 1983; Pébay, SAND2008-6212 for the third and
fourth), exact counts, and a histogram over sign, exponent and the leading 10 mantissa bits.
Quantiles and outlier shares come from that histogram. For F32 a second pass counts every value
of the few bins that they fall into, which makes them exact (radix selection). Without it, and for
other types, they are interpolated: an order statistic is off by less than 2⁻¹⁰ of its value
(integers below 2048 in magnitude are exact). `distinct_values` and the entropies that would need
every code are None there. C64 counts by modulus |z|.

The same pass collects norms and largest magnitudes of rows and columns, the largest values with
row and column, and a bound on the effect of rounding to the stored type (`rows_and_columns`).
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from blockresearch.compiled import read_only
from blockresearch.safetensors.dtypes import DTYPES, FLOAT_LAYOUTS, code_values, numbers, storage
from blockresearch.tables.schemas import MOMENTS, QUANTILES, VALUES
from blockresearch.values.loops import (
    chan_update,
    count_bins,
    count_codes,
    count_values,
    count_within,
    weighted_moments,
)
from blockresearch.values.rows_and_columns import TILE_BYTES, RowsAndColumns, Summary

SUMMARY_KEYS = (*MOMENTS, *VALUES)

# Mantissa bits of the bins of the fine histogram.
FINE_BITS = 10


class Distribution:
    """Accumulates the statistics of one tensor [rows, cols] from its codes in row-major order.

    `sparsity` counts the |w| up to `sparsity_threshold`. Raises KeyError if `dtype` is not a type
    of safetensors.
    """

    def __init__(self, dtype: str, rows: int, cols: int, sparsity_threshold: float):
        self.dtype, self.rows, self.cols = DTYPES[dtype], rows, cols
        self._seen = 0
        self.counted: CodeHistogram | WideValues = (
            CodeHistogram(dtype, sparsity_threshold)
            if self.dtype.bits <= 16
            else WideValues(dtype, sparsity_threshold)
        )
        self.sides = RowsAndColumns(dtype, rows, cols)

    def update(self, codes: np.ndarray) -> None:
        """Add the next elements, [n] or [rows, cols]: their codes, or numbers with these bits.

        Raises ValueError if they go beyond the end of the tensor.
        """
        chunk = self._bits(codes)
        if self._seen + len(chunk) > self.rows * self.cols:
            raise ValueError(
                f"the data has more elements than the shape {self.rows} x {self.cols}: "
                "read only the bytes of the tensor."
            )
        if isinstance(self.counted, CodeHistogram):
            self._update_narrow(self.counted, chunk)
        else:
            self._update_wide(self.counted, chunk)

    def _update_narrow(self, histogram: "CodeHistogram", chunk: np.ndarray) -> None:
        if self.sides.as_stored:
            self.sides.update(chunk, self._seen, histogram.counts)
            self._seen += len(chunk)
            return
        for tile in _tiles(chunk):
            count_codes(tile, histogram.counts)
            self.sides.update(tile, self._seen)
            self._seen += len(tile)

    def _update_wide(self, wide: "WideValues", chunk: np.ndarray) -> None:
        for tile in _tiles(chunk):
            if self.dtype.name == "F32":
                values = tile.view(np.float32)
            else:
                values = numbers(tile, self.dtype, np.float64)
            if self.dtype.kind == "complex":
                values = np.abs(values)
            values = read_only(values)
            wide.count(values)
            self.sides.update(values.view(f"<u{values.itemsize}"), self._seen)
            self._seen += len(tile)

    def needs_second_pass(self) -> bool:
        """Whether quantiles become exact only if all elements go to `update_second_pass` too."""
        return (
            isinstance(self.counted, WideValues)
            and self.dtype.name == "F32"
            and self.counted.open_bins()
        )

    def update_second_pass(self, codes: np.ndarray) -> None:
        """Add the next elements, [n] or [rows, cols], once more after `needs_second_pass`."""
        assert isinstance(self.counted, WideValues)
        self.counted.count_within_bins(self._bits(codes))

    def _bits(self, codes: np.ndarray) -> np.ndarray:
        """Codes [...] as unsigned integers [n], read-only."""
        flat = np.ascontiguousarray(codes).reshape(-1)
        return read_only(flat.view(f"<u{storage(self.dtype).itemsize}"))

    def summary(self) -> Summary:
        """All statistics by name; None if one is not defined for these values or this type."""
        return dict.fromkeys(SUMMARY_KEYS) | self.counted.summary() | self.sides.summary()

    def histogram(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Codes (uint16 [n]) that occur and counts (int64 [n]); None for types above 16 bits."""
        return self.counted.nonzero() if isinstance(self.counted, CodeHistogram) else None

    def top(self) -> list[tuple[int, int, float]]:
        """The 16 largest finite |w| > 0 as (row, col, w), largest first, ties by position."""
        return self.sides.top()

    def is_finite(self) -> bool:
        """Whether no element is NaN or infinite."""
        return self.counted.is_finite()

    def absmax(self) -> float:
        """The largest finite |w|."""
        return max((abs(value) for _, _, value in self.top()), default=0.0)

    def storage_bound(self) -> float | None:
        """√(max_i Σ_j u²/12) + √(max_j Σ_i u²/12), u the spacing of the stored type at w (0 at 0).

        An upper estimate of the spectral norm of the rounding errors of the stored type: singular
        values below it may be rounding alone. None for vectors and types without fraction bits.
        """
        return self.sides.storage_bound()

    def rounding_norm(self) -> float | None:
        """√Σ (u/2)²: the largest Frobenius norm, and so the largest spectral norm, that the errors
        of rounding to the stored type can have, however they are related. None as above."""
        return self.sides.rounding_norm()


def _tiles(chunk: np.ndarray) -> Iterator[np.ndarray]:
    step = TILE_BYTES
    return (chunk[start : start + step] for start in range(0, len(chunk), step))


class CodeHistogram:
    """Counts of the stored codes of a type of at most 16 bits."""

    def __init__(self, dtype: str, sparsity_threshold: float):
        self.dtype, self.sparsity_threshold = dtype, sparsity_threshold
        self.counts = np.zeros(2 ** DTYPES[dtype].bits, dtype=np.int64)

    def is_finite(self) -> bool:
        """Whether no element is NaN or infinite."""
        return not self.counts[~np.isfinite(code_values(self.dtype))].any()

    def nonzero(self) -> tuple[np.ndarray, np.ndarray]:
        """The codes (uint16 [n]) that occur and their counts (int64 [n])."""
        present = np.flatnonzero(self.counts)
        return present.astype(np.uint16), self.counts[present]

    def summary(self) -> Summary:
        """The statistics that follow from the counts, by name."""
        present = np.flatnonzero(self.counts)
        counts, values = self.counts[present], code_values(self.dtype)[present]
        finite = np.isfinite(values)
        summary: Summary = {
            "numel": int(counts.sum()),
            "finite_count": int(counts[finite].sum()),
            "nan_count": int(counts[np.isnan(values)].sum()),
            "posinf_count": int(counts[values == np.inf].sum()),
            "neginf_count": int(counts[values == -np.inf].sum()),
        }
        summary |= self._entropies(present, counts)
        if not finite.any():
            return summary
        order = np.argsort(values[finite], kind="stable")
        values, counts = values[finite][order], counts[finite][order]
        total = int(counts.sum())

        def share(of: np.ndarray) -> float:
            return int(counts[of].sum()) / total

        mean, *sums = weighted_moments(values, counts)
        summary |= _moments(total, mean, *sums)
        summary |= _extremes(float(values[0]), float(values[-1]), mean, sums[0] / total)
        summary |= {
            "zero_fraction": share(values == 0),
            "sparsity": share(np.abs(values) <= self.sparsity_threshold),
            "distinct_values": len(np.unique(values)),
        }
        if DTYPES[self.dtype].kind == "float":
            with np.errstate(over="ignore"):
                summary["fp16_exact_fraction"] = share(values.astype(np.float16) == values)
        std = math.sqrt(sums[0] / total)
        if std > 0:
            summary["outlier_3sigma"] = share(np.abs(values - mean) > 3 * std)
            summary["outlier_6sigma"] = share(np.abs(values - mean) > 6 * std)
        reached = np.cumsum(counts)
        return summary | _quantiles(
            total, lambda k: float(values[np.searchsorted(reached, k, side="right")])
        )

    def _entropies(self, present: np.ndarray, counts: np.ndarray) -> Summary:
        """Bits per element of the stored codes and of their fields. Source: arXiv:2504.11651."""
        summary: Summary = {"entropy_bits": _entropy(counts)}
        layout = FLOAT_LAYOUTS.get(self.dtype)
        if layout:
            fields = {
                "sign": present >> (layout.exponent + layout.mantissa),
                "exponent": (present >> layout.mantissa) & (2**layout.exponent - 1),
                "mantissa": present & (2**layout.mantissa - 1),
            }
            for name, field in fields.items():
                if getattr(layout, name):
                    summary[f"entropy_{name}_bits"] = _entropy(np.bincount(field, weights=counts))
        return summary


class WideValues:
    """Moments, counts and a fine histogram of values given as float32 (F32) or float64."""

    def __init__(self, dtype: str, sparsity_threshold: float):
        self.dtype, self.sparsity_threshold = dtype, sparsity_threshold
        self.layout = FLOAT_LAYOUTS["F32" if dtype == "F32" else "F64"]
        # Finite, NaN, +Inf, -Inf, zero, up to the sparsity threshold, exact in float16.
        self.counts = np.zeros(7, dtype=np.int64)
        # n, mean, M2, M3, M4.
        self.moments = np.zeros(5)
        self.low, self.high = math.inf, -math.inf
        # The system gives memory page by page: only the exponents that occur need any.
        self.fine = np.zeros(2 ** (1 + self.layout.exponent + FINE_BITS), dtype=np.int64)
        # Bins whose values are counted one by one (indices into `fine`), and counts by low bits.
        self.opened = np.zeros(0, dtype=np.int64)
        self.within = np.zeros((0, 0), dtype=np.int64)

    def is_finite(self) -> bool:
        """Whether no element is NaN or infinite."""
        return not self.counts[1:4].any()

    def open_bins(self) -> bool:
        """Choose the bins that decide quantiles and outlier shares; False if there are none."""
        finite = int(self.counts[0])
        if not finite:
            return False
        edges, counts, places = self._bins()
        ranks = [
            int(level * (finite - 1)) + step for level in QUANTILES.values() for step in (0, 1)
        ]
        chosen = set(np.searchsorted(np.cumsum(counts), np.minimum(ranks, finite - 1), "right"))
        _, mean, m2, _, _ = (float(moment) for moment in self.moments)
        reach = math.sqrt(m2 / finite)
        bounds = [mean + factor * reach for factor in (-6, -3, 3, 6)]
        chosen |= set(np.maximum(np.searchsorted(edges[:, 0], bounds) - 1, 0))
        self.opened = np.sort(places[sorted(chosen)])
        self.within = np.zeros((len(chosen), 2 ** (self.layout.mantissa - FINE_BITS)), np.int64)
        return True

    def count_within_bins(self, bits: np.ndarray) -> None:
        """Count the values in the chosen bins; `bits` are those of float32 (uint32 [n])."""
        slots = np.full(len(self.fine), -1, dtype=np.int8)
        slots[self.opened] = np.arange(len(self.opened))
        count_within(bits, bits.dtype.type(self.layout.mantissa - FINE_BITS), slots, self.within)

    def count(self, values: np.ndarray) -> None:
        """Add values (float32 or float64 [n])."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            values = self._without_specials(values)
            if not len(values):
                return
            low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        bits = values.view(f"<u{values.itemsize}")
        word = bits.dtype.type
        count_bins(bits, word(self.layout.mantissa - FINE_BITS), self.fine)
        low_bits = word(2 ** (self.layout.mantissa - FLOAT_LAYOUTS["F16"].mantissa) - 1)
        self.counts[0] += len(values)
        self.counts[4:] += count_values(values, bits, low_bits, self.sparsity_threshold)
        chan_update(values, self.moments)

    def _without_specials(self, values: np.ndarray) -> np.ndarray:
        specials = (np.isnan(values), values == np.inf, values == -np.inf)
        self.counts[1:4] += [np.count_nonzero(special) for special in specials]
        return values[np.isfinite(values)]

    def summary(self) -> Summary:
        """The statistics that follow from moments, counts and bins, by name."""
        finite, nan, positive, negative, zeros, small, half = (int(c) for c in self.counts)
        summary: Summary = {
            "numel": finite + nan + positive + negative,
            "finite_count": finite,
            "nan_count": nan,
            "posinf_count": positive,
            "neginf_count": negative,
        }
        if not finite:
            return summary
        is_float = self.dtype in FLOAT_LAYOUTS
        if is_float and finite == summary["numel"]:
            by_field = self.fine.reshape(2, -1, 1 << FINE_BITS).sum(axis=2)
            summary["entropy_sign_bits"] = _entropy(by_field.sum(axis=1))
            summary["entropy_exponent_bits"] = _entropy(by_field.sum(axis=0))
        low, high = self.low, self.high
        _, mean, m2, m3, m4 = (float(moment) for moment in self.moments)
        summary |= _moments(finite, mean, m2, m3, m4)
        summary |= _extremes(low, high, mean, m2 / finite)
        summary |= {"zero_fraction": zeros / finite, "sparsity": small / finite}
        if is_float:
            summary["fp16_exact_fraction"] = half / finite
        edges, counts, _ = self._bins()
        reached = np.concatenate(([0], np.cumsum(counts)))
        is_int = DTYPES[self.dtype].kind == "int"

        def order_statistic(k: int) -> float:
            found = int(np.searchsorted(reached, k, side="right")) - 1
            left, right = (float(edge) for edge in edges[found])
            if is_int:
                return min(left, right, key=abs)
            value = _between(left, right, (k - reached[found] + 0.5) / counts[found])
            return min(max(value, low), high)

        summary |= _quantiles(finite, order_statistic)
        std = math.sqrt(m2 / finite)
        if 0 < std < math.inf:
            for name, factor in (("outlier_3sigma", 3), ("outlier_6sigma", 6)):
                below = _count_below(edges, reached, mean - factor * std)
                above = finite - _count_below(edges, reached, mean + factor * std)
                summary[name] = (below + above) / finite
        return summary

    def _bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges [bins, 2] (float64, ascending), counts and indices into `fine` of the bins that
        contain values; every distinct value of an opened bin is a bin by itself."""
        closed = np.setdiff1d(np.flatnonzero(self.fine), self.opened, assume_unique=True)
        bin_of, low = np.nonzero(self.within)
        place = np.concatenate((closed, self.opened[bin_of]))
        counts = np.concatenate((self.fine[closed], self.within[bin_of, low]))
        word = np.dtype("u4" if self.dtype == "F32" else "u8").type
        shift = word(self.layout.mantissa - FINE_BITS)
        ends = np.stack((place, place), axis=1).astype(word) << shift
        ends[: len(closed), 1] += (word(1) << shift) - word(1)
        ends[len(closed) :] += low[:, None].astype(word)
        edges = np.sort(ends.view(f"f{ends.itemsize}").astype(np.float64), axis=1)
        order = np.lexsort((edges[:, 1], edges[:, 0]))
        return edges[order], counts[order], place[order]


def _quantiles(total: int, order_statistic: Callable[[int], float]) -> Summary:
    """Quantiles by linear interpolation between order statistics 0 … total-1 (NumPy's default)."""
    summary: Summary = {}
    for name, level in QUANTILES.items():
        place = level * (total - 1)
        low, high = int(place), min(int(place) + 1, total - 1)
        summary[name] = _between(order_statistic(low), order_statistic(high), place - low)
    return summary


def _between(low: float, high: float, share: float) -> float:
    """Linear interpolation that neither overflows nor leaves [low, high]."""
    if low == high:
        return low
    return low * (1 - share) + high * share


def _count_below(edges: np.ndarray, reached: np.ndarray, value: float) -> float:
    """Number of elements below `value`, interpolated inside its bin."""
    place = int(np.searchsorted(edges[:, 0], value, side="left")) - 1
    if place < 0:
        return 0.0
    low, high = edges[place]
    share = 1.0 if value > high or high == low else (value - low) / (high - low)
    return float(reached[place] + share * (reached[place + 1] - reached[place]))


def _entropy(counts: np.ndarray) -> float | None:
    counts = counts[counts > 0]
    if not len(counts):
        return None
    shares = counts / counts.sum()
    return float(max(0.0, -np.sum(shares * np.log2(shares))))


def _moments(total: int, mean: float, m2: float, m3: float, m4: float) -> Summary:
    var = m2 / total
    summary: Summary = {"mean": mean, "var": var, "std": math.sqrt(var)}
    if 0 < var < math.inf:
        summary["skewness"] = m3 / total / var / math.sqrt(var)
        summary["kurtosis_excess"] = m4 / total / var / var - 3.0
    return {name: v if v is not None and math.isfinite(v) else None for name, v in summary.items()}


def _extremes(low: float, high: float, mean: float, var: float) -> Summary:
    absmax = max(abs(low), abs(high))
    rms = math.hypot(mean, math.sqrt(var))
    defined = 0 < rms < math.inf
    return {
        "min": low,
        "max": high,
        "absmax": absmax,
        "rms": rms if math.isfinite(rms) else None,
        "max_over_rms": absmax / rms if defined else None,
    }
