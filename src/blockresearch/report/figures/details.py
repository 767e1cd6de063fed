"""What the page of a model shows about one matrix: its row, histogram, spectrum, largest weights.

A page contains the details of a small model. Those of a large one are in scripts beside it, CHUNK
matrices each, which the page loads when a matrix is opened: a script, other than a data file, also
loads from a folder without a server.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.report import glossary
from blockresearch.report.figures.numbers import rounded
from blockresearch.safetensors.dtypes import DTYPES, code_values
from blockresearch.tables.column import (
    NONE,
)
from blockresearch.tables.columns import (
    SCHEMAS,
    find_column,
)
from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)

# Matrices whose details are inside the page, and those of a script beside it.
INLINE = 500
CHUNK = 2000

# Bins of a histogram; weights farther from the mean than REACH standard deviations are counted
# beside it.
BINS = 64
REACH = 8

# Points of a spectrum, evenly spaced by the logarithm of their number.
POINTS = 48

TOP = 16

# Columns that say which matrix a row is, or that are shown in another way.
OTHERS = ("layer_index", "expert_index", "rows", "cols", "top_values", "top_rows", "top_cols")


@dataclass(frozen=True)
class Samples:
    """Histograms and spectra of n matrices, in the order of the map.

    counts     int64 [n, BINS], all zero if there is no histogram
    beside     int64 [n, 2]: weights below and above the bins
    edges      float64 [n, 2]: the first and the last edge
    spectra    float64 [n, POINTS], NaN beyond the points of a short spectrum
    lengths    int64 [n], the number of singular values; 0 without a spectrum
    """

    counts: np.ndarray
    beside: np.ndarray
    edges: np.ndarray
    spectra: np.ndarray
    lengths: np.ndarray


def positions(length: int) -> np.ndarray:
    """The numbers, from 1, of the singular values that are shown of `length` many: int64 [n]."""
    if length <= POINTS:
        return np.arange(1, length + 1)
    return np.unique(np.rint(np.geomspace(1, length, POINTS)).astype(np.int64))


def sampled(
    rows: pd.DataFrame, histograms: Iterable[pd.DataFrame], spectra: Iterable[pd.DataFrame]
) -> Samples:
    """Histograms and spectra of the matrices `rows`; the tables come in pieces, each used once."""
    count = len(rows)
    samples = Samples(
        np.zeros((count, BINS), np.int64),
        np.zeros((count, 2), np.int64),
        np.zeros((count, 2)),
        np.full((count, POINTS), np.nan),
        np.zeros(count, np.int64),
    )
    names = rows["param_name"].tolist()
    slices = rows["slice"].fillna("").tolist()
    of_tensor: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        of_tensor.setdefault(name, []).append(place)
    for piece in histograms:
        for row in piece.to_dict("records"):
            places = of_tensor.get(row["param_name"])
            binned = _binned(row) if places else None
            if binned is not None:
                samples.counts[places], samples.beside[places], samples.edges[places] = binned
    of_matrix = {key: place for place, key in enumerate(zip(names, slices, strict=True))}
    for piece in spectra:
        for row in piece.to_dict("records"):
            part = row["slice"]
            at = of_matrix.get((row["param_name"], "" if pd.isna(part) else part))
            values = np.asarray(_present(row["singular_values"]), dtype=float)
            if at is not None and len(values):
                shown = values[positions(len(values)) - 1]
                samples.spectra[at, : len(shown)] = shown
                samples.lengths[at] = len(values)
    return samples


def _binned(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, tuple[float, float]] | None:
    """Counts of a histogram in BINS bins, those beside them, and the outer edges."""
    if DTYPES[row["dtype"]].bits > 16:
        return None
    values = code_values(row["dtype"])[np.asarray(_present(row["codes"]), dtype=np.int64)]
    counts = np.asarray(_present(row["counts"]), dtype=np.int64)
    finite = np.isfinite(values)
    values, counts = values[finite], counts[finite]
    total = counts.sum()
    if not total:
        return None
    mean = float(values @ counts / total)
    reach = REACH * float(np.sqrt(((values - mean) ** 2) @ counts / total))
    low, high = max(float(values.min()), mean - reach), min(float(values.max()), mean + reach)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    is_below, is_above = values < low, values > high
    beside = np.array([counts[is_below].sum(), counts[is_above].sum()])
    within = ~(is_below | is_above)
    # The last bin contains its upper edge.
    bins = np.minimum(((values[within] - low) * (BINS / (high - low))).astype(np.int64), BINS - 1)
    return np.bincount(bins, counts[within], BINS).astype(np.int64), beside, (low, high)


def heads(rows: pd.DataFrame) -> list[dict[str, str]]:
    """The columns of matrices that the page lists: key, label, unit, and anchor in the glossary."""
    return [
        {
            "key": name,
            "label": column.title,
            "unit": "" if column.unit == NONE else column.unit,
            "anchor": glossary.anchor("matrices", name),
        }
        for name in _listed(rows)
        for column in [find_column("matrices", name)]
    ]


def _listed(rows: pd.DataFrame) -> list[str]:
    kinds = {column.name: column.type for column in SCHEMAS["matrices"].columns}
    return [
        name
        for name, kind in kinds.items()
        if kind in ("number", "integer") and name not in OTHERS and rows[name].notna().any()
    ]


def formats() -> list[dict[str, Any]]:
    """The low-bit formats of the page: column of the signal-to-error ratio, label and bits."""
    return [
        {"key": f"{each.name}_sqnr_db", "label": each.label, "bits": each.bits}
        for each in LOW_BIT_FORMATS
    ]


def chunks(rows: pd.DataFrame, samples: Samples, size: int) -> Iterator[dict[str, Any]]:
    """Yield the details of `size` matrices each, as the page's script reads them."""
    names = _listed(rows)
    for first in range(0, len(rows), size):
        part = rows.iloc[first : first + size]
        chosen = range(first, first + len(part))
        lengths = sorted({int(samples.lengths[place]) for place in chosen} - {0})
        yield {
            "values": {name: [rounded(value) for value in part[name]] for name in names},
            "shapes": [
                [int(row["rows"]), int(row["cols"])]
                for row in part[["rows", "cols"]].fillna(0).to_dict("records")
            ],
            "positions": {str(length): positions(length).tolist() for length in lengths},
            "lengths": samples.lengths[first : first + len(part)].tolist(),
            "spectra": [_spectrum(samples, place) for place in chosen],
            "histograms": [_histogram(samples, place) for place in chosen],
            "top": [
                [
                    [rounded(value) for value in _list(row["top_values"])],
                    [int(value) for value in _list(row["top_rows"])],
                    [int(value) for value in _list(row["top_cols"])],
                ]
                for row in part[["top_values", "top_rows", "top_cols"]].to_dict("records")
            ],
        }


