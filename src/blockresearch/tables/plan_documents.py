"""One record per key of the plans in `plans/`, as `documents` has for other JSON files."""

from blockresearch.tables.column import (
    BITS,
    BYTES,
    DECIBEL,
    ELEMENTS,
    NONE,
    SHARE,
    WEIGHT,
    Column,
)
from blockresearch.tables.documents import PROVENANCE
from blockresearch.tables.sources import GAVISH

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

TRAINING_PLAN = (
    *STATED,
    Column("trained", "object", "names of the modules to train, by kind of matrix"),
    Column("trained_weights", "integer", "weights in them", ELEMENTS),
    Column("planned_weights", "integer", "weights of all matrices that were ranked", ELEMENTS),
    Column("kappa_targets", "strings", "modules that PEFT's find_kappa_target_modules selects"),
    Column(
        "agreement",
        "objects",
        "for two criteria, one and other, how alike they rank the layers: kendall_tau, the mean "
        "over kinds of matrices; null if there are too few",
    ),
    Column("matrices", "objects", "name, trained, and the value of each criterion or null"),
    Column("files", "strings", "files of tools in plans/training"),
    PROVENANCE,
)

SPARSITY_PLAN = (
    *STATED,
    Column("layers", "objects", "what is decided, a layer each, with the keys below"),
    Column("layers.layer", "integer", "its number", NONE),
    Column("layers.alpha", "number", "mean exponent of its matrices", NONE, "mean of alpha_hill"),
    Column(
        "layers.sparsity",
        "number",
        "share of its weights to prune",
        SHARE,
        "c · (1 − s + 2 s (α − α_min) / (α_max − α_min))",
    ),
    Column("layers.weights", "integer", "weights of its linear layers", ELEMENTS),
    Column("files", "strings", "files of tools in plans/sparsity"),
    PROVENANCE,
)

EXPERTS_PLAN = (
    *STATED,
    Column("predicted.bytes", "integer", "all tensors of the checkpoint without them", BYTES),
    Column("predicted.checkpoint_bytes", "integer", "all tensors now", BYTES),
    Column("predicted.experts", "integer", "of a layer, that stay", NONE),
    Column("predicted.checkpoint_experts", "integer", "of a layer, now", NONE),
    Column("dropped", "objects", "what is decided, an expert each, with the keys below"),
    Column("dropped.component", "string", "of its layer"),
    Column("dropped.layer", "integer", "number of its layer", NONE),
    Column("dropped.expert", "integer", "its number", NONE),
    Column("dropped.reason", "string", "why it is dropped"),
    Column("dropped.metric", "string", "column of the value in experts or expert_pairs"),
    Column("dropped.value", "number", "the value, null for a candidate", "unit of the metric"),
    Column(
        "dropped.median",
        "number",
        "of the column in the layer, null if it has none",
        "the same",
        "median over the experts of the layer",
    ),
    Column("files", "strings", "files of tools in plans/experts"),
    PROVENANCE,
)

SUSPECTS_PLAN = (
    *STATED,
    Column("suspects", "objects", "what stands out, with the keys below"),
    Column("suspects.tensor", "string", "its name, or the place that the audit names"),
    Column("suspects.reason", "string", "why it stands out"),
    Column("suspects.metric", "string", "column of the value, or check of the audit"),
    Column(
        "suspects.value",
        "number",
        "the value, null for the audit",
        "unit of the metric",
        "see metric",
    ),
    Column(
        "suspects.reference",
        "number",
        "median of its kind, or the threshold",
        "the same",
        "see metric",
    ),
    Column("suspects.protect", "boolean", "higher precision would help"),
    Column("files", "strings", "files of tools in plans/suspects"),
    PROVENANCE,
)

ADAPTER_PLAN = (
    *STATED,
    Column(
        "predicted.error",
        "number",
        "what the factors of all modules lose of their change",
        NONE,
        "√(Σ ‖Δ − BA‖²_F / Σ ‖Δ‖²_F)",
    ),
    Column(
        "predicted.kept",
        "number",
        "share of the whole change that the factors keep",
        SHARE,
        "Σ_modules (‖Δ‖²_F − ‖Δ − BA‖²_F) / Σ ‖Δ‖²_F",
    ),
    Column("predicted.saved", "number", "share in modules that are stored as a whole", SHARE),
    Column("predicted.lost", "number", "the rest", SHARE, "1 − kept − saved"),
    Column("predicted.parameters", "integer", "of the factors", ELEMENTS, "Σ r (rows + cols)"),
    Column("ranks", "numbers", "ranks of the curves", NONE),
    Column("curve", "objects", "rank, error and parameters with one rank for all matrices"),
    Column("modules", "objects", "what is decided, a module each, with the keys below"),
    Column("modules.name", "string", "in the base, or the parameter of all experts of a layer"),
    Column("modules.rank", "integer", "of its factors, of each expert; alpha is the same", NONE),
    Column("modules.limit", "string", "what sets the rank: energy, rounding or max_rank"),
    Column("modules.storage_rank", "integer", "delta_storage_rank, summed over its matrices", NONE),
    Column("modules.delta_norm", "number", "size of its change", WEIGHT, "‖Δ‖_F"),
    Column("modules.share", "number", "its share of the whole change", SHARE),
    Column("modules.error", "number", "what its factors lose", NONE, "√(Σ_{i>r} σ²) / ‖Δ‖_F"),
    Column("modules.curve", "numbers", "the same for each of `ranks`", NONE),
    Column(
        "modules.written_error",
        "number",
        "the same with the factors as they were written, measured; without factors left out",
        NONE,
    ),
    Column("saved", "strings", "modules that are stored as a whole"),
    Column("not_kept", "objects", "what is in neither: reason, share and tensors, largest first"),
    Column("files", "strings", "files of PEFT in plans/adapter"),
    PROVENANCE,
)

