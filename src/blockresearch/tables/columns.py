"""What each table holds: name, type, unit and meaning of every column.

The manual's page of outputs is made from this module.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column. `type` is string, integer, number, boolean, integers or numbers (lists)."""

    name: str
    type: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Schema:
    """One table: what a row is, and its columns in order."""

    row: str
    columns: tuple[Column, ...]


def _columns(type: str, *pairs: tuple[str, str], unit: str = "") -> tuple[Column, ...]:
    return tuple(Column(name, type, meaning, unit) for name, meaning in pairs)


ROLE = (
    Column(
        "component",
        "string",
        "part of the model: text, vision, audio, projector, encoder, decoder, mtp or adapter",
    ),
    Column("projection", "string", "finer name inside the block, e.g. q_norm or gate_proj"),
    Column("expert_index", "integer", "number of the routed expert, from 0"),
    Column("is_bias", "boolean", "true for an additive bias"),
)

STORAGE = (
    Column(
        "quantisation",
        "string",
        "how a quantized weight is stored, e.g. gptq, mxfp4, fp8 block; it is measured dequantized",
    ),
    Column(
        "bits_per_weight",
        "number",
        "stored bits, scales and other companions among them, per element",
        "bits per element",
    ),
)

VALUES = (
    Column("numel", "integer", "number of elements, once unpacked", "elements"),
    Column("finite_count", "integer", "elements that are neither NaN nor infinite", "elements"),
    Column("nan_count", "integer", "NaN elements", "elements"),
    Column("posinf_count", "integer", "elements equal to +Inf", "elements"),
    Column("neginf_count", "integer", "elements equal to -Inf", "elements"),
    *_columns(
        "number",
        ("min", "smallest finite value"),
        ("max", "largest finite value"),
        ("absmax", "largest |w|"),
        ("rms", "root of the mean square"),
        ("skewness", "third standardized moment"),
        ("kurtosis_excess", "fourth standardized moment minus 3 (0 for a normal distribution)"),
    ),
    Column("zero_fraction", "number", "share of finite elements that are exactly zero", "share"),
    *_columns(
        "number",
        ("q001", "0.1 % quantile"),
        ("q01", "1 % quantile"),
        ("q05", "5 % quantile"),
        ("q25", "25 % quantile"),
        ("q50", "median"),
        ("q75", "75 % quantile"),
        ("q95", "95 % quantile"),
        ("q99", "99 % quantile"),
        ("q999", "99.9 % quantile"),
    ),
    *_columns(
        "number",
        ("outlier_3sigma", "share of finite elements more than 3 std from the mean"),
        ("outlier_6sigma", "share of finite elements more than 6 std from the mean"),
        unit="share",
    ),
    Column("max_over_rms", "number", "absmax / rms"),
    *_columns(
        "number",
        ("entropy_bits", "Shannon entropy of the stored codes"),
        ("entropy_sign_bits", "entropy of the sign bit"),
        ("entropy_exponent_bits", "entropy of the exponent field"),
        ("entropy_mantissa_bits", "entropy of the mantissa field"),
        unit="bits per element",
    ),
    Column("distinct_values", "integer", "number of different stored codes"),
    Column(
        "fp16_exact_fraction",
        "number",
        "share of finite elements that float16 represents exactly",
        "share",
    ),
    *_columns(
        "number",
        ("row_norm_cv", "coefficient of variation (std / mean) of the rows' L2 norms"),
        ("row_norm_max_over_median", "largest over median L2 norm of the rows"),
        ("col_norm_cv", "coefficient of variation of the columns' L2 norms"),
        ("col_norm_max_over_median", "largest over median L2 norm of the columns"),
        ("row_absmax_max_over_median", "largest over median absmax of the rows"),
        ("col_absmax_max_over_median", "largest over median absmax of the columns"),
    ),
    Column("zero_rows", "integer", "rows without a finite value other than zero"),
    Column("zero_cols", "integer", "columns without a finite value other than zero"),
)