def median_spectra(rows: pd.DataFrame, samples: Samples) -> list[list[float | None]]:
    """Of each column of the map, in order, the median spectrum of its matrices; empty if their
    spectra differ in length or there are fewer than three."""
    inside = rows[rows["layer_index"].notna()]
    medians: list[list[float | None]] = []
    for _, own in inside.groupby(["component", "label"], sort=False):
        places = own.index.to_numpy()
        lengths = set(samples.lengths[places].tolist())
        if len(places) < 3 or len(lengths) > 1 or lengths == {0}:
            medians.append([])
            continue
        shown = len(positions(lengths.pop()))
        medians.append(
            [rounded(float(value)) for value in np.median(samples.spectra[places, :shown], axis=0)]
        )
    return medians


def _spectrum(samples: Samples, place: int) -> list[float | None]:
    shown = len(positions(int(samples.lengths[place])))
    return [rounded(float(value)) for value in samples.spectra[place, :shown]]


def _histogram(samples: Samples, place: int) -> list[Any] | None:
    """The outer edges, the counts beside the bins, and those in them."""
    counts = samples.counts[place]
    if not counts.any():
        return None
    low, high = samples.edges[place]
    return [
        rounded(float(low), 6),
        rounded(float(high), 6),
        *samples.beside[place].tolist(),
        *counts.tolist(),
    ]


def _list(value: Any) -> list[Any]:
    return list(_present(value))[:TOP]


def _present(value: Any) -> Any:
    """A list of a table; empty if it is missing."""
    return value if isinstance(value, list | np.ndarray) else []