REPAIR_PLAN = (
    *STATED,
    Column(
        "removed", "number", "share of the change that is removed", SHARE, "1 − Σ ‖Δ*‖² / Σ ‖Δ‖²"
    ),
    Column("disagreements", "integer", "matrices of which the two ranks disagree", NONE),
    Column("matrices", "objects", "what is decided, a matrix each, with the keys below"),
    Column("matrices.name", "string", "tensor of the base, and part of it"),
    Column("matrices.shape", "numbers", "rows and columns", NONE),
    Column("matrices.rank", "integer", "directions of Δ that are kept", NONE),
    Column(
        "matrices.donoho_rank",
        "integer",
        "singular values of Δ above the threshold",
        NONE,
        "#{σ > threshold}",
        GAVISH,
    ),
    Column("matrices.storage_rank", "integer", "delta_storage_rank of the comparison", NONE),
    Column("matrices.disagrees", "boolean", "one of these ranks is more than twice the other"),
    Column(
        "matrices.noise_level",
        "number",
        "standard deviation of noise with the median of σ(Δ)",
        WEIGHT,
        "median(σ) / √(p μ_β)",
        GAVISH,
    ),
    Column(
        "matrices.threshold",
        "number",
        "p is the longer side",
        WEIGHT,
        "noise_level · √p · √(2 (β + 1) + 8β / (β + 1 + √(β² + 14β + 1)))",
        GAVISH,
    ),
    Column("matrices.delta_norm", "number", "size of the change", WEIGHT, "‖Δ‖_F"),
    Column("matrices.kept_norm", "number", "size of what is kept", WEIGHT, "‖Δ*‖_F"),
    Column("files", "strings", "files in plans/repair"),
    PROVENANCE,
)

REPAIRED_MODEL = (
    Column("matrices", "objects", "what was written, a matrix each, with the keys below"),
    Column("matrices.name", "string", "tensor of the base, and part of it"),
    Column("matrices.rank", "integer", "directions of Δ that are kept", NONE),
    Column("matrices.norm", "number", "size of the written change", WEIGHT, "‖W' − W₀‖_F"),
    Column(
        "matrices.error",
        "number",
        "what rounding to the stored type changed",
        WEIGHT,
        "‖W' − (W₀ + Δ*)‖_F",
    ),
    Column("stays", "strings", "matrices that stay as they were, because they are quantized"),
    PROVENANCE,
)

MERGE_PLAN = (
    *STATED,
    Column("method", "string", "method of mergekit: linear, ties or task_arithmetic"),
    Column("method_reason", "string", "why"),
    Column("models", "objects", "the fine-tunes, with the keys below"),
    Column("models.model", "string", "id on the hub, or folder"),
    Column("models.matrices", "integer", "matrices that it and another changed", NONE),
    Column("models.delta_norm", "number", "size of its change of them", WEIGHT, "√Σ ‖Δ‖²_F"),
    Column(
        "models.density",
        "number",
        "share of the largest elements of Δ with 90 % of Σ δ², mean over matrices; 0.4 for a "
        "normal law",
        SHARE,
    ),
    Column(
        "models.weights",
        "object",
        "its weight for attention, MLP and all else",
        NONE,
        "1 / (1 + Σ max(cosine, 0))",
    ),
    Column(
        "agreement",
        "objects",
        "for two fine-tunes, one and other: matrices, cosine of all as one vector; conflict, "
        "left_overlap and right_overlap, means over matrices",
    ),
    Column("matrices", "objects", "name, and agreement of the same form for each two fine-tunes"),
    Column("files", "strings", "files of mergekit in plans/merge"),
    PROVENANCE,
)

# File -> what it is, and its keys.
PLANS = {
    "quantization_plan.json": (
        "a format for each group of matrices ([plans.md](plans.md#quantization))",
        QUANTIZATION_PLAN,
    ),
    "training_plan.json": (
        "matrices to train ([plans.md](plans.md#training))",
        TRAINING_PLAN,
    ),
    "sparsity_plan.json": (
        "how much of each layer to prune ([plans.md](plans.md#sparsity))",
        SPARSITY_PLAN,
    ),
    "experts_plan.json": (
        "experts to drop ([plans.md](plans.md#experts))",
        EXPERTS_PLAN,
    ),
    "suspects_plan.json": (
        "weights that stand out ([plans.md](plans.md#suspects))",
        SUSPECTS_PLAN,
    ),
    "repair_plan.json": (
        "in the folder of a comparison: the change without noise ([plans.md](plans.md#repair))",
        REPAIR_PLAN,
    ),
    "repaired_model.json": (
        "in the folder of a comparison: the model in plans/repaired ([plans.md](plans.md#repair))",
        REPAIRED_MODEL,
    ),
    "merge_plan.json": (
        "of a base with several fine-tunes: a merge of them ([plans.md](plans.md#merge))",
        MERGE_PLAN,
    ),
    "adapter_plan.json": (
        "in the folder of a comparison: ranks of an adapter ([plans.md](plans.md#adapter))",
        ADAPTER_PLAN,
    ),
}
