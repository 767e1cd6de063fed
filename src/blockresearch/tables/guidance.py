"""The accuracy of each number, meaning for trained weights, when not to use it.

One record for columns that share all three. Every numeric column of the tables of weights, layers
and tokens is in exactly one. The manual and the glossary show them beside the records of `columns`.
"""

from dataclasses import dataclass

from blockresearch.tables.rounding_columns import (
    LOW_BIT_FORMATS,
)
from blockresearch.tables.value_columns import (
    QUANTILES,
)

# Columns that identify a row or count what is stored.
IDENTITY = frozenset(
    "layer_index shape rows cols nbytes numel finite_count nan_count posinf_count neginf_count "
    "expert_index bits_per_weight tensors matrices parameters inf_count top_rows top_cols codes "
    "counts token_id length cluster size k random_state other_rows other_cols base_id "
    "other_id other_layer_index base_expert head kv_head units head_size "
    "layer_experts from_layer from_head to_layer to_head row col channel neuron".split()
)


@dataclass(frozen=True)
class Guidance:
    """What holds for some `columns`; `trained` is what they show in trained weights."""

    columns: tuple[str, ...]
    accuracy: str
    trained: str
    caution: str


def _of(columns: str, accuracy: str, trained: str, caution: str) -> Guidance:
    return Guidance(tuple(columns.split()), accuracy, trained, caution)


SVD = "1e-7 of the smallest σ used for σ ≥ 1e-4 σ₁, 1e-6 for σ ≥ 1e-7 σ₁; usually 1e-10"

SAMPLED = "an average over random samples; see the column with its error"

