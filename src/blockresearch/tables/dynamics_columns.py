"""The columns of the table of a training run: dynamics."""

from dataclasses import replace

from blockresearch.tables.column import NONE, SHARE, Column, Schema
from blockresearch.tables.tensor_columns import (
    ATTENTION_OR_EXPERT,
    BLOCK_TYPE,
    COMPONENT,
    LAYER_INDEX,
    MODEL,
    PARAM_NAME,
    SLICE,
)
from blockresearch.tables.weight_columns import (
    MATRICES,
)

DYNAMICS = Schema(
    "dynamics.csv, dynamics.parquet",
    "one matrix, or one tensor of values, at one step of a training run",
    (
        replace(MODEL, meaning="name of the folder of the training run in results/dynamics"),
        Column("step", "string", "revision or folder of the step"),
        Column("position", "integer", "place of the step in the list, the first is 0", NONE),
        Column(
            "step_number",
            "integer",
            "number at the end of its name, missing if there is none",
            NONE,
        ),
        PARAM_NAME,
        SLICE,
        COMPONENT,
        LAYER_INDEX,
        BLOCK_TYPE,
        Column("projection", "string", "what the matrix is in its layer, e.g. q_proj"),
        ATTENTION_OR_EXPERT,
        Column("expert_index", "integer", "number of the routed expert", NONE),
        Column("rows", "integer", "rows of the matrix", NONE),
        Column("cols", "integer", "columns of the matrix", NONE),
        Column(
            "is_read",
            "boolean",
            "false if its shard has not changed since the step before; then numbers are repeated",
        ),
        *(
            column
            for column in MATRICES.columns
            if column.name in ("frobenius_norm", "spectral_norm", "stable_rank", "alpha")
        ),
        Column(
            "change_from_first",
            "number",
            "distance from the first step W₀, relative to it",
            NONE,
            "‖W − W₀‖_F / ‖W₀‖_F",
        ),
        Column(
            "cosine_to_first",
            "number",
            "cosine of the angle to the first step",
            NONE,
            "⟨W₀, W⟩ / (‖W₀‖_F ‖W‖_F)",
        ),
        Column(
            "change_from_previous",
            "number",
            "distance from the step before, V, relative to it",
            NONE,
            "‖W − V‖_F / ‖V‖_F",
        ),
        Column(
            "changed",
            "number",
            "share of the stored codes that changed since the step before",
            SHARE,
            "#{W ≠ V} / N",
        ),
        Column(
            "delta_storage_rank",
            "integer",
            "singular values of Δ = W − V that rounding to the stored types cannot explain",
            NONE,
        ),
    ),
)
