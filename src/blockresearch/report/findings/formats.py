"""Findings about low-bit formats: codes that were dequantized, the error of the whole model, and
the matrices to keep in 8 bit.

The error of a set of matrices is that of their energy: Σ‖W − Q(W)‖² / Σ‖W‖², in decibel. A median
over matrices would count the token embedding, often most of the weights, as one matrix of many.
Tables of positions are left out: they are added, often fixed, and can dominate the energy.
"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, declared, joined, listed, say
from blockresearch.report.blocks import ordered
from blockresearch.report.findings.kinds import in_layers, is_table
from blockresearch.report.findings.record import Finding, Place, place_of
from blockresearch.report.wording import fixed, integer, percent
from blockresearch.tables.column import (
    LowBitFormat,
)
from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)

# Differences in decibel below which formats are called equal: 7 % of the error's energy.
TIE = 0.3

# Fewer bits than this are the formats of "4 bits".
FOUR_BITS = 5.0

# A matrix that INT4 rounds so much worse than the median of the layers loses twice the energy.
# Source of the practice: llama.cpp keeps some matrices at more bits in Q4_K_M.
MUCH_WORSE = 3.0

# Matrices to keep are few, or the advice is another format.
MOST_KEPT = 0.1

# Signal to error that 8 bits must reach for the advice to help.
LEAST_IN_8_BITS = 30.0

INT4, INT8, NVFP4 = "int4_g128_sym_sqnr_db", "int8_channel_sqnr_db", "nvfp4_sqnr_db"


def multiplied(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices without tables of positions."""
    return matrices[matrices["block_type"] != "position_embedding"]