SPECTRAL = (
    Column(
        "stable_rank", "number", "squared Frobenius norm over squared spectral norm, ‖W‖_F² / σ₁²"
    ),
    Column(
        "effective_rank_sigma",
        "number",
        "exp of the entropy of p = σ / Σσ (Roy and Vetterli 2007)",
    ),
    Column("effective_rank_energy", "number", "exp of the entropy of p = σ² / Σσ²"),
    Column("participation_ratio", "number", "(Σσ²)² / Σσ⁴"),
    Column("k90", "integer", "fewest singular values that hold 90 % of Σσ²"),
    Column("k95", "integer", "fewest singular values that hold 95 % of Σσ²"),
    Column("k99", "integer", "fewest singular values that hold 99 % of Σσ²"),
    Column("spectral_norm", "number", "largest singular value σ₁"),
    Column("frobenius_norm", "number", "root of Σσ²"),
    Column("nuclear_norm", "number", "Σσ"),
    Column("condition_number", "number", "σ₁ over the smallest singular value"),
    Column("alpha", "number", "exponent of the power law fitted to the tail of λ = σ² (Clauset)"),
    Column("alpha_xmin", "number", "smallest λ of the fitted tail"),
    Column("alpha_ks", "number", "Kolmogorov-Smirnov distance of the fit"),
    Column("alpha_tail", "integer", "number of eigenvalues in the fitted tail"),
    Column("alpha_stderr", "number", "standard error of alpha, (α - 1) / √tail"),
    Column("alpha_hill", "number", "Hill estimate of the exponent over the upper half"),
    Column("mp_sigma", "number", "noise level by the Marchenko-Pastur median (Gavish and Donoho)"),
    Column("mp_edge", "number", "upper Marchenko-Pastur edge for that noise, in σ"),
    Column("mp_lower_edge", "number", "lower Marchenko-Pastur edge for that noise, in σ"),
    Column("spikes", "integer", "singular values beyond the edge and its Tracy-Widom margin"),
    Column("energy_beyond_edge", "number", "share of Σσ² beyond the edge", "share"),
    Column("bottom_decile_energy", "number", "share of Σσ² in the smallest tenth of σ", "share"),
    Column("spectrum_snr", "number", "signal-to-noise ratio as the Spectrum tool defines it"),
    Column("calibrated_snr_db", "number", "energy beyond over energy within the edge", "dB"),
)

QUANTIZATION = tuple(
    column
    for name, text in (
        ("int8_channel", "int8 with a scale per row"),
        ("int4_g128_sym", "symmetric int4 in groups of 128"),
        ("int4_g128_asym", "int4 with zero points in groups of 128"),
        ("nf4", "NF4 in blocks of 64"),
        ("fp8_tensor", "FP8 E4M3 with one scale"),
        ("fp8_channel", "FP8 E4M3 with a scale per row"),
        ("mxfp4", "MXFP4 (E2M1, power-of-two scales of 32)"),
        ("nvfp4", "NVFP4 (E2M1, E4M3 scales of 16)"),
    )
    for column in (
        Column(f"{name}_sqnr_db", "number", f"signal to rounding error of {text}", "dB"),
        Column(f"{name}_max_error", "number", f"largest rounding error of {text}"),
    )
)

TOP = (
    Column("top_values", "numbers", "the 16 largest |w|, signed, largest first"),
    Column("top_rows", "integers", "their rows, from 0"),
    Column("top_cols", "integers", "their columns, from 0"),
)

STORAGE_RANK = Column(
    "storage_rank",
    "integer",
    "number of σ above what rounding to the stored type can make: a lower bound on the rank "
    "before rounding; missing for types without fraction bits",
)

