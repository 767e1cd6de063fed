"""One record per column of every table: name, type, unit, meaning, formula and source.

Everything that lists columns is made from these records: the schemas of the writers, the manual
(docs/outputs.md), the glossary, the headings of pages and the keys of the summaries in the code.
A new statistic is code that computes it and one record here; a new low-bit format is a file in
values/rounding/formats and one record in LOW_BIT_FORMATS.

Notation of the formulas: W is a matrix rows × cols with elements w and singular values
σ₁ ≥ … ≥ σ_q, λ = σ², β the shorter over the longer side, N the number of finite elements.
"""

from dataclasses import dataclass, replace

# Unit of a number that has none: an index, a count of what the column is named after, a ratio.
NONE = "none"

# Units of the weights, of their squares and of their reciprocals.
WEIGHT, WEIGHT_SQUARED, PER_WEIGHT = "w", "w²", "1/w"

SHARE, ELEMENTS, BYTES, DECIBEL, BITS = "share", "elements", "bytes", "dB", "bits per element"

ARDITI = "Arditi and others 2024, arXiv:2406.11717"
CLAUSET = "Clauset, Shalizi and Newman 2009, SIAM Review 51(4), 661–703, arXiv:0706.1062"
AWQ = "Lin and others 2023, arXiv:2306.00978"
FP8 = "Micikevicius and others 2022, arXiv:2209.05433"
GAVISH = "Gavish and Donoho 2014, IEEE Trans. Inf. Theory 60(8), 5040–5053, arXiv:1305.5870"
GPTQ = "Frantar, Ashkboos, Hoefler and Alistarh 2022, arXiv:2210.17323"
HILL = "Hill 1975, Annals of Statistics 3(5), 1163–1174"
JOHNSTONE = "Johnstone 2001, Annals of Statistics 29(2), 295–327"
KMEANS = "Lloyd 1982, IEEE Trans. Inf. Theory 28(2), 129–137"
KNEEDLE = "Satopää, Albrecht, Irwin and Raghavan 2011, ICDCS Workshops, 166–171"
LAND = "Land and Bartolo 2024, EMNLP, 11631–11646, arXiv:2405.05417"
MARCHENKO = "Marchenko and Pastur 1967, Math. USSR-Sbornik 1(4), 457–483"
MATRIX_RANK = "the rule of numpy.linalg.matrix_rank"
NVFP4 = "NVIDIA 2025, arXiv:2509.25149"
OCP = "OCP Microscaling Formats (MX) Specification 1.0, 2023"
QLORA = "Dettmers, Pagnoni, Holtzman and Zettlemoyer 2023, arXiv:2305.14314"
RAND = "Hubert and Arabie 1985, Journal of Classification 2, 193–218"
ROY = "Roy and Vetterli 2007, EUSIPCO, 606–610"
RUDELSON = "Rudelson and Vershynin 2007, Journal of the ACM 54(4), arXiv:math/0503442"
SHANNON = "Shannon 1948, Bell System Technical Journal 27, 379–423"
SHADOW = "Wu and others 2025, arXiv:2505.12716"
SILHOUETTE = "Rousseeuw 1987, J. Comput. Appl. Math. 20, 53–65"
SPECTRUM = "Hartford, Atkins, Fernandes Neto and Golchinfar 2024, arXiv:2406.06623"
SHUTTLEWORTH = "Shuttleworth and others 2024, arXiv:2410.21228"
STAATS = "Staats, Thamm and Rosenow 2024, arXiv:2410.17770"
VALLENDER = "Vallender 1974, Theory Probab. Appl. 18(4), 784–786"
VUONG = "Vuong 1989, Econometrica 57(2), 307–333"
WEDIN = "Davis and Kahan 1970, SIAM J. Numer. Anal. 7(1), 1–46"
WEIGHTWATCHER = "Martin and Mahoney 2021, JMLR 22(165), arXiv:1810.01075; WeightWatcher 0.7.7"
WEYL = "Weyl 1912, Mathematische Annalen 71, 441–479"
ZHU = "Zhu, Ahmed, Kuditipudi and Liang 2025, arXiv:2502.12292"
TSNE = "van der Maaten and Hinton 2008, JMLR 9, 2579–2605"


