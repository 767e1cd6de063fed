"""The columns of the tables of circuits: attention_heads, head_graph."""

from blockresearch.tables.column import NONE, SHARE, WEIGHT_SQUARED, Column, Schema
from blockresearch.tables.sources import ELHAGE, KERNEL, ROY, RUDELSON, SAPONATI
from blockresearch.tables.tensor_columns import (
    COMPONENT,
    LAYER_INDEX,
    MODEL,
)

_CIRCUITS = (
    ("qk", "QK circuit M = W_Qᵀ W_K, the score of a query against a key", "M"),
    ("ov", "OV circuit N = W_O W_V, what is written when a position is attended to", "N"),
)

ATTENTION_ROLE = Column(
    "role", "string", "self or cross; a cross attention reads keys and values of another stack"
)

ATTENTION_HEADS = Schema(
    "circuits/attention_heads.csv, circuits/attention_heads.parquet",
    "one query head of a layer, or an attention block whose heads are not defined",
    (
        MODEL,
        COMPONENT,
        LAYER_INDEX,
        ATTENTION_ROLE,
        Column("head", "integer", "number of the query head", NONE),
        Column("kv_head", "integer", "number of the key-value head of its group", NONE),
        Column("missing", "string", "why the heads of this attention are not defined"),
        Column("head_size", "integer", "rows of a query head, the largest rank of M", NONE),
        Column(
            "norm_before", "string", "norm before attention whose scale is folded into the matrices"
        ),
        Column(
            "is_normalized",
            "boolean",
            "queries or keys are normalized, so that the norms of M mean nothing and are missing",
        ),
        Column(
            "is_rescaled",
            "boolean",
            "the output is normalized before it is added, so that the norms of N mean nothing and "
            "are missing",
        ),
        *(
            column
            for circuit, what, letter in _CIRCUITS
            for column in (
                Column(
                    f"{circuit}_spectral_norm",
                    "number",
                    f"largest singular value of the {what}",
                    WEIGHT_SQUARED,
                    f"σ₁({letter})",
                    ELHAGE,
                ),
                Column(
                    f"{circuit}_frobenius_norm",
                    "number",
                    f"size of {letter}",
                    WEIGHT_SQUARED,
                    f"‖{letter}‖_F",
                ),
                Column(
                    f"{circuit}_stable_rank",
                    "number",
                    f"comparably strong directions of {letter}",
                    NONE,
                    "Σσ² / σ₁²",
                    RUDELSON,
                ),
                Column(
                    f"{circuit}_effective_rank",
                    "number",
                    f"directions of {letter} by the entropy of its singular values",
                    NONE,
                    "exp(-Σ p ln p), p = σ/Σσ",
                    ROY,
                ),
                Column(
                    f"{circuit}_spectrum",
                    "numbers",
                    f"singular values of {letter} relative to the largest",
                    NONE,
                    "σᵢ / σ₁",
                ),
            )
        ),
        Column(
            "qk_bias_share",
            "number",
            "share of the energy of M that biases add, which are one more row and column",
            SHARE,
            "1 − ‖W_Qᵀ W_K‖_F² / ‖M‖_F²",
        ),
        Column(
            "qk_symmetry",
            "number",
            "1 if M is symmetric (what attends is attended by the same), −1 if it is antisymmetric",
            NONE,
            "tr(M M) / ‖M‖_F², without biases and at distance 0",
            SAPONATI,
        ),
        Column(
            "rotary_energy",
            "numbers",
            "share of each rotary frequency in the scores, the fastest first",
            SHARE,
            "e_j / Σe, e_j = ‖W_Q[pair j]‖_F ‖W_K[pair j]‖_F",
        ),
        Column(
            "slow_energy",
            "number",
            "share of the slower half of the frequencies, which hardly turn with the position",
            SHARE,
            "Σ e_j of the slower half / Σe",
        ),
        Column(
            "copying",
            "number",
            "1 if what is read is written with the same sign, −1 with the opposite one",
            NONE,
            "Re Σλ / Σ|λ|, λ: eigenvalues of W_O W_V",
            ELHAGE,
        ),
        Column(
            "copying_z",
            "number",
            "standard deviations above W_V of one head with W_O of another group of the layer",
            NONE,
            "(c − mean) / std of such pairs, up to 64, at least 6",
        ),
    ),
)

HEAD_GRAPH = Schema(
    "circuits/head_graph.csv, circuits/head_graph.parquet",
    "one of the strongest compositions of a head with a head of a later layer, at most 200 for "
    "each component and part",
    (
        MODEL,
        COMPONENT,
        Column("part", "string", "input of the later head: key, value or query"),
        *(
            column
            for end, what in (("from", "head that writes"), ("to", "head that reads"))
            for column in (
                Column(f"{end}_layer", "integer", f"layer of the {what}", NONE),
                Column(f"{end}_role", "string", f"self or cross attention of the {what}"),
                Column(
                    f"{end}_head",
                    "integer",
                    f"number of the {what}"
                    + (
                        ", of a group with common keys and values the one that composes most"
                        if end == "to"
                        else ""
                    ),
                    NONE,
                ),
            )
        ),
        Column(
            "kernel",
            "number",
            "directions that the written and the read subspace share",
            NONE,
            "‖UᵀU'‖_F² = Σ cos² of the principal angles",
            KERNEL,
        ),
        Column(
            "z",
            "number",
            "the same in standard deviations above independent random subspaces, at least 3",
            NONE,
            "(kernel − p q / n) / √(2 p q (n−p)(n−q) / (n² (n−1)(n+2)))",
            KERNEL,
        ),
        Column(
            "median_z",
            "number",
            "median of z over all pairs of heads of the component, kept or not",
            NONE,
            "median of z",
        ),
        Column(
            "composition",
            "number",
            "how much of the sizes of both circuits their product keeps",
            NONE,
            "‖W₂ W₁‖_F / (‖W₂‖_F ‖W₁‖_F)",
            ELHAGE,
        ),
        Column(
            "composition_null",
            "number",
            "the same for independent random circuits",
            NONE,
            "1 / √n",
        ),
    ),
)