PARAMS = Schema(
    "one stored tensor",
    (
        Column("model_path", "string", "the local folder, or the hub id, that was analyzed"),
        Column("model_id", "string", "hub id (empty for a local folder)"),
        Column("revision", "string", "commit of the hub (empty for a local folder)"),
        Column("param_name", "string", "name of the tensor in the checkpoint"),
        Column("layer_index", "integer", "number of the layer within its component, from 0"),
        Column("block_type", "string", "place in the block, e.g. embedding, q_proj, moe, norm"),
        Column("shape", "string", "shape as stored, e.g. [151936, 2560]"),
        Column("rows", "integer", "rows of the 2-D view, unpacked, outputs where it is one matrix"),
        Column("cols", "integer", "columns of the 2-D view"),
        Column(
            "rank",
            "integer",
            "numerical rank: number of σ > σ₁ · max(rows, cols) · eps(float32); "
            "missing where the tensor is not one matrix",
        ),
        Column("mean", "number", "mean of the finite values"),
        Column("std", "number", "standard deviation of the finite values (ddof 0)"),
        Column("var", "number", "variance of the finite values (ddof 0)"),
        Column(
            "sparsity", "number", "share of finite elements with |w| ≤ sparsity_threshold", "share"
        ),
        Column("dtype", "string", "stored type, as safetensors names it"),
        Column("created_at", "string", "when the checkpoint was resolved", "UTC, ISO 8601"),
        *ROLE,
        Column("shard", "string", "file that holds the tensor"),
        Column("nbytes", "integer", "stored size", "bytes"),
        Column("content", "string", "first 16 digits of the sha256 of the stored bytes"),
        *STORAGE,
        *VALUES,
        *TOP,
        STORAGE_RANK,
        *SPECTRAL,
        *QUANTIZATION,
    ),
)

MATRICES = Schema(
    "one matrix as the model multiplies with it (a tensor, one expert of a stack, a slice)",
    (
        Column("param_name", "string", "stored tensor that holds the matrix"),
        Column(
            "slice",
            "string",
            "which part of it, e.g. [3] (an expert), q_proj, [3].gate_proj; delta is the change "
            "B·A·scale of an adapter; empty for the whole tensor",
        ),
        Column("layer_index", "integer", "number of the layer within its component, from 0"),
        Column("block_type", "string", "place in the block"),
        *ROLE,
        Column("rows", "integer", "rows of the matrix"),
        Column("cols", "integer", "columns of the matrix"),
        Column("dtype", "string", "stored type"),
        *STORAGE,
        Column(
            "rank", "integer", "numerical rank: number of σ > σ₁ · max(rows, cols) · eps(float32)"
        ),
        Column("rank_ratio", "number", "rank / min(rows, cols)", "share"),
        Column("mean", "number", "mean of the finite values"),
        Column("std", "number", "standard deviation of the finite values (ddof 0)"),
        Column("var", "number", "variance of the finite values (ddof 0)"),
        Column(
            "sparsity", "number", "share of finite elements with |w| ≤ sparsity_threshold", "share"
        ),
        *VALUES,
        *TOP,
        STORAGE_RANK,
        *SPECTRAL,
        *QUANTIZATION,
    ),
)

SPECTRA = Schema(
    "the singular values of one matrix",
    (
        Column("param_name", "string", "stored tensor that holds the matrix"),
        Column("slice", "string", "which part of it; empty for the whole tensor"),
        Column("rows", "integer", "rows of the matrix"),
        Column("cols", "integer", "columns of the matrix"),
        Column(
            "method",
            "string",
            "how the values were computed: direct, gram, gram+projection, gram+deflation; "
            "sketch: an estimate of the largest values only; none: and why there are no values",
        ),
        Column("precision", "string", "type of number in which they were computed"),
        Column("singular_values", "numbers", "all singular values, largest first"),
    ),
)

HISTOGRAMS = Schema(
    "the exact distribution of one tensor of a type of 16 bits or fewer",
    (
        Column("param_name", "string", "name of the tensor"),
        Column("dtype", "string", "stored type: what the codes mean"),
        Column("codes", "integers", "stored codes that occur"),
        Column("counts", "integers", "how often each of them occurs"),
    ),
)

