"""Rows of the tables that both findings and plans single out."""

import pandas as pd

# A weight of this many rms in a down projection of the first quarter of the layers. The publication
# finds such weights by activations, so the threshold is ours.
SUPER_WEIGHT = 100.0


def super_weights(matrices: pd.DataFrame) -> pd.DataFrame:
    """The rows of `matrices` with super weights, the most extreme first.

    These are single huge weights in down projections of early layers. Source: arXiv:2411.07191.
    """
    early = is_early_down_projection(matrices)
    found = matrices[early & (matrices["max_over_rms"] >= SUPER_WEIGHT).fillna(False)]
    return found.sort_values("max_over_rms", ascending=False)


def is_early_down_projection(matrices: pd.DataFrame) -> pd.Series:
    """Whether each row of `matrices` is a down projection of the first quarter of the layers."""
    down = matrices["projection"].fillna("").isin(["down_proj", "shared_down_proj"])
    layer = matrices["layer_index"].astype(float)
    depth = layer.groupby(matrices["component"]).transform("max") + 1
    return down & (layer < (depth / 4).clip(lower=1)).fillna(False)
