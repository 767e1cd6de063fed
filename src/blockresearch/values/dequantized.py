"""Weights that look like dequantized k-bit codes: few different values in aligned groups.

A dequantized group of n weights with one scale has at most 2ᵏ different values, far fewer than n
weights of the same matrix drawn at random. Weights that were never quantized repeat as often in
aligned groups as in random ones (within 1 % in F16, BF16 and F32), so the ratio of the two counts
decides; zeros, which pruning puts side by side, do not count. Up to 4 bits the counts give the
number of bits and the largest group that still has so few values. More bits than that rarely
repeat in a group; there, the weights must be multiples of absmax/L of their group.

Evenly spaced rows are examined, and groups along rows only. What is read is a format of the past:
which rows were quantized together, or reordered by GPTQ's `act_order`, leaves no trace here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

# Rows of a matrix that are examined: enough for a hundred groups, and few beside the SVD.
ROWS = 8

GROUPS = (16, 32, 64, 128, 256)

# Aligned over random number of different values, at most, in codes up to 4 bits, and in others.
FEW, FEWER = 0.75, 0.98

# Share of the values that must fit a format; rounding to the stored type may spoil a few.
FITTING = 0.97

# Relative rounding of BF16, twice.
TOLERANCE = 2.0**-8

# Largest code of formats of 5 bits and more, by their bits.
LARGEST = {5: (15, 16), 6: (31, 32), 8: (127, 128, 127.5)}

E2M1 = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])

NF4 = np.array(
    [
        *(-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
    ]
)

# (bits, group, book) -> formats that store such codes; 0 is a whole row.
FORMATS = {
    (4, 16, "E2M1"): "NVFP4",
    (4, 32, "E2M1"): "MXFP4",
    (4, 64, "NF4"): "bitsandbytes NF4",
    (2, 16, "integers"): "GGUF Q2_K",
    (3, 16, "integers"): "GGUF Q3_K",
    (4, 32, "integers"): "GGUF Q4_0, Q4_1 or Q4_K, or INT4 in groups of 32",
    (4, 64, "integers"): "INT4 in groups of 64 (MLX, HQQ)",
    (4, 128, "integers"): "INT4 in groups of 128 (GPTQ, AWQ)",
    (5, 32, "integers"): "GGUF Q5_0, Q5_1 or Q5_K",
    (6, 16, "integers"): "GGUF Q6_K",
    (8, 32, "integers"): "GGUF Q8_0",
    (8, 0, "integers"): "INT8 by row",
}


@dataclass(frozen=True)
class Codes:
    """Codes that weights seem to have been: bits, length of the groups with one scale (0: a row),
    and the formats that fit."""

    bits: int
    group: int
    format: str


def sampled_rows(rows: int) -> range:
    """The rows of a matrix that are examined, evenly spaced, at most `ROWS`."""
    return range(0, rows, max(1, rows // ROWS))[:ROWS]


class RowSample:
    """Evenly spaced rows of a matrix, kept while its panels pass by."""

    def __init__(self, rows: int):
        self._step = sampled_rows(rows).step
        self._kept: list[np.ndarray] = []

    def passing(self, panels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same `panels` [r, cols], from top to bottom."""
        seen = 0
        for panel in panels:
            first = -seen % self._step
            self._kept.append(panel[first :: self._step].copy())
            seen += len(panel)
            yield panel

    def rows(self) -> np.ndarray:
        """The rows [k, cols] that passed, at most `ROWS`; [0, 0] if nothing was read."""
        return np.concatenate(self._kept)[:ROWS] if self._kept else np.empty((0, 0))


def find_codes(rows: np.ndarray) -> Codes | None:
    """The codes that finite `rows` [k, cols] look like, or None."""
    rows = rows[(rows != 0).any(axis=1)]
    if not rows.size or rows.shape[1] < GROUPS[0]:
        return None
    shuffled = np.random.default_rng(0).permutation(rows.reshape(-1)).reshape(rows.shape)
    lengths = [group for group in GROUPS if group < rows.shape[1]] + [rows.shape[1]]
    ratios, most = {}, {}
    for length in lengths:
        aligned, random = _distinct(rows, length), _distinct(shuffled, length)
        ratios[length] = float(aligned.sum() / max(int(random.sum()), 1))
        most[length] = int(aligned.max())
    if min(ratios.values()) > FEWER:
        return None
    for bits in (2, 3, 4):
        fitting = [n for n in lengths if 3 <= most[n] <= 2**bits and ratios[n] <= FEW]
        if fitting:
            return _named(bits, fitting[-1], rows)
    for bits, largest in LARGEST.items():
        for length in reversed(lengths):
            if any(_are_multiples(_groups(rows, length), number) for number in largest):
                return _named(bits, length, rows)
    if most[rows.shape[1]] <= 256 and ratios[rows.shape[1]] <= FEW:
        return _named(8, rows.shape[1], rows)
    return None


def _groups(rows: np.ndarray, length: int) -> np.ndarray:
    return rows[:, : rows.shape[1] // length * length].reshape(-1, length)


def _distinct(rows: np.ndarray, length: int) -> np.ndarray:
    """Number of different values other than 0 in each aligned group."""
    ordered = np.sort(_groups(rows, length), axis=1)
    first = np.ones_like(ordered, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return np.count_nonzero(first & (ordered != 0), axis=1)


def _are_multiples(groups: np.ndarray, largest: float) -> bool:
    """Whether the smaller half of the codes are whole, if the largest |w| of a group is one of this
    size: rounding to the stored type moves larger ones too far."""
    peaks = np.abs(groups).max(axis=1, keepdims=True)
    codes = np.abs(groups[peaks[:, 0] > 0]) / peaks[peaks[:, 0] > 0] * largest
    small = codes[(codes > 0.25) & (codes < min(largest / 2, 24))]
    off = np.abs(small - np.round(small))
    return small.size >= 64 and float(np.mean(off <= 0.02 + TOLERANCE * small)) >= FITTING


def _named(bits: int, length: int, rows: np.ndarray) -> Codes:
    group = 0 if length == rows.shape[1] else length
    groups = _groups(rows, length)
    groups = groups[np.abs(groups).max(axis=1) > 0]
    units = groups / np.abs(groups).max(axis=1, keepdims=True)
    book = "integers"
    if bits == 4 and _fits(units, NF4):
        book = "NF4"
    elif bits == 4 and all(_fits_any(unit) for unit in units):
        book = "E2M1"
    known = FORMATS.get((bits, group, book))
    return Codes(bits, group, known or f"{bits}-bit {book}")


def _fits(units: np.ndarray, book: np.ndarray) -> bool:
    gaps = np.abs(units[..., None] - book).min(axis=-1)
    return float(np.mean(gaps <= TOLERANCE)) >= FITTING


def _fits_any(unit: np.ndarray) -> bool:
    """Whether a group is made of E2M1 numbers, the largest being 6, 4 or 3."""
    return any(_fits(np.abs(unit), E2M1 / top) for top in (6, 4, 3))