def format_findings(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The findings about formats, most important first."""
    matrices = multiplied(matrices)
    yield from dequantized(matrices)
    yield from keep_in_8_bits(matrices)
    yield from four_bits(matrices)


def energy(matrices: pd.DataFrame) -> np.ndarray:
    """Σw² of each matrix, float64 [n]; NaN if it is not known."""
    return _numbers(matrices["rms"]) ** 2 * _numbers(matrices["finite_count"])


def _numbers(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=math.nan)


def decibel(matrices: pd.DataFrame, column: str) -> float | None:
    """Signal to rounding error of all `matrices` together; None if none has the column.

    A matrix without error (inf) adds energy but no error.
    """
    return _decibel(energy(matrices), _numbers(matrices[column]))


def _decibel(energies: np.ndarray, ratios: np.ndarray) -> float | None:
    known = ~np.isnan(energies) & ~np.isnan(ratios)
    whole = float(energies[known].sum())
    error = float((energies[known] * 10 ** (-ratios[known] / 10)).sum())
    if whole <= 0:
        return None
    return 10 * math.log10(whole / error) if error > 0 else math.inf


def by_block(matrices: pd.DataFrame) -> pd.DataFrame:
    """Signal to rounding error, in decibel, of all weights of a block type together, float64.

    Rows are block types in the order of a model, columns the labels of formats, most bits first.
    Rows and columns without a number are left out; so are the numbers of types without error.
    """
    formats = sorted(LOW_BIT_FORMATS, key=lambda each: -each.bits)
    # Rows of data frames for each type and format would take a tenth of the time of a report.
    energies = energy(matrices)
    ratios = {each.label: _numbers(matrices[f"{each.name}_sqnr_db"]) for each in formats}
    blocks = matrices.groupby(matrices["block_type"].fillna("other")).indices
    grid = pd.DataFrame(
        {
            block: {label: _decibel(energies[own], ratios[label][own]) for label in ratios}
            for block, own in blocks.items()
        },
        dtype=float,
    ).T
    # A type that rounds without error has no finite ratio.
    grid = grid.replace(math.inf, math.nan).dropna(how="all").dropna(axis=1, how="all")
    return grid.loc[ordered(grid.index)]


def error_share(ratio: float) -> float:
    """Root of the energy of the error as a share of that of the weights."""
    return 10 ** (-ratio / 20)


def format_table(matrices: pd.DataFrame) -> pd.DataFrame:
    """Errors per low-bit format, most bits first; only formats that some matrix has.

    Columns: format and bits; whole and layers, the ratio in decibel of all matrices together and of
    those that are no tables of tokens; error, as a share of the rms; lowest, the ratio
    of the worst matrix, and matrix, its name.
    """
    matrices = multiplied(matrices)
    rows, layers = [], matrices[~is_table(matrices)]
    for each in sorted(LOW_BIT_FORMATS, key=lambda each: -each.bits):
        column = f"{each.name}_sqnr_db"
        whole = decibel(matrices, column)
        if whole is not None:
            worst = matrices[column].astype(float).idxmin()
            rows.append(
                {
                    "format": declared(each.label),
                    "bits": each.bits,
                    "whole": whole,
                    "layers": decibel(layers, column),
                    "error": error_share(whole),
                    "lowest": float(matrices.loc[worst, column]),
                    "matrix": place_of(matrices.loc[worst]).matrix,
                }
            )
    names = ["format", "bits", "whole", "layers", "error", "lowest", "matrix"]
    table = pd.DataFrame(rows, columns=names)
    # Sentences stay what they are in a column of objects only.
    return table.assign(format=pd.Series([row["format"] for row in rows], dtype=object))


def dequantized(matrices: pd.DataFrame) -> Iterator[Finding]:
    """Matrices that look like codes of a low-bit format, stored as the weights that they stand for.

    Source of the evidence: `values.dequantized`.
    """
    coded = matrices[matrices["coded_bits"].notna()]
    if coded.empty:
        return
    groups = coded.groupby(["coded_bits", "coded_format"], dropna=False, sort=True)
    parts = [
        say("{count} with {bits} bits", count=integer(len(own)), bits=integer(bits))
        if pd.isna(formats)
        else say(
            "{count} with {bits} bits ({formats})",
            count=integer(len(own)),
            bits=integer(bits),
            formats=formats,
        )
        for (bits, formats), own in groups
    ]
    places = tuple(place_of(own.iloc[0]) for _, own in groups)
    share = float(coded["numel"].sum()) / float(matrices["numel"].sum())
    yield Finding(
        "dequantized",
        "formats",
        "notable",
        say(
            "{count} of {total} matrices ({share} of the weights) look quantized and stored "
            "dequantized: {parts}.",
            count=integer(len(coded)),
            total=integer(len(matrices)),
            share=percent(share),
            parts=listed(parts),
        ),
        places,
        "matrices.coded_bits",
        share,
        why="Entropy, ranks and the errors of low-bit formats describe these weights after that "
        "rounding, not the original ones.",
        action="Choose a format on the original checkpoint; to save memory, store the codes with "
        "their scales.",
    )


def four_bits(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The formats of 4 to 5 bits with the smallest and the largest error of the whole model."""
    found = [
        (whole, each)
        for each in LOW_BIT_FORMATS
        if each.bits < FOUR_BITS
        and (whole := decibel(matrices, f"{each.name}_sqnr_db")) is not None
        and math.isfinite(whole)
    ]
    if not found:
        return
    found.sort(key=lambda pair: -pair[0])
    (most, best), (least, last) = found[0], found[-1]
    ties = [each for whole, each in found[1:] if most - whole < TIE]
    tables = is_table(matrices)
    places: list[Place] = []

    def numbers(each: LowBitFormat, whole: float) -> Sentence:
        column = f"{each.name}_sqnr_db"
        # Without tables of tokens the number is that of the whole model.
        layers = decibel(matrices[~tables], column) if tables.any() else None
        worst = matrices.loc[matrices[column].astype(float).idxmin()]
        place = place_of(worst)
        if place not in places:
            places.append(place)
        return say(
            "{whole} dB (error {error} of the rms), {lowest} dB in the worst matrix, {matrix}"
            if layers is None
            else "{whole} dB (error {error} of the rms), {layers} dB without tables of tokens, "
            "{lowest} dB in the worst matrix, {matrix}",
            whole=fixed(whole, 1),
            error=percent(error_share(whole)),
            layers=fixed(layers, 1),
            lowest=fixed(worst[column], 1),
            matrix=place.matrix,
        )

    def with_bits(each: LowBitFormat) -> Sentence:
        return say("{format} ({bits} bits)", format=declared(each.label), bits=f"{each.bits:g}")

    text = say(
        "Rounded to nearest at 4 to 5 bits, {format} has the smallest error over the whole model: "
        "{numbers}.",
        format=with_bits(best),
        numbers=numbers(best, most),
    )
    if ties:
        equal = say(
            "{formats} is equal within {decibel} dB."
            if len(ties) == 1
            else "{formats} are equal within {decibel} dB.",
            formats=listed([*map(with_bits, ties)]),
            decibel=TIE,
        )
        text = joined(text, equal)
    if last is not best and last not in ties:
        largest = say(
            "{format} has the largest error: {numbers}.",
            format=with_bits(last),
            numbers=numbers(last, least),
        )
        text = joined(text, largest)
    yield Finding(
        "four_bits",
        "formats",
        "note",
        text,
        tuple(places),
        f"matrices.{best.name}_sqnr_db",
        most,
        least,
        why="Errors add up by energy, so large matrices count more; formats with more bits should "
        "have less error.",
        action="Compare formats at equal bits; calibration (GPTQ, AWQ) lowers the errors of INT4.",
    )


def keep_in_8_bits(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The matrices that INT4 rounds much worse than the others, if they are few."""
    known = in_layers(matrices[matrices[INT4].notna()])
    if len(known) < 8:
        return
    ratios = known[INT4].astype(float)
    median = float(ratios[np.isfinite(ratios)].median())
    kept = known[ratios < median - MUCH_WORSE]
    share = float(kept["numel"].sum()) / float(matrices["numel"].sum())
    eight = kept[INT8].astype(float)
    if kept.empty or share > MOST_KEPT or not (eight >= LEAST_IN_8_BITS).all():
        return
    kept = kept.sort_values(INT4, kind="stable")
    places = tuple(place_of(row) for _, row in kept.iterrows())
    low, high = float(kept[INT4].min()), float(kept[INT4].max())
    shown = listed([place.matrix for place in places[:3]])
    if len(kept) > 3:
        shown = say("{some} and {count} more", some=shown, count=integer(len(kept) - 3))
    text = say(
        "INT4 rounds 1 matrix ({share} of the weights) much worse than the others: {low} dB, "
        "against a median of {median} dB. It is {names}."
        if len(kept) == 1
        else "INT4 rounds {count} matrices ({share} of the weights) much worse than the others: "
        "{low} to {high} dB, against a median of {median} dB. They are {names}.",
        count=integer(len(kept)),
        share=percent(share),
        low=fixed(low, 1),
        high=fixed(high, 1),
        median=fixed(median, 1),
        names=shown,
    )
    other = kept[NVFP4].astype(float)
    fine = other.notna().all() and float(other.min()) >= float(known[NVFP4].median()) - 1
    yield Finding(
        "keep_in_8_bits",
        "formats",
        "notable",
        text,
        places,
        f"matrices.{INT4}",
        low,
        median,
        why="A few matrices with large errors can dominate the loss of a quantized model.",
        action=_in_8_bits(len(kept) == 1, bool(fine), fixed(eight.min(), 1), fixed(other.min(), 1)),
    )


def _in_8_bits(is_one: bool, is_fine: bool, eight: str, four: str) -> Sentence:
    """What to do with one matrix or several, which NVFP4 may also round well (`is_fine`)."""
    if is_fine:
        return say(
            "Keep it in 8 bits ({eight} dB or more in INT8 by row), or use NVFP4, which rounds it "
            "to {four} dB or more."
            if is_one
            else "Keep them in 8 bits ({eight} dB or more in INT8 by row), or use NVFP4, which "
            "rounds them to {four} dB or more.",
            eight=eight,
            four=four,
        )
    return say(
        "Keep it in 8 bits ({eight} dB or more in INT8 by row)."
        if is_one
        else "Keep them in 8 bits ({eight} dB or more in INT8 by row).",
        eight=eight,
    )