COVERAGE = Schema(
    "one tensor of the index or the headers",
    (
        Column("param_name", "string", "name of the tensor"),
        Column("shard", "string", "file that holds it"),
        Column("dtype", "string", "stored type"),
        Column("shape", "string", "shape as stored"),
        Column("numel", "integer", "number of elements, once unpacked", "elements"),
        Column("nbytes", "integer", "stored size", "bytes"),
        Column("status", "string", "analysed, buffer, companion, unsupported, missing or left out"),
        Column("reason", "string", "why it was not analyzed, or what was noticed"),
    ),
)

LAYERS = Schema(
    "one block type of one layer of one component (layer empty: outside the layers)",
    (
        Column("component", "string", "part of the model"),
        Column("layer_index", "integer", "number of the layer within its component, from 0"),
        Column("block_type", "string", "place in the block"),
        Column("tensors", "integer", "number of stored tensors"),
        Column("matrices", "integer", "number of matrices"),
        Column("parameters", "integer", "number of elements", "elements"),
        Column("nbytes", "integer", "stored size", "bytes"),
        Column("mean", "number", "mean of all values, additive biases left out"),
        Column(
            "std", "number", "standard deviation of all values together, additive biases left out"
        ),
        Column("std_mean", "number", "mean of the tensors' standard deviations, without biases"),
        Column("absmax", "number", "largest |w|, additive biases left out"),
        Column(
            "sparsity", "number", "share of finite elements with |w| ≤ sparsity_threshold", "share"
        ),
        Column("zero_fraction", "number", "share of exact zeros", "share"),
        Column("nan_count", "integer", "NaN elements", "elements"),
        Column("inf_count", "integer", "infinite elements", "elements"),
        Column("kurtosis_excess", "number", "mean excess kurtosis of the matrices"),
        Column(
            "outlier_6sigma", "number", "share of elements beyond 6 std of their tensor", "share"
        ),
        Column("entropy_bits", "number", "mean entropy of the stored codes", "bits per element"),
        Column("rank_ratio", "number", "mean of rank / min(rows, cols) of the matrices", "share"),
        Column("stable_rank", "number", "mean stable rank of the matrices"),
        Column("effective_rank", "number", "mean effective rank (p = σ / Σσ) of the matrices"),
        Column("spectral_norm", "number", "largest σ₁ of the matrices"),
        Column("frobenius_norm", "number", "root of the sum of squares of the matrices"),
        Column("condition_number", "number", "median condition number of the matrices"),
        Column("alpha", "number", "mean power-law exponent of the matrices"),
        Column("spikes", "number", "mean number of singular values beyond the noise edge"),
    ),
)

CLUSTERS = Schema(
    "one row of the token embedding",
    (
        Column("token_id", "integer", "row of the embedding"),
        Column(
            "token", "string", "its text with visible escapes; empty where the tokenizer has none"
        ),
        Column("kind", "string", "normal, special, added, byte, or padding (beyond the tokenizer)"),
        Column("cluster", "integer", "cluster of the row, from 0 (the largest)"),
        Column(
            "distance",
            "number",
            "distance to the center of its cluster, in the space of the metric",
        ),
        Column(
            "margin",
            "number",
            "squared distance to the next center less that to its own, in the same space",
        ),
        Column("norm", "number", "L2 norm of the row"),
    ),
)

CLUSTERS_SUMMARY = Schema(
    "one cluster of the token embedding",
    (
        Column("cluster", "integer", "number of the cluster, 0 is the largest"),
        Column("size", "integer", "rows in it", "tokens"),
        Column("share", "number", "share of all rows", "share"),
        Column("inertia_share", "number", "share of the total inertia", "share"),
        Column("mean_norm", "number", "mean L2 norm of its rows"),
        Column(
            "mean_distance", "number", "mean distance to its center, in the space of the metric"
        ),
        Column("categories", "string", "what most of its tokens are, with shares"),
        Column("scripts", "string", "scripts of most of its tokens with letters, with shares"),
        Column("leading_space", "number", "tokens that start with a space", "share"),
        Column("typical_tokens", "string", "tokens with the largest margin, largest first"),
        Column("central_tokens", "string", "tokens nearest to the center, nearest first"),
        Column("odd_tokens", "string", "tokens farthest from the center, farthest first"),
    ),
)