@dataclass(frozen=True)
class Column:
    """One column.

    `type` is string, integer, number, boolean, integers or numbers (lists). Every numeric column
    states its `unit`, NONE if it has none, and every number its `formula`. `source` is the
    publication that defines it, empty if the formula is common knowledge or our own. `label` is
    the short title on pages, by default the name.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    formula: str = ""
    source: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        """The heading of the column on pages."""
        return self.label or self.name


@dataclass(frozen=True)
class Schema:
    """One table: the files that contain it, what a row is, and its columns in order."""

    files: str
    row: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class LowBitFormat:
    """A format to which weights are rounded, computed by values/rounding/formats/`name`.py.

    `bits` per weight include the scales: 16 bits each in the integer formats, 32 in NF4, 8 in
    MXFP4 and NVFP4; those of a row or a matrix hardly count.
    """

    name: str
    label: str
    bits: float
    meaning: str
    source: str = ""


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

TOKEN_ID = Column("token_id", "integer", "row of the embedding", NONE, label="id")

TOKEN = Column("token", "string", "its text with visible escapes; empty if the tokenizer has none")

KIND = Column("kind", "string", "normal, special, added, byte, or unnamed (not in tokenizer.json)")

NORM = Column("norm", "number", "L2 norm of the row", WEIGHT, "‖x‖₂")

# Distances in the space of the metric: that of the weights, or of rows scaled to length 1.
METRIC = "unit of the metric"

CLUSTERS = Schema(
    "embedding/clusters.csv, embedding/clusters.parquet",
    "one row of the token embedding",
    (
        MODEL,
        TOKEN_ID,
        TOKEN,
        KIND,
        Column("cluster", "integer", "cluster of the row, from 0 (the largest)", NONE),
        Column(
            "distance",
            "number",
            "distance to the center of its cluster, in the space of the metric",
            METRIC,
            "‖x − c(x)‖",
            KMEANS,
        ),
        Column(
            "margin",
            "number",
            "squared distance to the next center minus that to its own, in the same space",
            "its square",
            "‖x − c₂(x)‖² − ‖x − c(x)‖²",
        ),
        NORM,
    ),
)

CLUSTERS_SUMMARY = Schema(
    "embedding/clusters_summary.csv, embedding/clusters_summary.parquet",
    "one cluster of the token embedding",
    (
        MODEL,
        Column("cluster", "integer", "number of the cluster, 0 is the largest", NONE),
        Column("size", "integer", "rows in it", "tokens", label="tokens"),
        Column("share", "number", "share of all rows", SHARE, "size / rows"),
        Column(
            "inertia_share",
            "number",
            "share of the total inertia",
            SHARE,
            "Σ_{cluster} ‖x − c(x)‖² / Σ ‖x − c(x)‖²",
            KMEANS,
            "share of inertia",
        ),
        Column("mean_norm", "number", "mean L2 norm of its rows", WEIGHT, "mean of ‖x‖₂"),
        Column(
            "mean_distance",
            "number",
            "mean distance to its center, in the space of the metric",
            METRIC,
            "mean of ‖x − c(x)‖",
            KMEANS,
        ),
        Column("categories", "string", "categories of most of its tokens, with shares"),
        Column("scripts", "string", "scripts of most of its tokens with letters, with shares"),
        Column(
            "leading_space",
            "number",
            "tokens that start with a space",
            SHARE,
            "#{tokens with a leading space} / size",
        ),
        Column("typical_tokens", "string", "tokens with the largest margin, largest first"),
        Column("central_tokens", "string", "tokens nearest to the center, nearest first"),
        Column("odd_tokens", "string", "tokens farthest from the center, farthest first"),
    ),
)

TOKENS = Schema(
    "embedding/tokens.csv, embedding/tokens.parquet, embedding/output_tokens.csv, "
    "embedding/output_tokens.parquet",
    "one row of the token embedding, or of a separate output layer",
    (
        MODEL,
        replace(TOKEN_ID, meaning="number of the row"),
        TOKEN,
        KIND,
        Column(
            "category",
            "string",
            "letters, digits, punctuation, whitespace, control, code, mixed, byte, special or "
            "unused",
        ),
        Column("script", "string", "Unicode script of most of its letters"),
        Column(
            "leading_space",
            "boolean",
            "starts with a space (in WordPiece: it begins a word); false without a text",
        ),
        Column("length", "integer", "length without the leading space", "characters or bytes"),
        NORM,
        Column(
            "centroid_distance",
            "number",
            "distance to the mean of all rows",
            WEIGHT,
            "‖x − mean(x)‖₂",
        ),
        Column(
            "neighbours",
            "integers",
            "rows with the largest cosines to this one; missing if they were not searched",
            NONE,
        ),
        Column(
            "nearest_cosine",
            "number",
            "cosine to the nearest of them",
            NONE,
            "max x·y / (‖x‖₂ ‖y‖₂) over the other rows y",
        ),
        Column(
            "duplicate_of",
            "integer",
            "the first row with the same values, if this is not the first",
            NONE,
        ),
        Column(
            "output_cosine",
            "number",
            "cosine between its rows in the embedding and in the separate output layer",
            NONE,
            "x·y / (‖x‖₂ ‖y‖₂), y: its output row",
        ),
        Column("reference", "boolean", "taken as untrained: scores are likeness to these rows"),
        Column(
            "undertrained_score",
            "number",
            "likeness to untrained rows, higher is more alike; the method is in summary.json",
            NONE,
            "cos(x, r) without their common direction, or 1 − ‖x − r‖ / median ‖x − r‖, r: mean "
            "reference row",
            LAND,
        ),
        Column(
            "undertrained_rank",
            "integer",
            "rank by that score, from 1, among rows that were not known to be untrained; scores "
            "equal to 5 decimals share the first rank",
            NONE,
            "",
            LAND,
        ),
        *(
            Column(
                f"magikarp_{name}",
                "number",
                f"{words} mean reference row, the indicator {theirs} of Land and Bartolo; low "
                "values look untrained",
                unit,
                formula,
                LAND,
            )
            for name, words, theirs, unit, formula in (
                (
                    "cosine_distance",
                    "cosine distance to the",
                    "'E_out cosine distance' (default if tied)",
                    NONE,
                    "1 − x·r / (‖x‖ ‖r‖)",
                ),
                (
                    "centered_cosine_distance",
                    "cosine distance, seen from the mean of all rows, to the",
                    "'centered E_out cosine distance'",
                    NONE,
                    "1 − cos(x − mean(x), r − mean(x))",
                ),
                (
                    "no_pc_cosine_distance",
                    "cosine distance without the first principal component of all rows to the",
                    "'E_out cosine distance w/o 1st PC'",
                    NONE,
                    "1 − cos(x − (x·u₁) u₁, r − (r·u₁) u₁)",
                ),
                (
                    "l2_distance",
                    "distance to the",
                    "'E_out L2 distance'",
                    WEIGHT,
                    "‖x − r‖₂",
                ),
            )
        ),
    ),
)

EXPLAINED_SHARE = Column(
    "explained_share",
    "number",
    "share of the scatter that the clusters explain",
    SHARE,
    "1 − inertia(k) / inertia(1)",
    KMEANS,
)

STABILITY = Column(
    "stability",
    "number",
    "mean adjusted Rand index between the clusters of two of 4 samples, on the rows of a fifth",
    NONE,
    "(RI − E[RI]) / (max RI − E[RI]), mean over pairs of samples",
    RAND,
)

STABILITY_ERROR = Column(
    "stability_error",
    "number",
    "standard error of that stability, from the choice of the samples",
    NONE,
    "jackknife over the n samples: √((n − 1)/n Σ(θᵢ − mean θ)²), θᵢ: without sample i",
    "Efron and Stein 1981, Annals of Statistics 9(3), 586–596",
)

ELBOW = Schema(
    "embedding/elbow.csv, embedding/elbow.parquet",
    "one number of clusters tried",
    (
        MODEL,
        Column("k", "integer", "number of clusters", NONE),
        Column(
            "inertia",
            "number",
            "sum of squared distances to the centers, in the space of the metric",
            "square of the unit of the metric",
            "Σ ‖x − c(x)‖²",
            KMEANS,
        ),
        EXPLAINED_SHARE,
        Column(
            "elbow_height",
            "number",
            "distance below the chord of the scaled curve",
            NONE,
            "1 − x − y, x: k and y: inertia, each scaled to 0 … 1",
            KNEEDLE,
        ),
        Column(
            "silhouette",
            "number",
            "mean silhouette of a sample of at most 2,000 rows",
            NONE,
            "mean of (b − a) / max(a, b), a: own cluster, b: next",
            SILHOUETTE,
        ),
        Column(
            "silhouette_error",
            "number",
            "standard error of the silhouette, from the choice of the sample",
            NONE,
            "std / √n · √(1 − n / rows), n: rows in the sample",
        ),
        Column("chosen", "boolean", "true for the k of the final clusters"),
        STABILITY,
        STABILITY_ERROR,
        replace(
            EXPLAINED_SHARE,
            name="sample_share",
            meaning="mean explained share of 4 samples of at most 8,192 rows",
        ),
        Column(
            "sample_share_error",
            "number",
            "standard error of that mean",
            SHARE,
            "std of the shares / √4",
        ),
        replace(
            STABILITY,
            name="null_stability",
            meaning="stability for 8 samples of one normal cloud of the same covariance",
        ),
        replace(STABILITY_ERROR, name="null_stability_error"),
        replace(
            EXPLAINED_SHARE,
            name="null_share",
            meaning="mean explained share of samples of that cloud",
        ),
        Column(
            "null_error",
            "number",
            "standard deviation of that share over samples",
            SHARE,
            "std of 1 − inertia(k) / inertia(1)",
        ),
    ),
)

PROJECTION = Schema(
    "embedding/projection.parquet",
    "one row of the token embedding in two dimensions",
    (
        MODEL,
        TOKEN_ID,
        Column(
            "x",
            "number",
            "first principal component in the space in which tokens are clustered",
            METRIC,
            "u₁·(x − mean(x))",
        ),
        Column("y", "number", "second principal component there", METRIC, "u₂·(x − mean(x))"),
        Column(
            "plane_x",
            "number",
            "coordinate along the direction in which the centers of the clusters are farthest "
            "apart",
            METRIC,
            "v₁·(x − mean(x)), v: principal components of the centers, weighted by their tokens",
        ),
        Column(
            "plane_y",
            "number",
            "coordinate along the second such direction; missing below 3 clusters",
            METRIC,
            "v₂·(x − mean(x))",
        ),
        Column(
            "tsne_x",
            "number",
            "first t-SNE coordinate, if t-SNE was requested",
            NONE,
            "t-distributed stochastic neighbor embedding",
            TSNE,
        ),
        Column(
            "tsne_y",
            "number",
            "second t-SNE coordinate",
            NONE,
            "t-distributed stochastic neighbor embedding",
            TSNE,
        ),
    ),
)

_SIDES = (
    replace(MODEL, meaning="name of the other side's folder in the results"),
    Column("base_model", "string", "name of the base's folder in the results"),
)

_OTHER_SIDE = (
    Column("other_name", "string", "name of the tensor on the other side"),
    Column("other_slice", "string", "part of that tensor"),
)

_PLACE = (
    COMPONENT,
    LAYER_INDEX,
    BLOCK_TYPE,
    Column("projection", "string", "what the matrix is in its layer, e.g. q_proj"),
    ATTENTION_OR_EXPERT,
    Column("expert_index", "integer", "number of the routed expert", NONE),
)

_BOTH_SHAPES = (
    Column("rows", "integer", "rows of the base", NONE),
    Column("cols", "integer", "columns of the base", NONE),
    Column("other_layer_index", "integer", "layer on the other side", NONE),
    Column("other_rows", "integer", "rows of the other side", NONE),
    Column("other_cols", "integer", "columns of the other side", NONE),
    Column("dtype", "string", "stored type of the base"),
    Column("other_dtype", "string", "stored type of the other side"),
    Column("other_scheme", "string", "quantization scheme of the other side"),
)

PAIRS = Schema(
    "pairs.csv, pairs.parquet",
    "one matrix, or one tensor of values, of both checkpoints or of one of them",
    (
        *_SIDES,
        Column(
            "status",
            "string",
            "matched, renamed, moved (same bytes at another place), copied (same bytes once more), "
            "resized (other vocabulary), "
            "reshaped, untied (the base ties its output layer to the embedding), tied (the other "
            "side does), only_base or only_other",
        ),
        Column("rule", "string", "how it was matched: name, prefix, role, content or similarity"),
        Column("score", "number", "similarity of the names", NONE, "2 matches / all words"),
        PARAM_NAME,
        SLICE,
        *_OTHER_SIDE,
        *_PLACE,
        *_BOTH_SHAPES,
        Column("elements", "integer", "elements that were compared", ELEMENTS),
        Column(
            "copy_of",
            "string",
            "tensor of the base with the same bytes, if that is not the one it is matched with",
        ),
        Column("note", "string", "what else is known"),
    ),
)

_DELTA = "Δ = other - base"

DIFFERENCES = Schema(
    "differences.csv, differences.parquet",
    "one matched pair of matrices, or of tensors of values",
    (
        *_SIDES,
        PARAM_NAME,
        SLICE,
        *_OTHER_SIDE,
        *_PLACE,
        *_BOTH_SHAPES,
        Column("elements", "integer", "elements that are finite on both sides", ELEMENTS),
        Column("not_finite", "integer", "elements that are not", ELEMENTS),
        Column("delta_norm", "number", f"Frobenius norm of {_DELTA}", WEIGHT, "‖Δ‖_F"),
        Column("relative_change", "number", "size of the change", NONE, "‖Δ‖_F / ‖A‖_F"),
        Column(
            "sqnr_db",
            "number",
            "the same in decibels: signal to noise of the other side as a copy of the base",
            DECIBEL,
            "20 log₁₀(‖A‖_F / ‖Δ‖_F)",
        ),
        Column(
            "cosine", "number", "cosine of the angle between both", NONE, "⟨A, B⟩ / (‖A‖_F ‖B‖_F)"
        ),
        Column(
            "shadow_sigma",
            "number",
            "relative difference of absolute values",
            NONE,
            "Σ|a - b| / (Σ|a| + Σ|b|)",
            SHADOW,
        ),
        Column("changed", "number", "share of elements whose stored code changed", SHARE, "n / N"),
        Column("sign_flips", "integer", "elements that changed their sign", ELEMENTS),
        Column("zeroed", "number", "share of elements that became zero", SHARE, "n / N"),
        Column("max_change", "number", "largest |δ|", WEIGHT, "max |δ|"),
        Column("max_change_row", "integer", "its row in the base", NONE),
        Column("max_change_col", "integer", "its column in the base", NONE),
        Column(
            "compared_as",
            "string",
            "type whose codes were compared: the coarser of both, to which the other was rounded",
        ),
        Column(
            "ulp_median",
            "integer",
            "median change of the elements that changed, in units in the last place",
            "ulp",
        ),
        Column("ulp_p99", "integer", "their 99 % quantile", "ulp"),
        Column("ulp_max", "integer", "their maximum", "ulp"),
        Column(
            "wasserstein",
            "number",
            "distance of the two distributions of values, without regard to places",
            WEIGHT,
            "∫ |F_A(w) - F_B(w)| dw",
            VALLENDER,
        ),
        Column(
            "row_scaled_residual",
            "number",
            "what is left of the other side if each row of the base is scaled to fit best",
            NONE,
            "‖B - diag(s) A‖_F / ‖B‖_F",
        ),
        Column(
            "column_scaled_residual",
            "number",
            "the same with each column scaled, as AWQ and SmoothQuant do",
            NONE,
            "‖B - A diag(s)‖_F / ‖B‖_F",
        ),
        Column(
            "relation",
            "string",
            "what the other side is if elements do not agree: transposed, rows_interleaved, "
            "rows_permuted, columns_permuted, expert_permuted, negated, rotated or unrelated",
        ),
        Column("base_expert", "integer", "expert of the base that it is, if not its own", NONE),
        Column("grid_format", "string", "low-bit format that the other side was rounded to"),
        Column(
            "grid_sqnr_db",
            "number",
            "signal to noise of plain rounding of the base to that format",
            DECIBEL,
            "20 log₁₀(‖A‖_F / ‖A − Q(A)‖_F)",
        ),
        Column(
            "shared_direction",
            "number",
            "agreement of the first direction of Δ with the one that most matrices share",
            NONE,
            "|⟨u₁(Δ), r⟩|, r: first right singular vector of the stacked u₁",
            ARDITI,
        ),
        Column(
            "shared_direction_left",
            "number",
            "size of what the other side writes along it, relative to the base",
            NONE,
            "‖rᵀB‖ / ‖rᵀA‖",
            ARDITI,
        ),
        Column("delta_spectral_norm", "number", "largest singular value of Δ", WEIGHT, "σ₁(Δ)"),
        Column("delta_stable_rank", "number", "stable rank of Δ", NONE, "Σλ / λ₁", RUDELSON),
        Column(
            "delta_effective_rank",
            "number",
            "effective rank of Δ",
            NONE,
            "exp(-Σ p ln p), p = σ/Σσ",
            ROY,
        ),
        Column("delta_k90", "integer", "directions with 90 % of the energy of Δ", NONE),
        Column("delta_k95", "integer", "directions with 95 %", NONE),
        Column("delta_k99", "integer", "directions with 99 %", NONE),
        Column("delta_energy_8", "number", "energy in the 8 largest", SHARE, "Σ_{i≤8} λ / Σλ"),
        Column("delta_energy_16", "number", "energy in the 16 largest", SHARE, "Σ_{i≤16} λ / Σλ"),
        Column("delta_energy_64", "number", "energy in the 64 largest", SHARE, "Σ_{i≤64} λ / Σλ"),
        Column(
            "delta_storage_rank",
            "integer",
            "singular values of Δ that rounding of both sides to their stored types cannot explain",
            NONE,
        ),
        Column("delta_spikes", "integer", "singular values of Δ beyond noise", NONE),
        Column(
            "delta_mp_ks",
            "number",
            "distance of the spectrum of Δ from noise",
            NONE,
            "sup |F - F_MP|",
            MARCHENKO,
        ),
        Column(
            "delta_singular_values", "numbers", "singular values of Δ", WEIGHT, "σ₁(Δ) … σ_q(Δ)"
        ),
    ),
)

SUBSPACES = Schema(
    "subspaces.csv, subspaces.parquet",
    "one matched matrix that changed, and whose elements agree",
    (
        *_SIDES,
        PARAM_NAME,
        SLICE,
        *_OTHER_SIDE,
        *_PLACE,
        *_BOTH_SHAPES,
        Column(
            "spectral_shift",
            "number",
            "change of the leading singular values (up to 128)",
            NONE,
            "‖σ(B) − σ(A)‖ / ‖σ(A)‖",
        ),
        *(
            column
            for k in (8, 32, 128)
            for column in (
                *(
                    column
                    for side, vectors, length in (("left", "U", "rows"), ("right", "V", "cols"))
                    for column in (
                        Column(
                            f"{side}_overlap_{k}",
                            "number",
                            f"agreement of the {k} leading {side} singular vectors of both sides",
                            NONE,
                            f"‖{vectors}ᵀ{vectors}'‖_F² / {k}",
                        ),
                        Column(
                            f"{side}_z_{k}",
                            "number",
                            "the same in standard deviations above independent subspaces",
                            NONE,
                            f"(overlap − {k} / {length}) / std",
                        ),
                        Column(
                            f"{side}_angle_{k}",
                            "number",
                            "largest principal angle between both subspaces",
                            "degrees",
                            f"arccos σ_min({vectors}ᵀ{vectors}')",
                        ),
                    )
                ),
                Column(
                    f"gap_{k}",
                    "number",
                    f"gap of the base behind its {k} leading directions",
                    WEIGHT,
                    f"σ_{k}(A) − σ_{k + 1}(A)",
                    WEDIN,
                ),
                Column(
                    f"delta_inside_{k}",
                    "number",
                    f"share of the energy of Δ in the {k} leading subspaces of the base",
                    SHARE,
                    "‖UᵀΔV‖_F² / ‖Δ‖_F²",
                ),
                Column(
                    f"intruders_{k}",
                    "integer",
                    f"of the {k} leading left directions of the other side, those that are no "
                    "leading direction of the base (cosine below 0.6 with each of 128)",
                    NONE,
                    source=SHUTTLEWORTH,
                ),
            )
        ),
    ),
)

_HEAD_PARTS = (
    ("q", "rows of q_proj"),
    ("k", "rows of k_proj for its group"),
    ("v", "rows of v_proj for its group"),
    ("o", "columns of o_proj"),
)

HEADS = Schema(
    "heads.csv, heads.parquet",
    "one query head of a layer of which a projection changed",
    (
        *_SIDES,
        COMPONENT,
        LAYER_INDEX,
        ATTENTION_OR_EXPERT,
        Column("head", "integer", "number of the query head", NONE),
        Column("kv_head", "integer", "number of the key-value head of its group", NONE),
        *(
            column
            for letter, what in _HEAD_PARTS
            for column in (
                Column(
                    f"{letter}_relative_change",
                    "number",
                    f"size of the change of the {what}",
                    NONE,
                    "‖Δ‖_F / ‖A‖_F",
                ),
                Column(
                    f"{letter}_overlap",
                    "number",
                    "agreement of the subspaces of the head on both sides",
                    NONE,
                    "‖QᵀQ'‖_F² / d",
                ),
            )
        ),
    ),
)

LINEAGE = Schema(
    "lineage.csv, lineage.parquet",
    "one tested layer, of one expert if it has several",
    (
        *_SIDES,
        COMPONENT,
        LAYER_INDEX,
        Column("units", "integer", "hidden units that were matched", NONE),
        *(
            column
            for name, what in (
                ("up", "the order of units in up_proj on both sides"),
                ("gate", "the order of units in gate_proj on both sides"),
                ("units", "the orders that were found in up_proj and in gate_proj"),
            )
            for column in (
                Column(
                    f"{name}_correlation",
                    "number",
                    f"rank correlation of {what}",
                    NONE,
                    "1 − 6 Σ d² / (n (n² − 1))",
                ),
                Column(
                    f"{name}_log10_p",
                    "number",
                    "probability of as much correlation if both started independently",
                    NONE,
                    "log₁₀ P(t_{n−2} ≥ t)",
                    ZHU,
                ),
            )
        ),
    ),
)

MIXTURE = Schema(
    "mixture.csv, mixture.parquet",
    "one matrix that the other side, the base and all other parents have",
    (
        *_SIDES,
        Column("other_name", "string", "name on the other side, and part of the tensor"),
        Column(
            "weights",
            "numbers",
            "weight of the base, then of each other parent",
            NONE,
            "argmin ‖B − Σ x P‖_F",
        ),
        Column("residual", "number", "what this mixture leaves", NONE, "‖B − Σ x P‖_F / ‖B‖_F"),
        Column(
            "nearest_residual",
            "number",
            "what the nearest parent alone leaves",
            NONE,
            "min ‖B − P‖_F / ‖B‖_F",
        ),
    ),
)

VOCABULARY = Schema(
    "vocabulary.csv, vocabulary.parquet",
    "one token that only one side has, or that has another row there",
    (
        *_SIDES,
        Column("status", "string", "added, removed or renumbered"),
        Column("token", "string", "its text with visible escapes"),
        Column("base_id", "integer", "row in the base", NONE),
        Column("other_id", "integer", "row on the other side", NONE),
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
    "pairs": PAIRS,
    "differences": DIFFERENCES,
    "subspaces": SUBSPACES,
    "heads": HEADS,
    "lineage": LINEAGE,
    "mixture": MIXTURE,
    "vocabulary": VOCABULARY,
}


def find_column(table: str, name: str) -> Column:
    """The record of a column. Raises KeyError if the table has no such column."""
    for column in SCHEMAS[table].columns:
        if column.name == name:
            return column
    raise KeyError(f"{table}.{name}")
