"""One record per key of the JSON files that are no tables, as `columns` has for tables.

A key inside an object is written with a dot. The manual (docs/outputs.md) is made from these.
"""

from blockresearch.tables.column import (
    BYTES,
    ELEMENTS,
    NONE,
    SHARE,
    WEIGHT,
    Column,
)
from blockresearch.tables.token_columns import (
    EXPLAINED_SHARE,
)

TOKENS = "tokens"

PROVENANCE = Column("provenance", "object", "checkpoint, program and settings, as in Parquet files")

# Facts about the rows of an embedding, and of a separate output layer.
ROW_FACTS = (
    Column("rows", "integer", "rows of the table", TOKENS),
    Column("dimensions", "integer", "columns of the table", NONE),
    Column("mean_norm", "number", "mean L2 norm of the rows", WEIGHT, "mean of ‖x‖₂"),
    Column("std_norm", "number", "their standard deviation (ddof 0)", WEIGHT, "std of ‖x‖₂"),
    Column(
        "isotropy.mean_cosine",
        "number",
        "mean cosine of all pairs of different rows; 0 if directions are spread evenly",
        NONE,
        "mean of x·y / (‖x‖₂ ‖y‖₂), x ≠ y",
    ),
    Column(
        "isotropy.mean_cosine_centred",
        "number",
        "the same after the mean row is subtracted",
        NONE,
        "the same of x − mean(x)",
    ),
    Column("unnamed_rows", "integer", "rows without a name in tokenizer.json", TOKENS),
    Column("duplicate_rows", "integer", "rows equal to an earlier one, of the whole table", TOKENS),
    Column(
        "near_duplicate_rows",
        "integer",
        "rows found to have a neighbor at a cosine of 0.99 or more, of the whole table",
        TOKENS,
    ),
    Column("near_duplicate_sample", "integer", "random rows that were searched", TOKENS),
    Column(
        "near_duplicate_share",
        "number",
        "share of the random sample with such a neighbor",
        SHARE,
        "such rows of the sample / near_duplicate_sample",
    ),
    Column(
        "near_duplicate_share_error",
        "number",
        "standard error of that share for all rows; 0 if all were searched",
        SHARE,
        "√(p (1 − p) / n · (1 − n / rows))",
    ),
    Column("neighbours_searched", "integer", "rows whose neighbors were searched", TOKENS),
    Column("zero_rows", "integer", "rows of zeros", TOKENS),
    Column(
        "left_out_rows", "integer", "rows with a value that is not finite or above 1e12", TOKENS
    ),
    Column("undertrained.method", "string", "how undertrained_score was computed"),
    Column("undertrained.indicator", "string", "cosine or distance"),
    Column("undertrained.reference_rows", "integer", "rows taken as untrained", TOKENS),
    Column(
        "undertrained.held_out_auc",
        "number",
        "probability that a held-out reference row scores above another row; 0.5 is chance",
        NONE,
        "Mann-Whitney U / (n m), mean over two halves",
    ),
    Column(
        "undertrained.lowest_reference",
        "number",
        "lowest score of a reference row",
        NONE,
        "min of undertrained_score over the reference",
    ),
    Column(
        "undertrained.above_lowest_reference", "integer", "other rows that score as high", TOKENS
    ),
)

