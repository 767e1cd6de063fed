"""Sentences about depth and experts; plain text, as in `model`."""

import numpy as np
import pandas as pd

from blockresearch.report.wording import aligned, integer, percent

# A smaller ratio is reported as a small difference.
NOTABLE = 1.25


def layer_findings(layers: pd.DataFrame) -> list[str]:
    """The main findings about depth."""
    rows = layers[layers["layer_index"].notna() & (layers["matrices"] > 0)]
    if rows.empty:
        return ["The tensors of this model have no layer numbers, so depth is not analyzed."]
    if rows["layer_index"].nunique() == 1:
        return ["This model has only one numbered layer, so depth is not analyzed."]
    found = [
        _largest_change(rows),
        _farthest(rows, "stable_rank", "below", 1),
        _farthest(rows, "spectral_norm", "above", -1),
    ]
    return [text for text in found if text]


def expert_finding(matrices: pd.DataFrame) -> str | None:
    """One sentence: the routed expert whose std differs most from the others of its layer."""
    rows = matrices[matrices["expert_index"].notna() & (matrices["std"] > 0)]
    keys = ["component", "layer_index", "projection", "expert_index"]
    means = rows.groupby(keys, dropna=False)["std"].mean().astype(float).reset_index()
    if means.empty:
        return None
    typical = means.groupby(keys[:3], dropna=False)["std"].transform("median")
    ratio = means["std"] / typical
    place = np.maximum(ratio, 1 / ratio).idxmax()
    row, most = means.loc[place], float(max(ratio[place], 1 / ratio[place]))
    part = "matrices" if pd.isna(row["projection"]) else row["projection"]
    if most < NOTABLE:
        return (
            "The experts of each layer are alike: no standard deviation differs by more than "
            f"{percent(most - 1)} from the median of its layer."
        )
    return (
        f"The expert that differs most from the rest of its layer is expert "
        f"{integer(row['expert_index'])} of layer {integer(row['layer_index'])}: the standard "
        f"deviation of its {part} is {aligned(row['std'])}, against a median of "
        f"{aligned(typical[place])}."
    )


def _largest_change(rows: pd.DataFrame) -> str | None:
    """The block type whose std differs most between the first and the last third of the depth."""
    best: tuple[float, str] | None = None
    for (component, block), own in rows.groupby(["component", "block_type"], sort=True):
        own = own[own["std"].notna() & (own["std"] > 0)].sort_values("layer_index")
        third = len(own) // 3
        if third:
            first = float(own["std"].head(third).mean())
            last = float(own["std"].tail(third).mean())
            ratio = max(first, last) / min(first, last)
            direction = "grows" if last > first else "falls"
            where = "" if rows["component"].nunique() == 1 else f" in the {component}"
            text = (
                f"Over the layers, the standard deviation of {block}{where} changes most: it "
                f"{direction} from {aligned(first)} in the first third to {aligned(last)} in the "
                "last third (means)."
            )
            if ratio < NOTABLE:
                text = (
                    "The standard deviations change little with depth, most in "
                    f"{block}{where}: {aligned(first)} in the first third of the layers, "
                    f"{aligned(last)} in the last third (means)."
                )
            if best is None or ratio > best[0]:
                best = ratio, text
    return best[1] if best else None


def _farthest(rows: pd.DataFrame, column: str, side: str, sign: int) -> str | None:
    """The block whose `column` is farthest below (sign 1) or above (-1) its type's median."""
    own = rows[rows[column].notna() & (rows[column] > 0)]
    if own.empty:
        return None
    typical = own.groupby(["component", "block_type"])[column].transform("median")
    ratio = ((own[column] / typical) ** sign).astype(float)
    row, name = own.loc[ratio.idxmin()], column.replace("_", " ")
    value, median = aligned(row[column]), aligned(typical[row.name])
    if ratio.min() > 1 / NOTABLE:
        return (
            f"No {name} is far {side} the median of its block type; the farthest is that of "
            f"{_place(row, rows)}: {value} (median {median})."
        )
    return (
        f"The {name} farthest {side} the median of its block type is that of "
        f"{_place(row, rows)}: {value} (median {median})."
    )


def _place(row: pd.Series, rows: pd.DataFrame) -> str:
    block = "a matrix of unknown type" if row["block_type"] == "other" else str(row["block_type"])
    layer = f"{block} in layer {integer(row['layer_index'])}"
    return layer if rows["component"].nunique() == 1 else f"{layer} of the {row['component']}"
