"""The columns of the tables of weights: params, matrices, spectra, histograms, coverage, layers.

Notation of the formulas: W is a matrix rows × cols with elements w and singular values
σ₁ ≥ … ≥ σ_q, λ = σ², β the shorter over the longer side, N the number of finite elements.
"""

from dataclasses import replace

from blockresearch.tables.column import (
    BITS,
    BYTES,
    DECIBEL,
    ELEMENTS,
    NONE,
    PER_WEIGHT,
    SHARE,
    WEIGHT,
    WEIGHT_SQUARED,
    Column,
    LowBitFormat,
    Schema,
)
from blockresearch.tables.sources import (
    AWQ,
    CLAUSET,
    FP8,
    GAVISH,
    GPTQ,
    HILL,
    JOHNSTONE,
    MARCHENKO,
    MATRIX_RANK,
    NVFP4,
    OCP,
    QLORA,
    ROY,
    RUDELSON,
    SHANNON,
    SPECTRUM,
    STAATS,
    VUONG,
    WEIGHTWATCHER,
    WEYL,
)

MODEL = Column("model", "string", "name of the model's folder in the results")

PARAM_NAME = Column("param_name", "string", "name of the tensor in the checkpoint", label="tensor")

SLICE = Column(
    "slice",
    "string",
    "part of the tensor, e.g. [3] (an expert), q_proj, [3].gate_proj; delta is the change of a "
    "weight that an adapter makes with this factor and others; empty for the whole tensor",
)

SHARD = Column("shard", "string", "file that contains the tensor")

SHAPE = Column("shape", "integers", "shape as stored, e.g. [151936, 2560]", NONE)

ROWS = Column("rows", "integer", "rows of the matrix", NONE)

COLS = Column("cols", "integer", "columns of the matrix", NONE)

DTYPE = Column("dtype", "string", "stored type, as safetensors names it", label="stored as")

NBYTES = Column("nbytes", "integer", "stored size", BYTES, label="size")

NUMEL = Column(
    "numel", "integer", "number of elements, once unpacked", ELEMENTS, label="parameters"
)

LAYER_INDEX = Column(
    "layer_index",
    "integer",
    "number of the layer within its component, from 0",
    NONE,
    label="layer",
)

BLOCK_TYPE = Column(
    "block_type",
    "string",
    "what it is in the block, e.g. embedding, q_proj, moe, norm",
    label="block type",
)

ATTENTION_OR_EXPERT = Column(
    "role",
    "string",
    "self, cross, indexer or compressor (attention), shared or routed (experts); empty otherwise",
)

COMPONENT = Column(
    "component",
    "string",
    "part of the model: text, vision, audio, projector, encoder, decoder, mtp or adapter",
)

ROLE = (
    COMPONENT,
    Column("projection", "string", "finer name inside the block, e.g. q_norm or gate_proj"),
    ATTENTION_OR_EXPERT,
    Column("expert_index", "integer", "number of the routed expert, from 0", NONE, label="expert"),
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
        "stored bits per element, scales and other companions included",
        BITS,
        "8 · stored bytes / elements",
    ),
)

# The statistics of values that are among the contract's 16 columns.
MOMENTS = (
    Column("mean", "number", "mean of the finite values", WEIGHT, "μ = Σw / N", label="mean"),
    Column(
        "std",
        "number",
        "standard deviation of the finite values (ddof 0)",
        WEIGHT,
        "s = √(Σ(w − μ)² / N)",
        label="standard deviation",
    ),
    Column(
        "var",
        "number",
        "variance of the finite values (ddof 0)",
        WEIGHT_SQUARED,
        "s² = Σ(w − μ)² / N",
        label="variance",
    ),
    Column(
        "sparsity",
        "number",
        "share of finite elements with |w| ≤ sparsity_threshold",
        SHARE,
        "#{|w| ≤ sparsity_threshold} / N",
        label="near zero",
    ),
)