GUIDANCE = (
    _of(
        "mean std var min max absmax rms std_mean",
        "exact to the last digits of float64",
        "the mean is near 0 beside std; std follows the initialization, the width and weight decay",
        "norms of families that add 1 (Gemma) are as stored; absmax of one weight is no scale",
    ),
    _of(
        "skewness kurtosis_excess max_over_rms outlier_3sigma outlier_6sigma",
        "exact; for F64 outlier shares are interpolated (2⁻¹⁰ of a value)",
        "heavy tails are usual in the first and last layers and in down_proj; a normal law has "
        "kurtosis 0, 0.27 % beyond 3 std and about 5 rms for a million weights",
        "compare matrices of similar size only: maxima grow with the number of weights",
    ),
    Guidance(
        ("top_values", *QUANTILES),
        "exact; for F64 and wide integers an order statistic is within 2⁻¹⁰ of its value",
        "the spread of the bulk without the influence of outliers",
        "coarse types have few values, so neighboring quantiles can be equal",
    ),
    _of(
        "sparsity zero_fraction zero_rows zero_cols",
        "exact counts",
        "near 0 unless weights were pruned, padded or never trained",
        "the threshold of sparsity is absolute: it means more for small weights",
    ),
    _of(
        "entropy_bits entropy_sign_bits entropy_exponent_bits entropy_mantissa_bits "
        "distinct_values fp16_exact_fraction",
        "exact; entropies count codes (±0 are two, NaN counts), distinct_values finite values",
        "BF16 weights carry about 10.5 of 16 bits: 1 of sign, 2.6 of exponent, 7 of mantissa",
        "not an estimate of the information in a model; missing for wide types",
    ),
    _of(
        "row_norm_cv row_norm_max_over_median col_norm_cv col_norm_max_over_median "
        "row_absmax_max_over_median col_absmax_max_over_median",
        "exact to rounding in float64",
        "large ratios mark outlier channels, which decide the error of coarse quantization",
        "undefined for vectors; a few dead rows change the ratio to the median little",
    ),
    _of(
        "rank rank_ratio",
        "exact for the stated threshold, whose σ are known to 1e-6",
        "full or nearly full in BF16, because rounding fills the small end",
        "not for tables of many rows: its threshold grows with them (use resolved_rank)",
    ),
    _of(
        "resolved_rank resolved_rank_ratio",
        "σ near the threshold of about 1e-7 to 1e-6 σ₁ are known to 1e-6",
        "full for nearly every trained matrix; less means columns that depend on each other",
        "says nothing of how much the small directions matter, nor of the rank before rounding",
    ),
    _of(
        "storage_rank storage_rank_min",
        "an estimate for independent rounding errors, and a bound for any",
        "below full where low-rank factors were merged, or where small σ drown in rounding",
        "repeated rounding errors raise the estimate; the bound is far too low for flat spectra",
    ),
    _of(
        "stable_rank effective_rank_sigma effective_rank_energy participation_ratio k90 k95 k99 "
        "effective_rank",
        SVD,
        "how many directions carry the energy: far below the rank, lowest in attention's q and k",
        "depends on the shape: compare shares of the smaller side between different shapes",
    ),
    _of(
        "spectral_norm frobenius_norm nuclear_norm",
        "1e-10 or better",
        "the largest stretch of a vector, and two sums over all directions",
        "in units of the weights: a norm before the matrix can hide or double any scale",
    ),
    _of(
        "condition_number bottom_decile_energy",
        "1e-6 of the smallest σ, if σ ≥ 1e-7 σ₁",
        "decided by the smallest directions, which for 16-bit types are mostly rounding",
        "not beyond 1/eps of the stored type (256 for BF16, 2,048 for F16, 1.7e7 for F32)",
    ),
    _of(
        "alpha alpha_xmin alpha_ks alpha_tail alpha_stderr alpha_hill alpha_xmin_share "
        "alpha_bootstrap_std weightwatcher_alpha alpha_fits",
        "the fit equals powerlaw 1.5 and WeightWatcher 0.7.7 to 1e-12; its uncertainty is "
        "alpha_bootstrap_std, often above alpha_stderr",
        "heavy-tailed self-regularization reads 2 to 6; noise gives 2 to 50, so large values mean "
        "no tail",
        "do not cite unless alpha_passes; do not average over layers that fail; alpha_hill fits "
        "half of the spectrum, which is no tail",
    ),
    _of(
        "alpha_noise_ks alpha_vs_lognormal alpha_vs_lognormal_p alpha_vs_exponential "
        "alpha_vs_exponential_p alpha_vs_truncated alpha_vs_truncated_p",
        "likelihoods at their maximum to 1e-6; the bound by simulation, within 0.01",
        "most tails are too short to tell a power law from a lognormal",
        "p is conditional on the chosen tail and for independent values, which λ are not",
    ),
    _of(
        "mp_sigma mp_edge mp_lower_edge mp_ks spikes energy_beyond_edge calibrated_snr_db",
        "1e-10; false alarms of spikes 0.04 to 0.2 % (docs/calibration.md)",
        "the law is rejected for nearly every trained matrix: they describe another law's shape",
        "not as noise level or signal if mp_rejected",
    ),
    _of(
        "spectrum_snr",
        "1e-10",
        "the score by which the tool Spectrum selects layers",
        "depends on the scale of W and is above 0 for pure noise",
    ),
    Guidance(
        tuple(f"{e.name}_{end}" for e in LOW_BIT_FORMATS for end in ("sqnr_db", "max_error")),
        "1e-6 dB and 2e-5 (float32); NVFP4 0.03 dB between ways to divide by its scale",
        "4-bit formats lose 15 to 22 dB; differences below 0.5 dB are matters of convention",
        "no prediction of a model's quality; the second rounding if coded_bits is present",
    ),
    _of(
        "coded_bits coded_group",
        "from eight rows; see docs/metrics.md for what hides codes",
        "missing for weights that were never quantized",
        "a hint, not a proof of the format",
    ),
    _of(
        "norm centroid_distance mean_norm",
        "float64 sums of the stored values; centroid_distance 1e-8",
        "short and long vectors follow the frequency of tokens",
        "compare within one table",
    ),
    Guidance(
        ("nearest_cosine", "neighbours", "duplicate_of", "output_cosine"),
        "1e-6 (float32); equally near rows can change places",
        "most tokens have a neighbor at 0.3 to 0.7; 1 means the same direction",
        "missing for tokens that were not searched is not the same as no neighbor",
    ),
    _of(
        "undertrained_score undertrained_rank magikarp_cosine_distance "
        "magikarp_centered_cosine_distance magikarp_no_pc_cosine_distance magikarp_l2_distance",
        "2e-6",
        "untrained tokens stand out at one end; the check in summary.json says how well",
        "a candidate list, not a verdict: only running the model verifies a token",
    ),
    _of(
        "distance margin share inertia_share mean_distance inertia explained_share elbow_height",
        "1e-3 or better (float32 products, another processor)",
        "clusters of token tables overlap: they explain 10 to 20 % of whitened space",
        "K-means finds a local optimum; a cluster is not a category",
    ),
    _of(
        "silhouette silhouette_error stability stability_error sample_share sample_share_error "
        "null_stability null_stability_error null_share null_error",
        SAMPLED,
        "silhouettes of 0.02 to 0.05: no separate clusters",
        "the errors cover the choice of rows, not the method; the jackknife has four samples only",
    ),
    _of(
        "x y plane_x plane_y tsne_x tsne_y",
        "signs are fixed, so axes agree to 1e-3",
        "a map of one or two of many directions",
        "distances on the map are not distances in the space",
    ),
    _of(
        "singular_values",
        SVD,
        "fall off smoothly, with a few large ones",
        "in float64, of the dequantized values if the weight is quantized",
    ),
    _of(
        "leading_space",
        "exact",
        "most words of a byte-pair tokenizer start with one",
        "in WordPiece it marks the beginning of a word",
    ),
    _of(
        "delta_norm relative_change sqnr_db cosine shadow_sigma max_change wasserstein",
        "exact to the last digits of float64",
        "fine-tunes change a matrix by 0.1 to 10 %, a copy in 4 bits by about 10 %",
        "a small change can matter, and a large one be harmless: only running both models shows it",
    ),
    _of(
        "elements not_finite changed sign_flips max_change_row max_change_col",
        "exact counts and places",
        "a small learning rate in BF16 leaves most codes as they were",
        "in the coarser of both stored types; for dequantized values any difference counts",
    ),
    _of(
        "ulp_median ulp_p99 ulp_max",
        "exact up to 512, then rounded down by at most 0.4 %",
        "1 to 3 units after fine-tuning; elements near 0 change by many",
        "of the elements that changed; units near 0 are far smaller",
    ),
    _of(
        "delta_spectral_norm delta_stable_rank delta_effective_rank delta_k90 delta_k95 delta_k99 "
        "delta_energy_8 delta_energy_16 delta_energy_64 delta_singular_values delta_spikes "
        "delta_mp_ks",
        "1e-6 (Δ in float32)",
        "an update is of lower rank than the weights, and few directions have most of its energy",
        "rounding to 16 bits adds noise of full rank to a small change: see delta_storage_rank",
    ),
    _of(
        "delta_storage_rank",
        "finds planted ranks down to changes of 0.08 % in BF16",
        "the rank of a merged adapter; for a full fine-tune it grows with the size of the change",
        "a bound for independent rounding errors: directions below it are unknown, not absent",
    ),
    _of(
        "change_from_first cosine_to_first change_from_previous",
        "exact to the last digits of float64",
        "large in the first steps, then smaller with the learning rate; never back to 0",
        "steps that are far apart hide what happened between them",
    ),
    _of(
        "head_norms head_changes_from_first head_changes_from_previous "
        + " ".join(
            f"{letter}_{name}"
            for letter in "qkvo"
            for name in ("norm", "change_from_first", "change_from_previous")
        ),
        "exact to the last digits of float64",
        "heads of one layer change by similar amounts; one that stays still is worth a look",
        "a change of weights, not of what a head attends to",
    ),
    _of(
        "knee_height slope_ratio",
        "at one of the measured steps; noise around a line has a knee in at most 5 % of curves",
        "at the end of warmup, or when the learning rate begins to fall",
        "a random walk of 20 steps has a knee in 60 % of curves; no knee says why a curve bends",
    ),
    _of(
        "base_std other_std profile_correlation null_correlation",
        "float64 sums of the stored values",
        "close to 1 for a fine-tune; unrelated models reach 0.98",
        "weak evidence at any size, and none below null_correlation: see lineage",
    ),
    _of(
        "position step_number",
        "exact",
        "one more from step to step",
        "step_number is only what stands in the name of a revision or folder",
    ),
    _of(
        "row_scaled_residual column_scaled_residual",
        "1e-8",
        "close to the relative change: updates do not scale whole rows or columns",
        "a small one beside the relative change: norms or scales were folded into the matrix",
    ),
    _of(
        "zeroed",
        "an exact count",
        "0 unless a copy was pruned or quantized",
        "elements that were zero before do not count",
    ),
    _of(
        "grid_sqnr_db",
        "as the rounding errors of the tables of one model",
        "about 20 dB in 4 bits, 40 dB in INT8",
        "methods that use data lose more here and less in the outputs",
    ),
    _of(
        "shared_direction shared_direction_left",
        "1e-3 (two passes of a power iteration)",
        "missing: updates do not share a single direction",
        "only for changes with most of their energy in one direction",
    ),
    _of(
        "spectral_shift "
        + " ".join(
            f"{name}_{k}"
            for k in (8, 32, 128)
            for name in (
                *("left_overlap", "left_z", "left_angle", "right_overlap", "right_z"),
                *("right_angle", "gap", "delta_inside", "intruders"),
            )
        ),
        "beside a full SVD: 1e-5 if the gap is 3 % of σ_k, 0.014 if it is 1 %, 0.09 below",
        "overlaps above 0.9 after fine-tuning, and few intruders",
        "directions within a small gap turn easily: compare the gap with the spectral norm of Δ",
    ),
    _of(
        "q_relative_change q_overlap k_relative_change k_overlap v_relative_change v_overlap "
        "o_relative_change o_overlap",
        "exact to the last digits of float64",
        "heads of one layer change by similar amounts",
        "independent heads overlap by their size over the width, not by 0",
    ),
    _of(
        "up_correlation up_log10_p gate_correlation gate_log10_p units_correlation units_log10_p",
        "up to 2,048 units of up to 8 layers",
        "below -100 for any copy or fine-tune, uniform for independent starts",
        "a small p says that the starts were not independent, not which model came first",
    ),
    _of(
        "tokens embedding_cka embedding_cka_null",
        "float64 sums over at most 8,192 shared tokens",
        "0.77 to 0.98 for narrowed copies; up to 0.42 for unrelated models",
        "all language models arrange tokens alike to some degree: it has no probability",
    ),
    _of(
        "weights residual nearest_residual",
        "1e-8",
        "a residual of the size of rounding for linear merges",
        "merges that select elements leave a large residual",
    ),
    _of(
        "qk_spectral_norm qk_frobenius_norm ov_spectral_norm ov_frobenius_norm",
        "1e-8 of the largest σ",
        "differ tenfold between heads of a model",
        "of weights with the norm before folded in; what inputs are common decides the effect",
    ),
    _of(
        "qk_stable_rank qk_effective_rank qk_spectrum ov_stable_rank ov_effective_rank ov_spectrum",
        "1e-8 of the largest σ",
        "OV is flatter than QK: most heads write with nearly all of their directions",
        "the largest possible value is the size of a head: compare heads of one size",
    ),
    _of(
        "qk_bias_share qk_symmetry",
        "exact to the last digits of float64",
        "encoders are more symmetric than decoders; queries and keys of some families live in "
        "their biases",
        "symmetry of content at distance 0, which rotary positions turn",
    ),
    _of(
        "rotary_energy slow_energy",
        "exact to the last digits of float64",
        "heads that look at a fixed distance use fast frequencies, heads of content slow ones",
        "an upper bound of what a frequency adds to a score, not its size on real inputs",
    ),
    _of(
        "copying copying_z",
        "1e-9; z depends on few pairs in small layers",
        "between −1 and 1 in every model; many heads are far outside of the null of their layer",
        "says what would be written if the head attended; not whether or where it does",
    ),
    _of(
        "kernel z median_z",
        "1e-5 (float32)",
        "medians near 0, and a few pairs a hundred standard deviations above",
        "counts directions, whether or not inputs use them; compare with median_z, not with 0",
    ),
    _of(
        "composition composition_null",
        "1e-5 (float32)",
        "up to ten times the null for the strongest pairs",
        "weighs directions by the weights alone; random circuits have composition_null, not 0",
    ),
    _of(
        "value over_rms over_normal over_other_cols in_row in_col",
        "exact to the last digits of float64",
        "in trained matrices the largest weight is 1.4 to 2.4 times larger than in normal ones; a "
        "few rows and columns have most outliers",
        "the 16 largest weights of a matrix only; no threshold separates weights that matter",
    ),
    _of(
        "alpha_square alpha_permuted alpha_p",
        "1e-4 (float32); alpha_p within 0.05, by 100 samples",
        "noise of any shape has 2.1 in both; most trained matrices are below their null",
        "alpha_permuted is one permutation; equal windows do not make equal numbers of "
        "eigenvalues, so small matrices scatter more",
    ),
    _of(
        "channel_layers channel_log10_p",
        "p is an upper bound, because recurring channels raise the share that is its null",
        "a few channels have outliers in most layers: massive activations need such channels",
        "of the 16 largest weights of each matrix; how active a channel is depends on inputs",
    ),
    _of(
        "channel_gain over_median amplification neuron_gain neuron_weight neuron_share",
        "1e-5 (float32); amplification within 5 % if no neuron dominates",
        "over_median: 1.5 to 4 in most layers of SmolLM2, 9 or more where activations get huge",
        "gates are taken as open and biases left out: only a run shows whether an input gets there",
    ),
    _of(
        "direction energy_share gap",
        "1e-6 of the largest energy (float32); exact to 1e-7 for heads",
        "a head may have most of its energy in one direction, an MLP a few percent",
        "with a gap near 0 the direction is any in a plane, and so are its tokens",
    ),
    _of(
        "top_ids top_scores top_coherence top_coherence_z bottom_ids bottom_scores "
        "bottom_coherence bottom_coherence_z coherence_null",
        "1e-5 (float32)",
        "in many layers one direction separates frequent from rare tokens: its ends are coherent",
        "what a direction would say to the output layer alone; later layers may change it",
    ),
    _of(
        "expert_norm expert_norm_z router_norm router_norm_z router_bias router_bias_z",
        "exact to the last digits of float64; router norms of float32 as stored",
        "within a few deviations of their layer; correction biases depend on the balance of load",
        "a candidate is far below its layer by weights: whether it is chosen depends on inputs",
    ),
    _of(
        "nearest_expert other_index nearest_similarity nearest_z shared_similarity similarity "
        "similarity_z median_similarity",
        "1e-6 (float32 moments) in 64 fixed directions; 1 stays 1",
        "low: experts of one layer are nearly independent; a shared origin (upcycling) raises all",
        "sees at most 64 directions, so a small similarity has an error of about 0.01",
    ),
    _of(
        "aligned_cosine typical_aligned_cosine moved_neurons neurons",
        "1e-6; the order is found in 64 directions",
        "close to the typical one; 1 for duplicates",
        "above 0 for independent experts, because the order is chosen: compare with typical",
    ),
    _of(
        "router_cosine router_gain router_gain_z",
        "1e-6 (float32)",
        "gains above 1: routers look where their experts read",
        "one direction of the whole input; the norm before the layer is not folded in",
    ),
    _of(
        "score",
        "exact",
        "1 for names that differ in one word of many; at least 0.6",
        "a guess by names: check the names before the numbers",
    ),
)

BY_COLUMN = {name: record for record in GUIDANCE for name in record.columns}
