"""Kinds of matrices: those of one component, block type, role, projection and shape.

A matrix is compared with its kind alone. Self- and cross-attention, shared and routed experts, or
the gate and the down projection of an expert are different kinds.
"""

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, say

KEYS = ["component", "block_type", "role", "projection", "rows", "cols"]

# A median over fewer matrices is no reference.
FEWEST = 3


def in_layers(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices of numbered layers."""
    return matrices[matrices["layer_index"].notna()]


def is_change(matrices: pd.DataFrame) -> pd.Series:
    """Which rows are the change that an adapter makes: its rank is that of the factors."""
    return matrices["slice"].fillna("").str.endswith("delta").astype(bool)


def is_table(rows: pd.DataFrame) -> pd.Series:
    """Which rows are tables with a row for each token or position."""
    return rows["block_type"].isin(["embedding", "position_embedding", "output"]).astype(bool)


def against_kind(matrices: pd.DataFrame, column: str) -> pd.DataFrame:
    """The matrices with `median`, that of `column` over their kind, and `ratio`, value / median.

    Only positive values of kinds of three or more matrices; the smallest ratio first.
    """
    rows = matrices[matrices[column].notna() & (matrices[column] > 0)]
    grouped = rows.groupby(KEYS, dropna=False)[column]
    rows = rows.assign(median=grouped.transform("median").astype(float))
    rows = rows[(grouped.transform("size") >= FEWEST) & (rows["median"] > 0)]
    return rows.assign(ratio=rows[column].astype(float) / rows["median"]).sort_values(
        "ratio", kind="stable"
    )


def named(row: pd.Series, matrices: pd.DataFrame) -> Sentence:
    """The kind of a matrix in a sentence, e.g. `self k_proj of the decoder`.

    Role and component are left out if they do not distinguish anything in this model.
    """
    is_expert = row["block_type"] == "moe" and not pd.isna(row["projection"])
    name = str(row["projection"] if is_expert else row["block_type"])
    same = matrices[matrices["block_type"] == row["block_type"]]
    if not pd.isna(row["role"]) and same["role"].nunique() > 1:
        name = f"{row['role']} {name.removeprefix('shared_')}"
    kind = say("matrices of unknown type") if name == "other" else say("{name}", name=name)
    if matrices["component"].nunique() > 1 and not pd.isna(row["component"]):
        return say("{kind} of the {component}", kind=kind, component=row["component"])
    return kind


def by_layer(matrices: pd.DataFrame, column: str) -> list[tuple[pd.DataFrame, np.ndarray]]:
    """Each kind in the order of its layers, and the positive values [n] of `column` as float64.

    Only kinds with one matrix a layer, so that neighbors in the list are neighbors in depth.
    """
    found = []
    rows = matrices[matrices[column].notna() & (matrices[column] > 0)]
    for _, own in rows.groupby(KEYS, dropna=False, sort=True):
        if not own["layer_index"].duplicated().any():
            own = own.sort_values("layer_index", kind="stable")
            found.append((own, own[column].to_numpy(dtype=float)))
    return found