# Column -> share of the finite values that lie below.
QUANTILES = {
    "q001": 0.001,
    "q01": 0.01,
    "q05": 0.05,
    "q25": 0.25,
    "q50": 0.50,
    "q75": 0.75,
    "q95": 0.95,
    "q99": 0.99,
    "q999": 0.999,
}

VALUES = (
    NUMEL,
    Column("finite_count", "integer", "elements that are neither NaN nor infinite", ELEMENTS, "N"),
    Column("nan_count", "integer", "NaN elements", ELEMENTS),
    Column("posinf_count", "integer", "elements equal to +Inf", ELEMENTS),
    Column("neginf_count", "integer", "elements equal to -Inf", ELEMENTS),
    Column("min", "number", "smallest finite value", WEIGHT, "min w", label="smallest w"),
    Column("max", "number", "largest finite value", WEIGHT, "max w", label="largest w"),
    Column("absmax", "number", "largest |w|", WEIGHT, "max |w|", label="largest |w|"),
    Column("rms", "number", "root of the mean square", WEIGHT, "√(Σw² / N)"),
    Column("skewness", "number", "third standardized moment", NONE, "Σ(w − μ)³ / (N s³)"),
    Column(
        "kurtosis_excess",
        "number",
        "fourth standardized moment minus 3 (0 for a normal distribution)",
        NONE,
        "Σ(w − μ)⁴ / (N s⁴) − 3",
        label="excess kurtosis",
    ),
    Column(
        "zero_fraction",
        "number",
        "share of finite elements that are exactly zero",
        SHARE,
        "#{w = 0} / N",
        label="exact zeros",
    ),
    *(
        Column(
            name,
            "number",
            "median" if level == 0.5 else f"{100 * level:g} % quantile",
            WEIGHT,
            f"interpolated between the sorted values ⌊h⌋ and ⌊h⌋ + 1, h = {level:g} (N − 1)",
            "the default of numpy.quantile",
        )
        for name, level in QUANTILES.items()
    ),
    Column(
        "outlier_3sigma",
        "number",
        "share of finite elements more than 3 std from the mean",
        SHARE,
        "#{|w − μ| > 3 s} / N",
        label="beyond 3 std",
    ),
    Column(
        "outlier_6sigma",
        "number",
        "share of finite elements more than 6 std from the mean",
        SHARE,
        "#{|w − μ| > 6 s} / N",
        label="beyond 6 std",
    ),
    Column(
        "max_over_rms",
        "number",
        "absmax / rms",
        NONE,
        "max |w| / √(Σw² / N)",
        label="largest |w| / rms",
    ),
    Column(
        "entropy_bits",
        "number",
        "Shannon entropy of the stored codes",
        BITS,
        "H = −Σ p log₂ p over the stored codes",
        SHANNON,
        "entropy",
    ),
    Column(
        "entropy_sign_bits",
        "number",
        "entropy of the sign bit",
        BITS,
        "−Σ p log₂ p over the signs",
        SHANNON,
    ),
    Column(
        "entropy_exponent_bits",
        "number",
        "entropy of the exponent field",
        BITS,
        "−Σ p log₂ p over the exponents",
        SHANNON,
    ),
    Column(
        "entropy_mantissa_bits",
        "number",
        "entropy of the mantissa field",
        BITS,
        "−Σ p log₂ p over the mantissas",
        SHANNON,
    ),
    Column("distinct_values", "integer", "number of different finite values", NONE),
    Column(
        "fp16_exact_fraction",
        "number",
        "share of finite elements that float16 represents exactly",
        SHARE,
        "#{w = float16(w)} / N",
    ),
    Column(
        "row_norm_cv",
        "number",
        "coefficient of variation (std / mean) of the rows' L2 norms",
        NONE,
        "std(‖wᵢ‖) / mean(‖wᵢ‖) over the rows wᵢ",
    ),
    Column(
        "row_norm_max_over_median",
        "number",
        "largest over median L2 norm of the rows",
        NONE,
        "max ‖wᵢ‖ / median ‖wᵢ‖ over the rows wᵢ",
    ),
    Column(
        "col_norm_cv",
        "number",
        "coefficient of variation of the columns' L2 norms",
        NONE,
        "std(‖wⱼ‖) / mean(‖wⱼ‖) over the columns wⱼ",
    ),
    Column(
        "col_norm_max_over_median",
        "number",
        "largest over median L2 norm of the columns",
        NONE,
        "max ‖wⱼ‖ / median ‖wⱼ‖ over the columns wⱼ",
    ),
    Column(
        "row_absmax_max_over_median",
        "number",
        "largest over median absmax of the rows",
        NONE,
        "max aᵢ / median aᵢ, aᵢ = max |w| of row i",
    ),
    Column(
        "col_absmax_max_over_median",
        "number",
        "largest over median absmax of the columns",
        NONE,
        "max aⱼ / median aⱼ, aⱼ = max |w| of column j",
    ),
    Column("zero_rows", "integer", "rows without a finite value other than zero", NONE),
    Column("zero_cols", "integer", "columns without a finite value other than zero", NONE),
)

