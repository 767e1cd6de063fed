"""Tables about all weights, by block type and status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.recognition import recognized
from blockresearch.language.sentence import declared, say, with_messages
from blockresearch.report.blocks import ordered
from blockresearch.safetensors.dtypes import DTYPES


@dataclass(frozen=True)
class Measure:
    """A column whose values a figure shows, one point for each matrix.

    scale is that of the axis: log, tails (symmetric, with large values pressed together) or share
    (0 to 1).
    """

    column: str
    title: str
    label: str
    scale: str


# Status in the table coverage -> the word for readers.
STATUSES = {
    "analysed": say("analyzed"),
    "buffer": say("buffer"),
    "companion": say("companion"),
    "unsupported": say("unsupported"),
    "missing": say("missing"),
    "left out": say("left out"),
    "unknown": say("unknown"),
}


def coverage_table(coverage: pd.DataFrame) -> pd.DataFrame:
    """Tensors, elements and bytes per status of the table coverage, the status in a word."""
    grouped = coverage.fillna({"status": "unknown"}).groupby("status")
    table = grouped.agg(
        tensors=("param_name", "size"), numel=("numel", "sum"), nbytes=("nbytes", "sum")
    ).reset_index()
    return with_words(table)


def with_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns status and reason, if it has one, as words for readers."""
    words = {"status": [STATUSES.get(status, status) for status in table["status"]]}
    if "reason" in table:
        words["reason"] = [recognized(why) if why else None for why in table["reason"].fillna("")]
    return table.assign(
        **{name: pd.Series(own, table.index, dtype=object) for name, own in words.items()}
    )


def audit_rows(audit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The findings of the audit; evidence of the manifest's problems has no message in it."""
    rows = [with_messages(row) for row in audit["findings"]]
    return [row | {"evidence": recognized(row["evidence"])} for row in rows]


def findings_table(audit: Mapping[str, Any]) -> pd.DataFrame:
    """The findings of the audit as a table."""
    rows = [
        {**row, **{name: declared(row[name]) for name in ("severity", "meaning")}}
        for row in audit_rows(audit)
    ]
    return pd.DataFrame(rows, dtype=object)


def block_table(params: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """Per block type and role: tensors, parameters, bytes, and medians over the matrices."""
    keys = ["block_type", "role"]
    params = params.assign(**params[keys].fillna({"block_type": "other", "role": ""}))
    matrices = matrices.assign(**matrices[keys].fillna({"block_type": "other", "role": ""}))
    by_tensor = params.groupby(keys)
    by_matrix = matrices.groupby(keys)
    passing = passing_alpha(matrices).groupby([matrices[key] for key in keys])
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
            "alpha": passing.median(),
            "alpha_fits": passing.count(),
            "matrices": by_matrix.size(),
        }
    )
    return result.sort_values("numel", ascending=False).reset_index()


def parameters_by_type(params: pd.DataFrame) -> pd.DataFrame:
    """Parameters by block type (in the order of a model) and stored type (columns), float64."""
    data = params.assign(block_type=params["block_type"].fillna("other"))
    counts = data.pivot_table(index="block_type", columns="dtype", values="numel", aggfunc="sum")
    return counts.fillna(0).astype(float).reindex(ordered(data["block_type"]))


def entropy_by_block(params: pd.DataFrame) -> pd.DataFrame:
    """Bits per weight by block type, in the order of a model; float64, NaN if unknown.

    Columns: sign, exponent and mantissa, the entropy of each; whole, that of the code; stored.
    Empty without tensors whose entropy is known.
    """
    rows = params[params["entropy_bits"].notna() & (params["numel"] > 0)]
    bits = rows["dtype"].map(lambda name: DTYPES[name].bits)
    fields = {
        "sign": rows["entropy_sign_bits"],
        "exponent": rows["entropy_exponent_bits"],
        "mantissa": rows["entropy_mantissa_bits"],
        "whole": rows["entropy_bits"],
        "stored": bits,
    }
    named, weight = rows["block_type"].fillna("other"), rows["numel"].astype(float)
    means = {}
    for name, column in fields.items():
        known = column.notna()
        total = weight[known].groupby(named[known]).sum()
        means[name] = (column[known].astype(float) * weight[known]).groupby(named[known]).sum()
        means[name] /= total
    return pd.DataFrame(means, dtype=float).reindex(ordered(named))


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
    # Sentences stay what they are in a column of objects only.
    blocks["block_type"] = blocks["block_type"].astype(object)
    whole = blocks.drop(columns="block_type").sum().to_frame().T
    whole["block_type"] = pd.Series([say("all of these")], dtype=object)
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


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list | np.ndarray) and len(values) else None


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
