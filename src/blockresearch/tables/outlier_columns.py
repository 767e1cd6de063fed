"""The columns of the tables outliers and amplifiers."""

from blockresearch.tables.column import NONE, OF_MLP, SHARE, WEIGHT, WEIGHT_SQUARED, Column, Schema
from blockresearch.tables.sources import SUN, YU
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

AMPLIFIERS = Schema(
    "circuits/amplifiers.csv, circuits/amplifiers.parquet",
    "one of the 4 channels of the residual stream that the dense MLP of a layer can add most to",
    (
        MODEL,
        COMPONENT,
        LAYER_INDEX,
        Column("has_gate", "boolean", "the MLP has a gate, so what it adds is about quadratic"),
        Column("channel", "integer", "element of the residual stream: a row of down", NONE),
        Column(
            "channel_gain",
            "number",
            "what all neurons together can add to the channel, if each had its own input",
            OF_MLP,
            "√Σ_c (W_down[k,c] ‖u_c‖ ‖g_c‖)²; u_c and g_c: rows of up and gate, norms folded in",
        ),
        Column(
            "over_median",
            "number",
            "the same over the median of all channels of the layer",
            NONE,
            "channel_gain / median",
        ),
        Column(
            "amplification",
            "number",
            "what one input of length 1 adds at most if gates are open, with its sign; without a "
            "gate the length of the linear sum",
            OF_MLP,
            "λ of S_k with the largest |λ|, S_k = Σ_c W_down[k,c] (u_c g_cᵀ + g_c u_cᵀ) / 2",
            SUN,
        ),
        Column("neuron", "integer", "neuron that can add most to the channel", NONE),
        Column(
            "neuron_gain",
            "number",
            "amplification of that neuron through up and gate",
            WEIGHT_SQUARED,
            "‖u_c‖ ‖g_c‖, or ‖u_c‖ without a gate",
        ),
        Column(
            "neuron_weight",
            "number",
            "its weight to the channel: row channel, column neuron of down",
            WEIGHT,
            "W_down[k,c]",
        ),
        Column(
            "neuron_share",
            "number",
            "its share of the square of channel_gain",
            SHARE,
            "(W_down[k,c] ‖u_c‖ ‖g_c‖)² / channel_gain²",
        ),
    ),
)