TOP = (
    Column(
        "top_values",
        "numbers",
        "the 16 largest |w|, signed, largest first",
        WEIGHT,
        "the w with the largest |w|",
    ),
    Column("top_rows", "integers", "their rows, from 0", NONE),
    Column("top_cols", "integers", "their columns, from 0", NONE),
)

RANK = Column(
    "rank",
    "integer",
    "numerical rank by NumPy's rule for float32, whose threshold grows with the longer side: at "
    "262,144 rows it is 3 % of σ₁; resolved_rank has no such limit",
    NONE,
    "#{σ > σ₁ · max(rows, cols) · 2⁻²³}",
    MATRIX_RANK,
    "rank (NumPy)",
)

RANKS = (
    Column(
        "resolved_rank",
        "integer",
        "number of σ that rounding every element to float32 can neither make nor remove",
        NONE,
        "#{σ > 2⁻²⁴ ‖W‖_F}",
        WEYL,
        "resolved rank",
    ),
    Column(
        "storage_rank",
        "integer",
        "number of σ above what independent errors of rounding to the stored type can make: an "
        "estimate of the rank before rounding; missing for types without fraction bits and for "
        "quantized weights",
        NONE,
        "#{σ > √(maxᵢ Σⱼ u²/12) + √(maxⱼ Σᵢ u²/12)}, u: spacing at w",
    ),
    Column(
        "storage_rank_min",
        "integer",
        "number of σ above what any errors of rounding to the stored type can make: the rank "
        "before rounding was at least this; missing as storage_rank",
        NONE,
        "#{σ > √(Σ u²/4)}, u: spacing at w",
        WEYL,
    ),
)