TOKENS = Schema(
    "one row of the token embedding, or of an output layer of its own",
    (
        Column("token_id", "integer", "number of the row"),
        Column(
            "token", "string", "its text with visible escapes; empty where the tokenizer has none"
        ),
        Column("kind", "string", "normal, special, added, byte, or padding (beyond the tokenizer)"),
        Column(
            "category",
            "string",
            "letters, digits, punctuation, whitespace, control, code, mixed, byte, special or "
            "unused",
        ),
        Column("script", "string", "Unicode script of most of its letters"),
        Column(
            "leading_space", "boolean", "starts with a space (WordPiece: where it begins a word)"
        ),
        Column("length", "integer", "length without the leading space", "characters or bytes"),
        Column("norm", "number", "L2 norm of the row"),
        Column("centroid_distance", "number", "distance to the mean of all rows"),
        Column(
            "neighbours",
            "integers",
            "rows with the largest cosines to this one; missing where they were not searched",
        ),
        Column("nearest_cosine", "number", "cosine to the nearest of them"),
        Column(
            "duplicate_of", "integer", "the first row that is equal, where this is not the first"
        ),
        Column(
            "output_cosine", "number", "cosine between its rows of embedding and own output layer"
        ),
        Column("reference", "boolean", "taken as untrained: scores are likeness to these rows"),
        Column(
            "undertrained_score",
            "number",
            "likeness to untrained rows, higher is more alike; the method is in summary.json",
        ),
        Column(
            "undertrained_rank",
            "integer",
            "place by that score, from 1, among rows not known to be untrained before",
        ),
    ),
)

ELBOW = Schema(
    "one number of clusters tried",
    (
        Column("k", "integer", "number of clusters"),
        Column(
            "inertia",
            "number",
            "sum of squared distances to the centers, in the space of the metric",
        ),
        Column("explained_share", "number", "1 - inertia / inertia of one cluster", "share"),
        Column("elbow_height", "number", "distance below the chord of the scaled curve (Kneedle)"),
        Column("silhouette", "number", "mean silhouette of a sample of at most 2,000 rows"),
        Column("chosen", "boolean", "true for the k that the clusters have"),
        Column(
            "stability", "number", "mean adjusted Rand index between the clusters of two samples"
        ),
        Column("sample_share", "number", "mean explained share of samples of rows", "share"),
        Column("null_stability", "number", "stability for one normal cloud of the same covariance"),
        Column("null_share", "number", "mean explained share of samples of that cloud", "share"),
        Column("null_error", "number", "standard deviation of that share over samples", "share"),
    ),
)

PROJECTION = Schema(
    "one row of the token embedding in two dimensions",
    (
        Column("token_id", "integer", "row of the embedding"),
        Column("x", "number", "first principal component in the space where tokens are clustered"),
        Column("y", "number", "second principal component there"),
        Column(
            "plane_x",
            "number",
            "place along the direction in which the centers of the clusters lie farthest apart",
        ),
        Column("plane_y", "number", "along the second such direction; missing below 3 clusters"),
        Column("tsne_x", "number", "first t-SNE coordinate, where it was asked for"),
        Column("tsne_y", "number", "second t-SNE coordinate"),
    ),
)

SCHEMAS = {
    "params": PARAMS,
    "matrices": MATRICES,
    "spectra": SPECTRA,
    "histograms": HISTOGRAMS,
    "coverage": COVERAGE,
    "layers": LAYERS,
    "clusters": CLUSTERS,
    "clusters_summary": CLUSTERS_SUMMARY,
    "tokens": TOKENS,
    "elbow": ELBOW,
    "projection": PROJECTION,
}
