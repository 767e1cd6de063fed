"""The columns of the tables of a training run: dynamics, dynamics_heads and knees."""

from dataclasses import replace

from blockresearch.tables.column import NONE, SHARE, WEIGHT, Column, Schema
from blockresearch.tables.comparison_columns import HEAD_PARTS, HEAD_PLACE
from blockresearch.tables.tensor_columns import (
    ATTENTION_OR_EXPERT,
    BLOCK_TYPE,
    COMPONENT,
    LAYER_INDEX,
    MODEL,
    PARAM_NAME,
    SLICE,
)
from blockresearch.tables.weight_columns import MATRICES

_RUN = replace(MODEL, meaning="name of the folder of the training run in results/dynamics")

_STEP = (
    Column("step", "string", "revision or folder of the step"),
    Column("position", "integer", "place of the step in the list, the first is 0", NONE),
    Column(
        "step_number", "integer", "number at the end of its name, missing if there is none", NONE
    ),
)

# Where a matrix is, after the name of its tensor.
_PLACE = (
    SLICE,
    COMPONENT,
    LAYER_INDEX,
    BLOCK_TYPE,
    Column("projection", "string", "what the matrix is in its layer, e.g. q_proj"),
    ATTENTION_OR_EXPERT,
    Column("expert_index", "integer", "number of the routed expert", NONE),
)

DYNAMICS = Schema(
    "dynamics.csv, dynamics.parquet",
    "one matrix, or one tensor of values, at one step of a training run",
    (
        _RUN,
        *_STEP,
        PARAM_NAME,
        *_PLACE,
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
        Column(
            "head_norms",
            "numbers",
            "norm of each head: rows of q_proj, k_proj and v_proj, columns of o_proj",
            WEIGHT,
            "‖W_h‖_F",
        ),
        Column(
            "head_changes_from_first",
            "numbers",
            "distance of each head from the first step, relative to it",
            NONE,
            "‖W_h − W₀_h‖_F / ‖W₀_h‖_F",
        ),
        Column(
            "head_changes_from_previous",
            "numbers",
            "distance of each head from the step before, relative to it",
            NONE,
            "‖W_h − V_h‖_F / ‖V_h‖_F",
        ),
    ),
)

DYNAMICS_HEADS = Schema(
    "dynamics_heads.csv, dynamics_heads.parquet",
    "one query head of a layer at one step of a training run",
    (
        _RUN,
        *_STEP,
        *HEAD_PLACE,
        *(
            column
            for letter, what in HEAD_PARTS
            for column in (
                Column(f"{letter}_norm", "number", f"norm of the {what}", WEIGHT, "‖W_h‖_F"),
                Column(
                    f"{letter}_change_from_first",
                    "number",
                    f"distance of the {what} from the first step, relative to it",
                    NONE,
                    "‖W_h − W₀_h‖_F / ‖W₀_h‖_F",
                ),
                Column(
                    f"{letter}_change_from_previous",
                    "number",
                    f"distance of the {what} from the step before, relative to it",
                    NONE,
                    "‖W_h − V_h‖_F / ‖V_h‖_F",
                ),
            )
        ),
    ),
)

KNEES = Schema(
    "knees.csv, knees.parquet",
    "one curve over at least 5 steps: of a matrix, or of the q, k, v or o of a head",
    (
        _RUN,
        replace(PARAM_NAME, meaning="stored name of the tensor, missing for a head"),
        *_PLACE,
        Column("head", "integer", "number of the query head, for a curve of q or o", NONE),
        Column("kv_head", "integer", "number of the key-value head, for a curve of k or v", NONE),
        Column("metric", "string", "column of dynamics or of dynamics_heads that is the curve"),
        replace(_STEP[0], meaning="step at which the curve bends, missing if at none"),
        *_STEP[1:],
        Column(
            "knee_height",
            "number",
            "distance of the knee from the chord of the curve",
            SHARE,
            "|y − y₀ − x (y₁ − y₀)| / range",
        ),
        Column(
            "slope_ratio",
            "number",
            "slope of the line after the knee over the slope of the line before it",
            NONE,
            "b₂ / b₁",
        ),
    ),
)