SPECTRAL = (
    Column(
        "stable_rank",
        "number",
        "squared Frobenius norm over squared spectral norm, ‖W‖_F² / σ₁²",
        NONE,
        "Σλ / λ₁ = ‖W‖_F² / σ₁²",
        RUDELSON,
        "stable rank",
    ),
    Column(
        "effective_rank_sigma",
        "number",
        "exp of the entropy of p = σ / Σσ",
        NONE,
        "exp(−Σ p ln p), p = σ / Σσ",
        ROY,
        "effective rank",
    ),
    Column(
        "effective_rank_energy",
        "number",
        "exp of the entropy of p = σ² / Σσ²",
        NONE,
        "exp(−Σ p ln p), p = σ² / Σσ²",
        ROY,
    ),
    Column(
        "participation_ratio",
        "number",
        "number of singular values among which the energy σ² is spread",
        NONE,
        "(Σλ)² / Σλ²",
    ),
    *(
        Column(
            f"k{share}",
            "integer",
            f"fewest singular values with {share} % of Σσ²",
            NONE,
            f"min {{k : σ₁² + … + σ_k² ≥ 0.{share} Σσ²}}",
        )
        for share in (90, 95, 99)
    ),
    Column(
        "spectral_norm",
        "number",
        "largest singular value σ₁",
        WEIGHT,
        "‖W‖₂ = σ₁",
        label="spectral norm",
    ),
    Column("frobenius_norm", "number", "root of Σσ²", WEIGHT, "‖W‖_F = √Σσ²"),
    Column("nuclear_norm", "number", "sum of the singular values", WEIGHT, "‖W‖_* = Σσ"),
    Column(
        "condition_number",
        "number",
        "σ₁ over the smallest singular value",
        NONE,
        "σ₁ / σ_q",
        label="condition number",
    ),
    Column(
        "alpha",
        "number",
        "exponent of the power law fitted to the tail of λ = σ²",
        NONE,
        "p(λ) ∝ λ^−α for λ ≥ λ_min;  α = 1 + n / Σ ln(λ / λ_min)",
        CLAUSET,
        "exponent α",
    ),
    Column(
        "alpha_xmin",
        "number",
        "smallest λ of the fitted tail",
        WEIGHT_SQUARED,
        "the λ_min with the smallest Kolmogorov-Smirnov distance",
        CLAUSET,
    ),
    Column(
        "alpha_ks",
        "number",
        "Kolmogorov-Smirnov distance of the fit",
        NONE,
        "max |F(λᵢ) − i/n|, i = 0 … n − 1",
        CLAUSET,
    ),
    Column(
        "alpha_tail",
        "integer",
        "number of eigenvalues in the fitted tail",
        NONE,
        "n = #{λ ≥ λ_min}",
        CLAUSET,
    ),
    Column("alpha_stderr", "number", "standard error of alpha", NONE, "(α − 1) / √n", CLAUSET),
    Column(
        "alpha_hill",
        "number",
        "Hill estimate of the exponent over the upper half",
        NONE,
        "1 + k / Σ ln(λᵢ / λ_{k+1}), i = 1 … k, k = ⌊q/2⌋",
        HILL,
    ),
    Column(
        "alpha_xmin_share",
        "number",
        "smallest λ of the fitted tail as a share of the largest",
        SHARE,
        "λ_min / λ₁",
        CLAUSET,
    ),
    Column("alpha_short_tail", "boolean", "true for fewer than 50 eigenvalues in the fitted tail"),
    Column(
        "alpha_bootstrap_std",
        "number",
        "standard deviation of alpha over 20 resamples of the eigenvalues, λ_min chosen anew: how "
        "much alpha depends on single values",
        NONE,
        "std(α*) over resamples with replacement",
        CLAUSET,
    ),
    Column(
        "alpha_noise_ks",
        "number",
        "distance that power laws fitted to noise of the same shape exceed in 19 of 20 matrices: "
        "a larger alpha_ks is no better than noise",
        NONE,
        "0.105 + 0.4 / q, by simulation (docs/calibration.md)",
    ),
    *(
        column
        for name, words, source in (
            ("lognormal", "a lognormal", VUONG),
            ("exponential", "an exponential", VUONG),
            ("truncated", "a truncated power law", CLAUSET),
        )
        for column in (
            Column(
                f"alpha_vs_{name}",
                "number",
                f"log-likelihood ratio of the power law over {words} on the same tail; negative: "
                "the other fits better",
                NONE,
                "Σ ln p(λ) − Σ ln p'(λ), λ ≥ λ_min",
                CLAUSET,
            ),
            Column(
                f"alpha_vs_{name}_p",
                "number",
                "probability of a ratio at least as far from 0 if both fit equally well",
                NONE,
                "erfc(√−R), R: the ratio"
                if name == "truncated"
                else "erfc(|R| / (s √(2n))), R: the ratio, s: std of its terms",
                source,
            ),
        )
    ),
    Column(
        "alpha_passes",
        "boolean",
        "true if the power law may be cited: 50 or more eigenvalues in the tail, alpha at most 6, "
        "alpha_ks below alpha_noise_ks, no alternative better with p < 0.1, and a rank of at least "
        "half the smaller side",
    ),
    Column(
        "weightwatcher_alpha",
        "number",
        "alpha as WeightWatcher computes it by default, for comparison with its results; depends "
        "on the scale of W",
        NONE,
        "as alpha over λ > 1e-5; with 8 to 19 of them 1 + (n − 1) / Σ ln(λ / λ_min)",
        WEIGHTWATCHER,
    ),
    Column(
        "mp_sigma",
        "number",
        "noise level by the median of the Marchenko-Pastur law",
        WEIGHT,
        "σ̂ = median(σ) / √(max(rows, cols) · μ_β), μ_β: median of the law",
        GAVISH,
    ),
    Column(
        "mp_edge",
        "number",
        "upper Marchenko-Pastur edge for that noise, in σ",
        WEIGHT,
        "σ̂ (√rows + √cols)",
        MARCHENKO,
    ),
    Column(
        "mp_lower_edge",
        "number",
        "lower Marchenko-Pastur edge for that noise, in σ",
        WEIGHT,
        "σ̂ |√rows − √cols|",
        MARCHENKO,
    ),
    Column(
        "mp_ks",
        "number",
        "largest distance between the distribution of σ and the Marchenko-Pastur law of that "
        "noise: how badly the law fits",
        NONE,
        "max |F(σᵢ) − i/q|, F: the law with σ̂",
        MARCHENKO,
    ),
    Column(
        "mp_rejected",
        "boolean",
        "true if mp_ks is larger than in 99.9 % of noise matrices: the columns of the law then "
        "describe a spectrum and measure no noise",
    ),
    Column(
        "spikes",
        "integer",
        "singular values that noise of that level exceeds in one of 1,000 matrices",
        NONE,
        "#{σ > σ̂ √((√p + √q)² + t (√p + √q)(1/√p + 1/√q)^⅓)}, t: docs/calibration.md",
        JOHNSTONE,
    ),
    Column(
        "energy_beyond_edge",
        "number",
        "share of Σσ² in the spikes",
        SHARE,
        "Σ_{spikes} σ² / Σσ²",
        MARCHENKO,
    ),
    Column(
        "bottom_decile_energy",
        "number",
        "share of Σσ² in the smallest tenth of σ",
        SHARE,
        "Σ_{smallest tenth} σ² / Σσ²",
        STAATS,
    ),
    Column(
        "spectrum_snr",
        "number",
        "signal-to-noise ratio as the Spectrum tool defines it; depends on the scale of W",
        PER_WEIGHT,
        "Σ_{σ > t} σ / Σ_{σ ≤ t} σ / σ₁, t = IQR(σ)/1.349 · (1 + √β)",
        SPECTRUM,
    ),
    Column(
        "calibrated_snr_db",
        "number",
        "energy of the spikes over energy of the rest; missing without spikes",
        DECIBEL,
        "10 log₁₀(Σ_{spikes} σ² / Σ_{rest} σ²)",
        MARCHENKO,
    ),
)

