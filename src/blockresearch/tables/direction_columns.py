"""The columns of the table directions."""

from blockresearch.tables.circuit_columns import ATTENTION_ROLE
from blockresearch.tables.column import NONE, SHARE, Column, Schema
from blockresearch.tables.tensor_columns import COMPONENT, LAYER_INDEX, MODEL

_ENDS = (("top", "highest"), ("bottom", "lowest"))

DIRECTIONS = Schema(
    "circuits/directions.csv, circuits/directions.parquet",
    "one side of a leading singular direction of a head or of a matrix of an MLP",
    (
        MODEL,
        COMPONENT,
        LAYER_INDEX,
        Column("circuit", "string", "QK, OV, gate_proj, up_proj or down_proj"),
        Column("role", "string", f"of heads: {ATTENTION_ROLE.meaning}"),
        Column("head", "integer", "number of the query head; missing for an MLP", NONE),
        Column("direction", "integer", "its number, the largest singular value is 0", NONE),
        Column(
            "side",
            "string",
            "query, key or read (seen through the token embedding), or write (through the output "
            "layer, behind the final norm); the two sides of a head's direction have signs that "
            "belong together",
        ),
        Column(
            "energy_share",
            "number",
            "share of the energy of the circuit or matrix in this direction",
            SHARE,
            "σᵢ² / Σσ²",
        ),
        Column(
            "gap",
            "number",
            "distance to the nearest other singular value, at most 1; near 0 the direction is not "
            "determined",
            NONE,
            "min |σᵢ − σⱼ| / σᵢ, j ≠ i",
        ),
        *(
            column
            for end, words in _ENDS
            for column in (
                Column(
                    f"{end}_tokens",
                    "string",
                    f"the 10 tokens with the {words} scores, most extreme first; untrained and "
                    "unnamed ones are left out",
                ),
                Column(f"{end}_ids", "integers", "their rows in the table of tokens", NONE),
                Column(
                    f"{end}_scores",
                    "numbers",
                    "their scores in standard deviations of the scores of all tokens",
                    NONE,
                    "((x − x̄) · w) / std, x: row of a token, w: the direction",
                ),
                Column(
                    f"{end}_coherence",
                    "number",
                    "mean cosine of their rows without the mean row",
                    NONE,
                    "mean of cos(xᵢ − x̄, xⱼ − x̄), i ≠ j",
                ),
                Column(
                    f"{end}_coherence_z",
                    "number",
                    "the same in standard deviations from the null",
                    NONE,
                    "(coherence − mean) / std over both ends of 128 random directions",
                ),
            )
        ),
        Column(
            "coherence_null",
            "number",
            "mean coherence of the ends of random directions, which are alike because they were "
            "chosen along a direction",
            NONE,
            "mean over both ends of 128 random directions",
        ),
    ),
)
