"""Rows of the tables that both findings and plans single out."""

import pandas as pd

# A weight of this many rms in a down projection of the first quarter of the layers. The publication
# finds such weights by activations, so the threshold is ours.
SUPER_WEIGHT = 100.0


def super_weights(matrices: pd.DataFrame) -> pd.DataFrame:
    """The rows of `matrices` with super weights, the most extreme first.

    These are single huge weights in down projections of early layers. Source: arXiv:2411.07191.
    """
    rows = matrices[matrices["layer_index"].notna()]
    down = rows["projection"].fillna("").isin(["down_proj", "shared_down_proj"])
    depth = rows.groupby("component")["layer_index"].transform("max").astype(float) + 1
    early = rows["layer_index"].astype(float) < (depth / 4).clip(lower=1)
    found = rows[down & early & (rows["max_over_rms"] >= SUPER_WEIGHT).fillna(False)]
    return found.sort_values("max_over_rms", ascending=False)