# The columns that assume the Marchenko-Pastur law.
NOISE_LAW = (
    "mp_sigma",
    "mp_edge",
    "mp_lower_edge",
    "mp_ks",
    "mp_rejected",
    "spikes",
    "energy_beyond_edge",
    "calibrated_snr_db",
)

LOW_BIT_FORMATS = (
    LowBitFormat(
        "int8_channel",
        "INT8 by row",
        8.0,
        "int8 with a scale per row",
        "the rule of compressed-tensors",
    ),
    LowBitFormat("int4_g128_sym", "INT4", 4.13, "symmetric int4 in groups of 128", GPTQ),
    LowBitFormat(
        "int4_g128_asym", "INT4, zero points", 4.16, "int4 with zero points in groups of 128", AWQ
    ),
    LowBitFormat("nf4", "NF4", 4.5, "NF4 in blocks of 64", QLORA),
    LowBitFormat("fp8_tensor", "FP8, one scale", 8.0, "FP8 E4M3 with one scale", FP8),
    LowBitFormat("fp8_channel", "FP8 by row", 8.0, "FP8 E4M3 with a scale per row", FP8),
    LowBitFormat("mxfp4", "MXFP4", 4.25, "MXFP4 (E2M1, power-of-two scales of 32)", OCP),
    LowBitFormat("nvfp4", "NVFP4", 4.5, "NVFP4 (E2M1, E4M3 scales of 16)", NVFP4),
)

