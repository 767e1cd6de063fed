"""Tables and sentences about all weights, by block type, format and status."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.report.wording import aligned, integer, number, percent
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.tables.columns import LOW_BIT_FORMATS
from blockresearch.text import short

NOTABLE_ZEROS = 0.01


def coverage_table(coverage: pd.DataFrame) -> pd.DataFrame:
    """Tensors, elements and bytes per status of the table coverage."""
    grouped = coverage.fillna({"status": "unknown"}).groupby("status")
    return grouped.agg(
        tensors=("param_name", "size"), numel=("numel", "sum"), nbytes=("nbytes", "sum")
    ).reset_index()


def findings_table(audit: Mapping[str, Any]) -> pd.DataFrame:
    """The findings of the audit as a table."""
    return pd.DataFrame(audit["findings"])


def block_table(params: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """Per block type: tensors, parameters, bytes, and medians over its tensors and matrices."""
    params = params.assign(block_type=params["block_type"].fillna("other"))
    matrices = matrices.assign(block_type=matrices["block_type"].fillna("other"))
    by_tensor = params.groupby("block_type")
    by_matrix = matrices.groupby("block_type")
    result = pd.DataFrame(
        {
            "tensors": by_tensor.size(),
            "numel": by_tensor["numel"].sum(),
            "nbytes": by_tensor["nbytes"].sum(),
            "std": by_matrix["std"].median(),
            "kurtosis_excess": by_matrix["kurtosis_excess"].median(),
            "zero_fraction": by_matrix["zero_fraction"].median(),
            "resolved_rank_ratio": by_matrix["resolved_rank_ratio"].min(),
            "stable_rank": by_matrix["stable_rank"].median(),
            "effective_rank_sigma": by_matrix["effective_rank_sigma"].median(),
            "alpha": passing_alpha(matrices).groupby(matrices["block_type"]).median(),
            "alpha_fits": passing_alpha(matrices).groupby(matrices["block_type"]).count(),
            "matrices": by_matrix.size(),
        }
    )
    return result.sort_values("numel", ascending=False).reset_index()


def passing_alpha(matrices: pd.DataFrame) -> pd.Series:
    """The exponents of the power laws that may be cited, missing for all other matrices."""
    return matrices["alpha"].where(matrices["alpha_passes"].fillna(False).astype(bool))


def relative_ranks(matrices: pd.DataFrame) -> pd.DataFrame:
    """The table matrices with ranks as shares of the smaller side."""
    side = matrices[["rows", "cols"]].min(axis=1).astype("Float64")
    return matrices.assign(
        storage_share=matrices["storage_rank"] / side,
        storage_min_share=matrices["storage_rank_min"] / side,
        stable_share=matrices["stable_rank"] / side,
        effective_share=matrices["effective_rank_sigma"] / side,
    )


def largest_weights(matrices: pd.DataFrame) -> pd.DataFrame:
    """The table matrices by decreasing max_over_rms, with the place of the largest weight.

    Additional columns: matrix (its name), top_value, top_row and top_col.
    """
    rows = matrices[matrices["max_over_rms"].notna()].sort_values("max_over_rms", ascending=False)
    first = {
        f"top_{name}": [_first(values) for values in rows[f"top_{name}s"]]
        for name in ("value", "row", "col")
    }
    return rows.assign(matrix=matrix_names(rows), **first)


def matrix_names(matrices: pd.DataFrame) -> pd.Series:
    """Name of each matrix: its tensor, and the part of it."""
    parts = matrices["slice"].fillna("").astype(str)
    return matrices["param_name"].astype(str) + parts.where(parts == "", " " + parts)


def rounding_table(matrices: pd.DataFrame) -> pd.DataFrame:
    """Errors per low-bit format, most bits first; only formats that some matrix has.

    Columns: format and bits, the median and the lowest signal-to-error ratio in decibel, the median
    error as a share of the rms, and the matrix with the lowest ratio.
    """
    rows = []
    for each in sorted(LOW_BIT_FORMATS, key=lambda each: -each.bits):
        ratios = matrices[f"{each.name}_sqnr_db"].dropna().astype(float)
        if len(ratios):
            median, worst = float(ratios.median()), ratios.idxmin()
            rows.append(
                {
                    "format": each.label,
                    "bits": each.bits,
                    "median": median,
                    "error": 10 ** (-median / 20),
                    "lowest": float(ratios[worst]),
                    "matrix": matrix_names(matrices.loc[[worst]]).iloc[0],
                }
            )
    names = ["format", "bits", "median", "error", "lowest", "matrix"]
    return pd.DataFrame(rows, columns=names)


def information_table(params: pd.DataFrame) -> pd.DataFrame:
    """Entropy per block type, over the tensors that have one.

    Columns: elements, stored bits and entropy per element, the share of the stored size that an
    ideal coder would save, and the size in bytes after that.
    """
    rows = params[params["entropy_bits"].notna() & (params["numel"] > 0)]
    numel = rows["numel"].astype(float)
    stored = rows["dtype"].map(lambda name: DTYPES[name].bits).astype(float) * numel
    sums = pd.DataFrame(
        {
            "block_type": rows["block_type"].fillna("other"),
            "numel": numel,
            "stored": stored,
            "entropy": rows["entropy_bits"].astype(float) * numel,
        }
    )
    blocks = sums.groupby("block_type").sum().sort_values("numel", ascending=False).reset_index()
    whole = blocks.drop(columns="block_type").sum().to_frame().T.assign(block_type="all of these")
    both = pd.concat([blocks, whole], ignore_index=True) if len(blocks) else blocks
    return pd.DataFrame(
        {
            "block_type": both["block_type"],
            "numel": both["numel"],
            "stored_bits": both["stored"] / both["numel"],
            "entropy_bits": both["entropy"] / both["numel"],
            "saving": 1 - both["entropy"] / both["stored"],
            "nbytes": both["entropy"] / 8,
        }
    )


def rounding_finding(formats: pd.DataFrame) -> str | None:
    """One or two sentences on the errors of low-bit formats, by `rounding_table`."""
    four = formats[formats["bits"] < 5].sort_values("median", ascending=False)
    if four.empty:
        return None
    best, last = four.iloc[0], four.iloc[-1]
    text = (
        f"Of the 4-bit formats, {best['format']} has the smallest rounding error: in the median "
        f"matrix {percent(best['error'])} of the weights' root mean square "
        f"({number(best['median'])} dB)"
    )
    if len(four) == 1:
        return f"{text}."
    largest = f"{percent(last['error'])} ({number(last['median'])} dB)"
    return f"{text}; {last['format']} has the largest, {largest}."


def sparsity_finding(params: pd.DataFrame) -> str:
    """One or two sentences: how many values are exactly or nearly zero, and where most are."""
    known = params[params["zero_fraction"].notna() & (params["finite_count"] > 0)]
    if known.empty:
        return "No tensor has finite values, so there are no zeros to count."
    weight = known["finite_count"].astype(float)
    zero, near = (
        float((known[name].astype(float) * weight).sum() / weight.sum())
        for name in ("zero_fraction", "sparsity")
    )
    worst = known.loc[known["zero_fraction"].idxmax()]
    text = (
        f"{percent(zero)} of all values are exactly zero and {percent(near)} are near zero (|w| at "
        "most the sparsity threshold)."
    )
    if worst["zero_fraction"] < NOTABLE_ZEROS:
        return f"{text} No tensor has {NOTABLE_ZEROS * 100:.0f} % or more exact zeros."
    share = percent(worst["zero_fraction"])
    return f"{text} The largest share of exact zeros is {share}, in {short(worst['param_name'])}."


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list | np.ndarray) and len(values) else None


LOW_RANK = 0.9


def noise_finding(matrices: pd.DataFrame) -> str | None:
    """One or two sentences: whether the spectra follow the law of noise. None without spectra."""
    known = matrices[matrices["mp_ks"].notna()]
    if known.empty:
        return None
    rejected = known["mp_rejected"].fillna(False).astype(bool)
    distance = number(known["mp_ks"].median(), 2)
    if not rejected.any():
        return (
            "All spectra are as close to the Marchenko-Pastur law as those of noise "
            f"(median distance {distance})."
        )
    return (
        f"The Marchenko-Pastur law of noise is rejected for {integer(rejected.sum())} of "
        f"{integer(len(known))} matrices (median distance {distance}). There, the noise level is "
        "only a scaled median of σ, and spikes and energy beyond the edge describe the shape of "
        "the spectrum, not signal above noise."
    )


def power_law_finding(matrices: pd.DataFrame) -> str | None:
    """One or two sentences: how many power laws may be cited, and their exponents."""
    fitted = matrices[matrices["alpha"].notna()]
    if fitted.empty:
        return None
    passing = passing_alpha(fitted).dropna()
    short_tails = int(fitted["alpha_short_tail"].fillna(False).sum())
    text = (
        f"The power law passes its checks in {integer(len(passing))} of {integer(len(fitted))} "
        f"matrices; {integer(short_tails)} have fewer than 50 eigenvalues in the fitted tail."
    )
    if passing.empty:
        return f"{text} No exponent α is shown."
    return f"{text} The median exponent of those that pass is {aligned(passing.median())}."


def value_findings(params: pd.DataFrame, matrices: pd.DataFrame) -> list[str]:
    """The main findings about values, ranks and information, most important first."""
    found, ranks = [], []
    broken = params[(params["nan_count"] + params["posinf_count"] + params["neginf_count"]) > 0]
    if len(broken):
        found.append(
            f"{integer(len(broken))} of {integer(len(params))} tensors contain NaN or infinite "
            f"values, first {short(broken['param_name'].iloc[0])}: their results are unusable."
        )
    # The change that an adapter makes has the rank of its factors, whatever was learned.
    is_change = matrices["slice"].fillna("").str.endswith("delta")
    ranked = matrices[matrices["resolved_rank_ratio"].notna() & ~is_change]
    telling = False
    if len(ranked):
        low = ranked[ranked["resolved_rank_ratio"] < 1]
        if len(low):
            worst = low.loc[low["resolved_rank_ratio"].idxmin()]
            telling = worst["resolved_rank_ratio"] < LOW_RANK
            ranks.append(
                f"{integer(len(ranked) - len(low))} of {integer(len(ranked))} matrices have full "
                f"rank; the lowest for its size is {short(worst['param_name'])} with rank "
                f"{integer(worst['resolved_rank'])} of "
                f"{integer(min(worst['rows'], worst['cols']))}."
            )
        else:
            all_of = f"All {integer(len(ranked))} matrices have"
            ranks.append(f"{all_of if len(ranked) > 1 else 'The one matrix has'} full rank.")
    found += ranks if telling else []
    tails = matrices[matrices["max_over_rms"].notna()]
    if len(tails):
        far = tails.loc[tails["max_over_rms"].idxmax()]
        found.append(
            f"The largest weight relative to its matrix is {number(far['max_over_rms'])} times the "
            f"root mean square, in {short(far['param_name'])}; in a large matrix of normally "
            "distributed weights it would be about 4 to 6."
        )
    bits = information(params)
    if bits:
        carried, stored = bits
        found.append(
            f"The entropy of the stored codes is {number(carried)} of {number(stored)} bits per "
            f"weight, so lossless compression (entropy coding) could save "
            f"about {percent(1 - carried / stored)}."
        )
    return found if telling else [*found, *ranks]


def information(params: pd.DataFrame) -> tuple[float, float] | None:
    """Entropy and stored size in bits per weight, over the tensors that have one."""
    rows = params[params["entropy_bits"].notna() & (params["numel"] > 0)]
    if rows.empty:
        return None
    weight = rows["numel"].astype(float)
    bits = rows["dtype"].map(lambda name: DTYPES[name].bits).astype(float)
    entropy = rows["entropy_bits"].astype(float)
    return float((entropy * weight).sum() / weight.sum()), float(
        (bits * weight).sum() / weight.sum()
    )
