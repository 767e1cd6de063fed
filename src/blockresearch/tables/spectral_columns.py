"""The columns of singular values: ranks, metrics of the spectrum, the law of noise.

Notation of the formulas: W is a matrix rows × cols with singular values σ₁ ≥ … ≥ σ_q, λ = σ² and
β the shorter over the longer side.
"""

from blockresearch.tables.column import (
    DECIBEL,
    NONE,
    PER_WEIGHT,
    SHARE,
    WEIGHT,
    WEIGHT_SQUARED,
    Column,
)
from blockresearch.tables.sources import (
    CLAUSET,
    GAVISH,
    HILL,
    JOHNSTONE,
    MARCHENKO,
    MATRIX_RANK,
    ROY,
    RUDELSON,
    SPECTRUM,
    STAATS,
    VUONG,
    WEIGHTWATCHER,
    WEYL,
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