ROUNDING = tuple(
    column
    for each in LOW_BIT_FORMATS
    for column in (
        Column(
            f"{each.name}_sqnr_db",
            "number",
            f"signal to rounding error of {each.meaning}",
            DECIBEL,
            "20 log₁₀(‖W‖_F / ‖W − Q(W)‖_F)",
            each.source,
            f"{each.label}: signal / rounding error",
        ),
        Column(
            f"{each.name}_max_error",
            "number",
            f"largest rounding error of {each.meaning}",
            WEIGHT,
            "max |w − Q(w)|",
            each.source,
        ),
    )
)

# What weights that were stored without codes look like; missing if they look like weights.
CODED = (
    Column(
        "coded_bits",
        "integer",
        "bits of the codes that the weights seem to have been before they were dequantized: few "
        "different values in aligned groups; missing if nothing points to codes",
        NONE,
    ),
    Column(
        "coded_group",
        "integer",
        "weights along a row that share a scale of these codes; missing for whole rows",
        ELEMENTS,
    ),
    Column("coded_format", "string", "formats that store such codes, e.g. GGUF Q8_0"),
)

PARAMS = Schema(
    "params.csv, params.json, params.parquet",
    "one stored tensor",
    (
        Column("model_path", "string", "the local folder, or the hub id, that was analyzed"),
        Column("model_id", "string", "hub id (empty for a local folder)"),
        Column("revision", "string", "commit of the hub (empty for a local folder)"),
        PARAM_NAME,
        LAYER_INDEX,
        BLOCK_TYPE,
        SHAPE,
        replace(ROWS, meaning="rows of the 2-D view, unpacked; outputs if it is one matrix"),
        replace(COLS, meaning="columns of the 2-D view"),
        replace(RANK, meaning=f"{RANK.meaning}; missing if the tensor is not one matrix"),
        *MOMENTS,
        DTYPE,
        Column("created_at", "string", "when the checkpoint was resolved", "UTC, ISO 8601"),
        MODEL,
        *ROLE,
        SHARD,
        NBYTES,
        Column("content", "string", "first 16 digits of the sha256 of the stored bytes"),
        *STORAGE,
        *VALUES,
        *TOP,
        *RANKS,
        *SPECTRAL,
        *ROUNDING,
        *CODED,
    ),
)

MATRICES = Schema(
    "matrices.parquet",
    "one matrix as the model multiplies with it (a tensor, one expert of a stack, a slice)",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        LAYER_INDEX,
        BLOCK_TYPE,
        *ROLE,
        ROWS,
        COLS,
        DTYPE,
        *STORAGE,
        RANK,
        Column(
            "rank_ratio",
            "number",
            "rank by NumPy's rule as a share of the smaller side",
            SHARE,
            "rank / min(rows, cols)",
            MATRIX_RANK,
            "rank ratio (NumPy)",
        ),
        Column(
            "resolved_rank_ratio",
            "number",
            "resolved rank as a share of the smaller side",
            SHARE,
            "resolved_rank / min(rows, cols)",
            WEYL,
            "resolved rank ratio",
        ),
        *MOMENTS,
        *VALUES,
        *TOP,
        *RANKS,
        *SPECTRAL,
        *ROUNDING,
        *CODED,
        Column(
            "piece",
            "string",
            "part of a fused projection, e.g. q_proj, or delta; empty for a whole matrix",
        ),
    ),
)

SPECTRA = Schema(
    "spectra.parquet",
    "the singular values of one matrix",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        ROWS,
        COLS,
        Column(
            "method",
            "string",
            "how the values were computed: direct, gram, gram+projection, gram+deflation, "
            "factored; sketch: an estimate of the largest values only; none: and why there are "
            "no values",
        ),
        Column("precision", "string", "type of number in which they were computed"),
        Column(
            "singular_values", "numbers", "all singular values, largest first", WEIGHT, "σ₁ … σ_q"
        ),
        ATTENTION_OR_EXPERT,
    ),
)

