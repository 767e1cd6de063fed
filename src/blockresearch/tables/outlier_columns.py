"""The columns of the table outliers."""

from blockresearch.tables.column import NONE, WEIGHT, Column, Schema
from blockresearch.tables.sources import YU
from blockresearch.tables.tensor_columns import (
    BLOCK_TYPE,
    COMPONENT,
    LAYER_INDEX,
    MODEL,
    PARAM_NAME,
    ROLE,
    SLICE,
)

EXPERT_INDEX = next(column for column in ROLE if column.name == "expert_index")

OUTLIERS = Schema(
    "circuits/outliers.csv, circuits/outliers.parquet",
    "one of the 16 largest weights of a matrix, if it is far beyond a normal law",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        LAYER_INDEX,
        BLOCK_TYPE,
        COMPONENT,
        EXPERT_INDEX,
        Column("row", "integer", "row of the weight, from 0", NONE),
        Column("col", "integer", "column of the weight, from 0", NONE),
        Column("value", "number", "the weight", WEIGHT, "w"),
        Column("over_rms", "number", "its size in its matrix", NONE, "|w| / rms"),
        Column(
            "over_normal",
            "number",
            "its size over the largest weight of a normal matrix of this size and rms; listed if "
            "above 3",
            NONE,
            "|w| / (rms Φ⁻¹(1 − 1/2N))",
        ),
        Column(
            "over_other_cols",
            "number",
            "its size over the largest weight of the matrix in any other column; missing if the 16 "
            "largest share a column",
            NONE,
            "|w| / max |w′| over the 16 largest in other columns",
        ),
        Column(
            "in_row",
            "integer",
            "how many of the 16 largest weights of the matrix are in its row, itself included",
            NONE,
        ),
        Column(
            "in_col",
            "integer",
            "how many of the 16 largest weights of the matrix are in its column, itself included",
            NONE,
        ),
        Column(
            "channel",
            "integer",
            "element of the residual stream that the weight reads (its column in q, k, v, gate and "
            "up) or writes (its row in o and down)",
            NONE,
        ),
        Column(
            "channel_layers",
            "integer",
            "layers of the component in which this channel has outliers",
            NONE,
        ),
        Column(
            "channel_log10_p",
            "number",
            "how likely so many layers are by chance, for the most frequent of all channels",
            NONE,
            "log₁₀ min(1, d P(X ≥ channel_layers)), X binomial over the layers with the average "
            "share of the d channels that have outliers in a layer",
        ),
        Column(
            "is_super_weight",
            "boolean",
            "a candidate: 100 rms or more, in a down projection of the first quarter of the layers",
            source=YU,
        ),
    ),
)
