"""Rows and columns of a tensor: norms, largest magnitudes, rounding, and the largest values."""

import math

import numpy as np

from blockresearch.compiled import read_only
from blockresearch.safetensors.dtypes import DTYPES, FLOAT_LAYOUTS, Dtype, code_values, numbers
from blockresearch.values.loops import scan

Summary = dict[str, float | int | None]

# Number of largest values that are kept.
TOP = 16

# Bytes that one sweep keeps in the cache.
TILE_BYTES = 2**16

NO_COUNTS = np.zeros(0, dtype=np.int64)

# Columns above which rows and columns are left out: their memory would rival the tensor's.
MAX_COLUMNS = 2**22


class RowsAndColumns:
    """Sums of squares, peaks and squared spacings per row and column of a tensor [rows, cols].

    Works on float codes: those of BF16, F16, F32 and F64 as stored, types of at most 8 bits as the
    BF16 that holds them exactly, other integers as float32 or float64 and C64 as the modulus. A
    single row or column (a vector) has top values only.
    """

    def __init__(self, dtype: str, rows: int, cols: int):
        self.dtype, self.rows, self.cols = DTYPES[dtype], rows, cols
        self.code_dtype = _code_dtype(self.dtype)
        code = np.dtype(f"<u{DTYPES[self.code_dtype].bits // 8}").type
        self.form = _code_form(self.code_dtype, self.dtype.name, code)
        # F16 has a smaller exponent field than float32: its shifted bits mean w · 2⁻¹¹².
        self.scale = 2.0 ** (127 - FLOAT_LAYOUTS["F16"].bias) if dtype == "F16" else 1.0
        self.table = None
        if self.dtype.bits <= 16 and self.code_dtype != dtype:
            bits = code_values(dtype).astype(np.float32).view(np.uint32)
            self.table = bits if self.code_dtype == "F32" else (bits >> 16).astype(np.uint16)
        kept = 1 < cols <= MAX_COLUMNS
        self.row_sums, self.row_peaks = _side(rows if kept else 0, code)
        self.col_sums, self.col_peaks = _side(cols if kept else 0, code)
        self.largest = (np.zeros(TOP, dtype=code), np.zeros(TOP, dtype=np.int64))

    def update(self, codes: np.ndarray, position: int, counts: np.ndarray = NO_COUNTS) -> None:
        """Add consecutive elements [n] from `position` on: stored codes, or codes of `code_dtype`
        if the type is wider than 16 bits.

        `counts` (int64, one per code) also counts the codes, in the same sweep over memory; only
        for types whose codes are used as stored (`as_stored`).
        """
        if self.table is not None:
            codes = read_only(np.take(self.table, codes))
        sides = (self.row_sums, self.row_peaks, self.col_sums, self.col_peaks)
        tile = TILE_BYTES // codes.itemsize
        scan(codes, tile, counts, self.form, position, self.cols, sides, self.largest)

    @property
    def as_stored(self) -> bool:
        """Whether the loops work on the stored codes themselves."""
        return self.code_dtype == self.dtype.name

    def top(self) -> list[tuple[int, int, float]]:
        """The largest finite |w| > 0 as (row, col, w), largest first, ties by position."""
        found = zip(self._floats(self.largest[0]), self.largest[1], strict=True)
        return [(int(p // self.cols), int(p % self.cols), float(w)) for w, p in found if w != 0]

    def summary(self) -> Summary:
        """Of rows and columns: std / mean and max / median of the norms, max / median of the
        largest magnitudes, and how many are zero throughout."""
        summary: Summary = {}
        if self.rows < 2:
            return summary
        sides = (("row", self.row_sums, self.row_peaks), ("col", self.col_sums, self.col_peaks))
        for name, sums, codes in sides:
            if not len(codes):
                continue
            norms, peaks = np.sqrt(sums[0]), self._floats(codes)
            mean = float(norms.mean())
            if 0 < mean < math.inf:
                summary[f"{name}_norm_cv"] = float(norms.std()) / mean
            summary[f"{name}_norm_max_over_median"] = _max_over_median(norms)
            summary[f"{name}_absmax_max_over_median"] = _max_over_median(peaks)
            summary[f"zero_{name}s"] = int(np.count_nonzero(peaks == 0))
        return summary

    def storage_bound(self) -> float | None:
        """√(max_i Σ_j u²/12) + √(max_j Σ_i u²/12), u the spacing of stored values at w (0 at 0)."""
        step = self._step()
        if step is None:
            return None
        sides = (self.row_sums[1].max(), self.col_sums[1].max())
        return step * sum(math.sqrt(float(side) / 12) for side in sides)

    def rounding_norm(self) -> float | None:
        """√Σ (u/2)² over all elements, u as in `storage_bound`."""
        step = self._step()
        return None if step is None else step * math.sqrt(float(self.row_sums[1].sum())) / 2

    def _step(self) -> float | None:
        """The spacing at 1; None for a vector and for a type without fraction bits."""
        layout = FLOAT_LAYOUTS.get(self.dtype.name)
        if not layout or not layout.mantissa or self.rows < 2 or not len(self.col_peaks):
            return None
        return self.scale * 2.0**-layout.mantissa

    def _floats(self, codes: np.ndarray) -> np.ndarray:
        return numbers(codes, self.code_dtype, np.float64)


def _code_dtype(dtype: Dtype) -> str:
    if dtype.name in ("F16", "BF16", "F32"):
        return dtype.name
    if dtype.bits <= 8:
        return "BF16"
    return "F32" if dtype.bits == 16 else "F64"


def _code_form(code_dtype: str, dtype: str, code: type) -> tuple:
    """The `form` of `loops.scan` for codes of one type that hold values of another."""
    layout, bits = FLOAT_LAYOUTS[code_dtype], DTYPES[code_dtype].bits
    exponent = (2**layout.exponent - 1) << layout.mantissa
    normal = FLOAT_LAYOUTS[dtype].min_normal if dtype in FLOAT_LAYOUTS else 0.0
    word, wide = (np.uint64, 52) if bits == 64 else (np.uint32, 23)
    smallest = {
        "F64": np.float64(normal).view(np.uint64),
        "F32": np.float32(normal).view(np.uint32),
        "BF16": np.float32(normal).view(np.uint32) >> np.uint32(16),
        "F16": np.float16(normal).view(np.uint16),
    }[code_dtype]
    return (
        code(2 ** (bits - 1) - 1),
        code(exponent),
        code(exponent),
        code(smallest),
        word(wide - layout.mantissa),
    )


def _side(length: int, code: type) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((2, length)), np.zeros(length, dtype=code)


def _max_over_median(values: np.ndarray) -> float | None:
    median = float(np.median(values))
    return float(values.max()) / median if 0 < median < math.inf else None
