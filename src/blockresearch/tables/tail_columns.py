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
    ROWS,
    SLICE,
)

HEAVY_TAILS = Schema(
    "circuits/heavy_tails.csv, circuits/heavy_tails.parquet",
    "a matrix of a layer",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        LAYER_INDEX,
        BLOCK_TYPE,
        COMPONENT,
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
