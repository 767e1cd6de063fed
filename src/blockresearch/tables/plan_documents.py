"""One record per key of the plans in `plans/`, as `documents` has for other JSON files."""

from blockresearch.tables.column import BITS, BYTES, DECIBEL, NONE, Column
from blockresearch.tables.documents import PROVENANCE

# What every plan states.
STATED = (
    Column("plan", "string", "its name"),
    Column("caveat", "string", "what the plan does not say; read it first"),
    Column("rule", "string", "how it decides"),
    Column("inputs", "object", "the settings of the plan"),
    Column("reason", "string", "why there is no plan; then nothing is decided"),
)

ERROR = "Σ weight · ‖W − Q(W)‖²_F / ‖W‖²_F"

QUANTIZATION_PLAN = (
    *STATED,
    Column("engine", "string", "what loads the quantized model"),
    Column(
        "predicted.bits",
        "number",
        "average over the planned matrices, with scales",
        BITS,
        "8 · bytes / weights",
    ),
    Column("predicted.bytes", "integer", "all tensors of the quantized checkpoint", BYTES),
    Column("predicted.error", "number", "what the plan minimizes", NONE, ERROR),
    Column("predicted.checkpoint_bytes", "integer", "all tensors now", BYTES),
    Column(
        "curve",
        "objects",
        "Pareto curve: bits, bytes and error of plans with the least error for "
        "their bytes, at most 400",
    ),
    Column("uniform", "objects", "bits, bytes and error with one format for all, if it fits all"),
    Column("matrices", "objects", "what is decided, a matrix each, with the keys below"),
    Column("matrices.name", "string", "its module"),
    Column("matrices.group", "string", "the matrices that share its format"),
    Column("matrices.format", "string", "the engine's format, or kept"),
    Column("matrices.protected", "string", "the setting that protects it, or null"),
    Column("matrices.bytes", "integer", "in that format", BYTES),
    Column("matrices.weight", "number", "of its error", NONE, "from sensitivity, else 1"),
    Column(
        "matrices.error",
        "number",
        "relative squared error of rounding",
        NONE,
        "‖W − Q(W)‖²_F / ‖W‖²_F",
    ),
    Column(
        "matrices.sqnr_db",
        "number",
        "the same in decibels; null if nothing is rounded",
        DECIBEL,
        "−10 log₁₀(error)",
    ),
    Column(
        "matrices.is_exact",
        "boolean",
        "the tool rounds as the column of the tables does; "
        "otherwise the error ranks matrices and predicts no value",
    ),
    Column("kept", "object", "names of all other modules with a matrix, by reason"),
    Column("files", "strings", "files of tools in plans/quantization"),
    PROVENANCE,
)

# File -> what it is, and its keys.
PLANS = {
    "quantization_plan.json": (
        "a format for each group of matrices ([plans.md](plans.md#quantization))",
        QUANTIZATION_PLAN,
    ),
}