HISTOGRAMS = Schema(
    "histograms.parquet",
    "the exact distribution of one tensor of a type of 16 bits or fewer",
    (
        MODEL,
        PARAM_NAME,
        DTYPE,
        Column("codes", "integers", "stored codes that occur", NONE),
        Column("counts", "integers", "how often each of them occurs", ELEMENTS),
        ATTENTION_OR_EXPERT,
    ),
)

COVERAGE = Schema(
    "coverage.csv, coverage.parquet",
    "one tensor of the index or the headers",
    (
        MODEL,
        PARAM_NAME,
        SHARD,
        DTYPE,
        SHAPE,
        NUMEL,
        NBYTES,
        Column("status", "string", "analysed, buffer, companion, unsupported, missing or left out"),
        Column("reason", "string", "why it was not analyzed, or what was noticed"),
        ATTENTION_OR_EXPERT,
    ),
)


def _from_matrices(name: str, meaning: str, new_name: str = "", type: str = "") -> Column:
    """The column of the table matrices that a column of the table layers sums up."""
    column = next(column for column in MATRICES.columns if column.name == name)
    return replace(column, name=new_name or name, meaning=meaning, type=type or column.type)


LAYERS = Schema(
    "layers.csv, layers.parquet",
    "one block type and role in one layer of one component (layer empty: outside the layers)",
    (
        MODEL,
        COMPONENT,
        LAYER_INDEX,
        BLOCK_TYPE,
        ATTENTION_OR_EXPERT,
        Column("tensors", "integer", "number of stored tensors", NONE),
        Column("matrices", "integer", "number of matrices", NONE),
        Column("parameters", "integer", "number of elements", ELEMENTS),
        NBYTES,
        _from_matrices("mean", "mean of all values, without additive biases"),
        _from_matrices("std", "standard deviation of all values together, without additive biases"),
        Column(
            "std_mean",
            "number",
            "mean of the tensors' standard deviations, without additive biases",
            WEIGHT,
            "mean of s over the tensors",
        ),
        _from_matrices("absmax", "largest |w|, without additive biases"),
        _from_matrices("sparsity", "share of finite elements with |w| ≤ sparsity_threshold"),
        _from_matrices("zero_fraction", "share of finite elements that are exactly zero"),
        Column("nan_count", "integer", "NaN elements", ELEMENTS),
        Column("inf_count", "integer", "infinite elements", ELEMENTS),
        _from_matrices("kurtosis_excess", "mean excess kurtosis of the matrices"),
        _from_matrices("outlier_6sigma", "share of elements beyond 6 std of their tensor"),
        _from_matrices("entropy_bits", "mean entropy of the stored codes"),
        _from_matrices("rank_ratio", "mean of rank / min(rows, cols) of the matrices"),
        _from_matrices(
            "resolved_rank_ratio", "mean of resolved_rank / min(rows, cols) of the matrices"
        ),
        _from_matrices("stable_rank", "mean stable rank of the matrices"),
        _from_matrices(
            "effective_rank_sigma",
            "mean effective rank (p = σ / Σσ) of the matrices",
            "effective_rank",
        ),
        _from_matrices("spectral_norm", "largest σ₁ of the matrices"),
        _from_matrices("frobenius_norm", "root of the sum of squares of the matrices"),
        _from_matrices("condition_number", "median condition number of the matrices"),
        _from_matrices(
            "alpha",
            "mean power-law exponent of the matrices whose fit passes (alpha_passes)",
        ),
        Column(
            "alpha_fits",
            "integer",
            "number of matrices whose power law passes; alpha is missing if there are none",
            NONE,
        ),
        _from_matrices("spikes", "mean number of spikes of the matrices", type="number"),
    ),
)