SUMMARY = (
    Column("reason", "string", "why there is no analysis; then nothing else is present"),
    *ROW_FACTS,
    Column("metric", "string", "space of the clusters: euclidean, spherical or whitened"),
    Column("metric_rule", "string", "why"),
    Column("k", "integer", "number of clusters", NONE),
    Column("k_rule", "string", "why"),
    Column(
        "messages",
        "object",
        "the sentences among these facts as messages with values, for translations",
    ),
    Column("elbow_k", "integer", "k of the elbow, also if another was set", NONE),
    Column("clear_elbow", "boolean", "whether the curve bends sharply there"),
    Column(
        "silhouette",
        "number",
        "mean silhouette of the final clusters, at most 2,000 rows",
        NONE,
        "mean of (b − a) / max(a, b)",
    ),
    Column(
        "silhouette_error",
        "number",
        "its standard error",
        NONE,
        "std / √n · √(1 − n / rows)",
    ),
    EXPLAINED_SHARE,
    Column("samples", "integer", "samples of rows for stability and shares", NONE),
    Column("sample_rows", "integer", "rows in each", TOKENS),
    Column("null_samples", "integer", "samples of the normal cloud", NONE),
    Column(
        "beyond_null", "boolean", "whether the clusters explain more than cuts of one normal cloud"
    ),
    Column(
        "pca_explained",
        "numbers",
        "shares of the variance along the axes x and y of projection.parquet, in the space of the "
        "metric and not of the table",
        SHARE,
        "variance along each / total variance",
    ),
    Column(
        "plane_explained",
        "numbers",
        "the same along plane_x and plane_y",
        SHARE,
        "variance along each / total variance",
    ),
    Column("probes", "objects", "token_id and token of each probe token that was found"),
    Column("unknown_probes", "strings", "probe tokens that the model does not have"),
    Column("random_state", "integer", "seed of the samples", NONE),
    Column(
        "output",
        "object",
        "the facts from rows to undertrained for a separate output layer, and mean_output_cosine; "
        "null without one",
    ),
    Column(
        "output.mean_output_cosine",
        "number",
        "mean of output_cosine",
        NONE,
        "mean of x·y / (‖x‖₂ ‖y‖₂), y: the output row of x",
    ),
    Column("output_reason", "string", "why there is no output layer to describe"),
    PROVENANCE,
)

FINDINGS = (
    Column("findings", "objects", "a finding each, the most severe first, with these keys"),
    Column(
        "findings.id",
        "string",
        "rule that made it (docs/findings.md); at most one finding of a rule",
    ),
    Column("findings.topic", "string", "training, formats, depth, values or tokens"),
    Column(
        "findings.severity",
        "string",
        "warning (something to do before the model is used), notable (unusual) or note",
    ),
    Column("findings.text", "string", "one to three sentences"),
    Column(
        "findings.tensors",
        "objects",
        "what it is about, most important first: name, slice (null for the whole tensor), and row "
        "and col of one weight or row (null for all)",
    ),
    Column(
        "findings.metric", "string", "table.column of the value; null if it is derived from several"
    ),
    Column(
        "findings.value",
        "number",
        "the number of the finding",
        "unit of the metric",
        "see the rule",
    ),
    Column("findings.reference", "number", "what it is compared with", "the same", "see the rule"),
    Column("findings.why", "string", "why it matters"),
    Column("findings.action", "string", "what to do"),
    Column(
        "findings.messages",
        "object",
        "text, why and action as messages with values, for translations: strings, or objects with "
        "message and values",
    ),
    PROVENANCE,
)

INDEX = (
    Column("model", "string", "hub id or folder, as in the configuration"),
    Column("revision", "string", "requested revision, null for a folder"),
    Column("commit", "string", "commit of the hub, null for a folder"),
    Column("folder", "string", "folder of the results, or if stored the model's name in the store"),
    Column(
        "status",
        "string",
        "complete, damaged (the audit found errors), failed, planned, unfinished, or stored (only "
        "the store has it)",
    ),
    Column("reason", "string", "why it failed"),
    Column("type", "string", "architecture by config.json"),
    Column("parameters", "integer", "elements of all tensors", ELEMENTS),
    Column("bytes", "integer", "stored size of all tensors", BYTES),
    Column("created_at", "string", "when the checkpoint was resolved, UTC"),
    Column("findings", "object", "number of findings of the audit by severity"),
    Column("numbers", "object", "the numbers of comparison.json, null until they exist"),
    Column("figures", "strings", "pictures of the model's page"),
    PROVENANCE,
)
