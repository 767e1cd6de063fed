"""The columns of the table heavy_tails."""

from blockresearch.tables.column import NONE, SHARE, Column, Schema
from blockresearch.tables.sources import CLAUSET, FARMS
from blockresearch.tables.tensor_columns import (
    BLOCK_TYPE,
    COLS,
    COMPONENT,
    LAYER_INDEX,
    MODEL,
    PARAM_NAME,
    ROLE,
    ROWS,
    SLICE,
)

_PLACE = tuple(c for c in ROLE if c.name in ("projection", "role", "expert_index"))

HEAVY_TAILS = Schema(
    "circuits/heavy_tails.csv, circuits/heavy_tails.parquet",
    "a matrix of a layer; of more than 16 routed experts of a layer, of 16 evenly spaced ones",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        LAYER_INDEX,
        BLOCK_TYPE,
        COMPONENT,
        *_PLACE,
        Column(
            "layer_experts",
            "integer",
            "routed experts of the layer; at most 16 of them have rows",
            NONE,
        ),
        ROWS,
        COLS,
        Column(
            "alpha_square",
            "number",
            "Hill estimate of the exponent over square windows, comparable between shapes",
            NONE,
            "1 + k / Σ ln(λᵢ / λ_{k+1}), i = 1 … k, over the upper half of the pooled eigenvalues "
            "of windows S Sᵀ of side min(rows, cols, 768)",
            FARMS,
        ),
        Column(
            "alpha_permuted",
            "number",
            "the same after a permutation of all elements, which keeps their values only",
            NONE,
            "alpha_square of permuted W",
        ),
        Column(
            "alpha_p",
            "number",
            "goodness of fit of the power law of the plain spectrum (alpha); rejected below 0.1",
            SHARE,
            "share of 100 samples of the fitted law that are as far from their fit",
            CLAUSET,
        ),
    ),
)
