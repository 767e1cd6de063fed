"""What changed between two matched matrices: Δ = other - base, element by element.

Both sides are read in panels and never held as a whole; Δ is computed in float64 (for the spectrum
rounded to float32, unless a side has 64 bits). If the stored types differ, codes are compared after
both sides are rounded to the coarser type. Elements that are not finite on both sides are counted
and left out of every sum; a matrix that has any has no spectrum.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blockresearch.compare.loops import add_products, add_squared_steps, count_distances
from blockresearch.compare.products import computed
from blockresearch.compare.sides import Sides, aligned
from blockresearch.compiled import read_only
from blockresearch.safetensors.dtypes import DTYPES, FLOAT_LAYOUTS
from blockresearch.spectra.metrics import Rounding, ranks_and_noise

Row = dict[str, Any]

# Types whose codes are compared: the step from a code to the next is a unit in the last place.
CODED = ("BF16", "F16", "F32")

# A distance of codes is kept with the eight leading bits after its first one: exact below 512.
DISTANCE_SHIFT = 15

TOP_DIRECTIONS = (8, 16, 64)

# Bits of the exponent in the types of panels, and the type of their codes.
EXPONENTS = {
    "float32": (0x7F80_0000, np.uint32),
    "float64": (0x7FF0_0000_0000_0000, np.uint64),
}

SPECTRAL = {
    "spectral_norm": "delta_spectral_norm",
    "stable_rank": "delta_stable_rank",
    "effective_rank_sigma": "delta_effective_rank",
    "k90": "delta_k90",
    "k95": "delta_k95",
    "k99": "delta_k99",
    "storage_rank": "delta_storage_rank",
    "mp_ks": "delta_mp_ks",
    "spikes": "delta_spikes",
}


@dataclass
class _Sums:
    """What one pass over both sides adds up; arrays as in `loops`."""

    row_changes: np.ndarray
    columns: np.ndarray
    totals: np.ndarray = field(default_factory=lambda: np.zeros(8))
    explained_by_rows: float = 0.0
    elements: int = 0
    not_finite: int = 0
    changed: int = 0
    largest: float = 0.0
    place: tuple[int, int] | None = None
    distances: np.ndarray = field(default_factory=lambda: np.zeros(2**16, np.int64))
    histograms: np.ndarray = field(default_factory=lambda: np.zeros((2, 2**16), np.int64))


def difference(sides: Sides, spectrum: bool = True) -> Row:
    """The numbers of a pair of matrices, by the names of the table differences.

    Without `spectrum` (values such as norms) everything computed from singular values is missing.
    Raises ValueError if a side has another number of rows.
    """
    base, other, rows, cols = sides.base, sides.other, sides.rows, sides.cols
    coarse = _coarser(base.dtype, other.dtype)
    sums = _Sums(np.zeros(rows), np.zeros((4, cols)))
    row_steps, col_steps = np.zeros(rows), np.zeros(cols)
    step, other_step = _step_of(base.dtype), _step_of(other.dtype)
    has_steps = step is not None and other_step is not None
    first = 0
    for a, b in aligned(base.panels(), other.panels()):
        if first + len(a) > rows:
            raise ValueError(f"a side has more than the {rows} rows of the matrix.")
        _add(sums, a, b, first, coarse)
        if step is not None and other_step is not None:
            for values, own in ((a, step), (b, other_step)):
                _add_steps(values, own, row_steps[first : first + len(a)], col_steps)
        first += len(a)
    if first != rows:
        raise ValueError(f"the sides have {first} rows instead of {rows}.")
    found = _values(sums, coarse)
    if not spectrum or sums.not_finite or not sums.elements:
        return found
    rounding = None
    if has_steps:
        # In a row or column, noise has at most the energy of rounding, and at most all of Δ's.
        typical = sum(
            math.sqrt(np.minimum(steps / 12, changes).max())
            for steps, changes in ((row_steps, sums.row_changes), (col_steps, sums.columns[3]))
        )
        rounding = Rounding(typical, math.sqrt(float(row_steps.sum())) / 2)
    return found | _spectral(sides, rounding)


def _add(sums: _Sums, a: np.ndarray, b: np.ndarray, first: int, coarse: str | None) -> None:
    finite = np.isfinite(a) & np.isfinite(b)
    kept = int(np.count_nonzero(finite))
    sums.elements += kept
    if kept < a.size:
        sums.not_finite += a.size - kept
        a, b = np.where(finite, a, 0), np.where(finite, b, 0)
    wider = np.result_type(a, b)
    a, b = a.astype(wider, copy=False), b.astype(wider, copy=False)
    explained, peaks = np.empty(len(a)), np.empty(len(a))
    changes = sums.row_changes[first : first + len(a)]
    add_products(read_only(a), read_only(b), sums.columns, sums.totals, explained, changes, peaks)
    sums.explained_by_rows += float(explained.sum())
    row = int(peaks.argmax())
    if peaks[row] > sums.largest:
        sums.largest = float(peaks[row])
        sums.place = (
            first + row,
            int(np.abs(np.subtract(b[row], a[row], dtype=np.float64)).argmax()),
        )
    if coarse is None:
        sums.changed += int(np.count_nonzero(a != b))
        return
    mine, theirs = (read_only(_rounded_codes(side, coarse).ravel()) for side in (a, b))
    sign = np.uint32(2 ** (DTYPES[coarse].bits - 1))
    counted = sums.histograms[:, : 0 if coarse == "F32" else None]
    shift = np.uint32(DISTANCE_SHIFT)
    sums.changed += count_distances(mine, theirs, sign, shift, sums.distances, counted)


def _explained(products: np.ndarray) -> np.ndarray:
    """The part of Σ b² that the best factor explains; `products` are Σ a², Σ b², Σ ab [3, n]."""
    return np.divide(
        products[2] ** 2, products[0], out=np.zeros(products.shape[1]), where=products[0] > 0
    )


def _values(sums: _Sums, coarse: str | None) -> Row:
    base, other, product, delta, abs_delta, abs_sum, flips, zeroed = map(float, sums.totals)
    found: Row = {
        "elements": sums.elements,
        "not_finite": sums.not_finite,
        "delta_norm": math.sqrt(delta),
    }
    if not sums.elements:
        return found
    if base > 0:
        found["relative_change"] = math.sqrt(delta / base)
    if base > 0 and delta > 0:
        found["sqnr_db"] = 10 * math.log10(base / delta)
    if base > 0 and other > 0:
        cosine = product / math.sqrt(base) / math.sqrt(other)
        found["cosine"] = max(-1.0, min(1.0, cosine))
    if other > 0:
        for name, explained in (
            ("row_scaled_residual", sums.explained_by_rows),
            ("column_scaled_residual", float(_explained(sums.columns[:3]).sum())),
        ):
            found[name] = math.sqrt(max(0.0, 1 - explained / other))
    if abs_sum > 0:
        found["shadow_sigma"] = abs_delta / abs_sum
    found |= {
        "changed": sums.changed / sums.elements,
        "sign_flips": int(flips),
        "zeroed": zeroed / sums.elements,
        "max_change": sums.largest,
        "max_change_row": sums.place[0] if sums.place else None,
        "max_change_col": sums.place[1] if sums.place else None,
    }
    if coarse is None:
        return found
    found |= {"compared_as": coarse, **_distance_quantiles(sums.distances)}
    if coarse != "F32":
        found["wasserstein"] = _wasserstein(sums.histograms, coarse)
    return found


def _distance_quantiles(counts: np.ndarray) -> Row:
    """Median, 99 % quantile and maximum of the distances of the codes that changed."""
    changed = counts.copy()
    changed[0] = 0
    total = int(changed.sum())
    if not total:
        return {}
    reached = np.cumsum(changed)
    places = {
        "ulp_median": int(np.searchsorted(reached, 0.5 * total)),
        "ulp_p99": int(np.searchsorted(reached, 0.99 * total)),
        "ulp_max": int(np.flatnonzero(changed)[-1]),
    }
    starts = (np.arange(2**16, dtype=np.uint32) << DISTANCE_SHIFT).view(np.float32)
    return {name: int(starts[place]) for name, place in places.items()}


def _wasserstein(histograms: np.ndarray, dtype: str) -> float | None:
    """∫ |F_base - F_other| dw of the two exact distributions. Source: Vallender 1974."""
    ordered = np.arange(-(2**15), 2**15)
    values = _value_of(ordered, dtype)
    kept = np.flatnonzero((histograms.sum(axis=0) > 0) & np.isfinite(values))
    if not len(kept):
        return None
    shares = np.cumsum(histograms[:, kept] / histograms.sum(axis=1, keepdims=True), axis=1)
    gaps = np.diff(values[kept])
    return float(np.abs(shares[0] - shares[1])[:-1] @ gaps)


def _spectral(sides: Sides, rounding: Rounding | None) -> Row:
    values = computed(lambda products: products.delta_values(), sides)
    metrics = ranks_and_noise(values, sides.rows, sides.cols, rounding)
    found: Row = {name: metrics[key] for key, name in SPECTRAL.items()}
    found["delta_singular_values"] = values.tolist()
    energies = values**2
    total = float(energies.sum())
    for count in TOP_DIRECTIONS:
        if total > 0 and count < len(values):
            found[f"delta_energy_{count}"] = float(energies[:count].sum()) / total
    return found


def _coarser(base: str | None, other: str | None) -> str | None:
    """The stored type with fewer fraction bits, if the codes of both can be compared."""
    if base not in CODED or other not in CODED:
        return None
    return min((base, other), key=lambda dtype: FLOAT_LAYOUTS[dtype].mantissa)


def _rounded_codes(values: np.ndarray, dtype: str) -> np.ndarray:
    """Codes of `values`, rounded to `dtype`, uint32 of the same shape."""
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).view(np.uint16).astype(np.uint32)
    codes = values.astype(np.float32).view(np.uint32)
    # BF16: to the nearest, ties to even.
    return (codes + (0x7FFF + ((codes >> 16) & 1))) >> 16 if dtype == "BF16" else codes


def _value_of(ordered: np.ndarray, dtype: str) -> np.ndarray:
    """The values of ordered codes of a 16-bit type, float64; beyond the largest, inf or NaN."""
    sizes = np.abs(ordered).astype(np.uint32)
    with np.errstate(invalid="ignore"):
        values = (
            np.minimum(sizes, 0x7FFF).astype(np.uint16).view(np.float16).astype(np.float64)
            if dtype == "F16"
            else (sizes << 16).astype(np.uint32).view(np.float32).astype(np.float64)
        )
    return np.where(ordered < 0, -values, values)


@dataclass(frozen=True)
class _Step:
    """Spacing of a type: `share` of the power of two at or below |w|, which is at least `least`."""

    share: float
    least: float


def _step_of(dtype: str | None) -> _Step | None:
    layout = FLOAT_LAYOUTS.get(dtype or "")
    if layout is None or not layout.mantissa or DTYPES[dtype or ""].kind != "float":
        return None
    return _Step(2.0**-layout.mantissa, layout.min_normal)


def _add_steps(values: np.ndarray, step: _Step, rows: np.ndarray, cols: np.ndarray) -> None:
    """Add the squares of the spacing of stored values [n, cols] to the sums of rows and columns."""
    exponent, code = EXPONENTS[values.dtype.name]
    magnitude = code(2 ** (8 * values.itemsize - 1) - 1)
    form = magnitude, code(exponent), code(0)
    add_squared_steps(read_only(values.view(code)), form, step.share, step.least, rows, cols)
