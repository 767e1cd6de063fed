"""What every number means: definitions from the table schemas, with formulas and their sources."""

from dataclasses import dataclass

from blockresearch.report.pages import render
from blockresearch.tables.columns import SCHEMAS, Column

# Table -> the files that hold it.
FILES = {
    "params": "params.csv, params.json, params.parquet",
    "matrices": "matrices.parquet",
    "spectra": "spectra.parquet",
    "histograms": "histograms.parquet",
    "coverage": "coverage.csv",
    "layers": "layers.csv",
    "clusters": "embedding/clusters.csv",
    "clusters_summary": "embedding/clusters_summary.csv",
    "tokens": "embedding/tokens.csv, embedding/output_tokens.csv",
    "elbow": "embedding/elbow.csv",
    "projection": "embedding/projection.parquet",
}

# Block type -> what a block of this type does, for a reader who does not know the names.
BLOCK_TYPES = {
    "embedding": "turns each token into a vector: one row per token",
    "position_embedding": "tells positions in the sequence apart",
    "conv": "convolution: mixes neighboring positions",
    "q_proj": "attention: what a position looks for (query)",
    "k_proj": "attention: what a position offers (key)",
    "v_proj": "attention: what a position passes on (value)",
    "qkv_proj": "attention: query, key and value in one matrix",
    "o_proj": "attention: joins the heads again",
    "ssm": "state-space layer: carries a state along the sequence",
    "router": "mixture of experts: chooses the experts of a token",
    "moe": "mixture of experts: feed-forward matrices of the experts",
    "gate_proj": "feed-forward: the gate of its hidden units",
    "up_proj": "feed-forward: into its hidden units",
    "gate_up_proj": "feed-forward: gate and hidden units in one matrix",
    "down_proj": "feed-forward: from its hidden units back",
    "mlp": "feed-forward: layers of a plain network",
    "norm": "normalization: scales and shifts of activations",
    "bias": "additive biases",
    "output": "turns the last vector into a score per token",
    "other": "weights whose names do not tell their place",
}

CLAUSET = "Clauset, Shalizi and Newman 2009, SIAM Review 51(4), 661–703, arXiv:0706.1062"

GAVISH = "Gavish and Donoho 2014, IEEE Trans. Inf. Theory 60(8), 5040–5053, arXiv:1305.5870"

JOHNSTONE = "Johnstone 2001, Annals of Statistics 29(2), 295–327"

KMEANS = "Lloyd 1982, IEEE Trans. Inf. Theory 28(2), 129–137"

KNEEDLE = "Satopää, Albrecht, Irwin and Raghavan 2011, ICDCS Workshops, 166–171"

LAND = "Land and Bartolo 2024, EMNLP, 11631–11646, arXiv:2405.05417"

MARCHENKO = "Marchenko and Pastur 1967, Math. USSR-Sbornik 1(4), 457–483"

RAND = "Hubert and Arabie 1985, Journal of Classification 2, 193–218"

ROY = "Roy and Vetterli 2007, EUSIPCO, 606–610"

RUDELSON = "Rudelson and Vershynin 2007, Journal of the ACM 54(4), arXiv:math/0503442"

SHANNON = "Shannon 1948, Bell System Technical Journal 27, 379–423"

SILHOUETTE = "Rousseeuw 1987, J. Comput. Appl. Math. 20, 53–65"

STAATS = "Staats, Thamm and Rosenow 2024, arXiv:2410.17770"

TSNE = "van der Maaten and Hinton 2008, JMLR 9, 2579–2605"

HILL = "Hill 1975, Annals of Statistics 3(5), 1163–1174"

OCP = "OCP Microscaling Formats (MX) Specification 1.0, 2023"

FP8 = "Micikevicius and others 2022, arXiv:2209.05433"

NVFP4 = "NVIDIA 2025, arXiv:2509.25149"

QLORA = "Dettmers, Pagnoni, Holtzman and Zettlemoyer 2023, arXiv:2305.14314"

MATRIX_RANK = "the rule of numpy.linalg.matrix_rank"

# Column -> formula, source. W is rows × cols with elements w, singular values σ₁ ≥ … ≥ σ_q and
# λ = σ²; N is the number of finite elements.
FORMULAS = {
    "mean": ("μ = Σw / N", ""),
    "std": ("s = √(Σ(w − μ)² / N)", ""),
    "var": ("s² = Σ(w − μ)² / N", ""),
    "rms": ("√(Σw² / N)", ""),
    "absmax": ("max |w|", ""),
    "sparsity": ("#{|w| ≤ threshold} / N", ""),
    "zero_fraction": ("#{w = 0} / N", ""),
    "skewness": ("Σ(w − μ)³ / (N s³)", ""),
    "kurtosis_excess": ("Σ(w − μ)⁴ / (N s⁴) − 3", ""),
    "outlier_3sigma": ("#{|w − μ| > 3 s} / N", ""),
    "outlier_6sigma": ("#{|w − μ| > 6 s} / N", ""),
    "max_over_rms": ("max |w| / √(Σw² / N)", ""),
    "entropy_bits": ("H = −Σ p log₂ p over the stored codes", SHANNON),
    "entropy_sign_bits": ("−Σ p log₂ p over the signs", SHANNON),
    "entropy_exponent_bits": ("−Σ p log₂ p over the exponents", SHANNON),
    "entropy_mantissa_bits": ("−Σ p log₂ p over the mantissas", SHANNON),
    "bits_per_weight": ("8 · stored bytes / elements", ""),
    "rank": ("#{σ > σ₁ · max(rows, cols) · 2⁻²³}", MATRIX_RANK),
    "rank_ratio": ("rank / min(rows, cols)", MATRIX_RANK),
    "storage_rank": ("#{σ > √(maxᵢ Σⱼ u²/12) + √(maxⱼ Σᵢ u²/12)}, u: spacing at w", ""),
    "stable_rank": ("Σλ / λ₁ = ‖W‖_F² / σ₁²", RUDELSON),
    "effective_rank": ("exp(−Σ p ln p), p = σ / Σσ", ROY),
    "effective_rank_sigma": ("exp(−Σ p ln p), p = σ / Σσ", ROY),
    "effective_rank_energy": ("exp(−Σ p ln p), p = σ² / Σσ²", ROY),
    "participation_ratio": ("(Σλ)² / Σλ²", ""),
    "k90": ("min {k : σ₁² + … + σ_k² ≥ 0.90 Σσ²}", ""),
    "k95": ("min {k : σ₁² + … + σ_k² ≥ 0.95 Σσ²}", ""),
    "k99": ("min {k : σ₁² + … + σ_k² ≥ 0.99 Σσ²}", ""),
    "spectral_norm": ("‖W‖₂ = σ₁", ""),
    "frobenius_norm": ("‖W‖_F = √Σσ²", ""),
    "nuclear_norm": ("‖W‖_* = Σσ", ""),
    "condition_number": ("σ₁ / σ_q", ""),
    "alpha": ("p(λ) ∝ λ^−α for λ ≥ λ_min;  α = 1 + n / Σ ln(λ / λ_min)", CLAUSET),
    "alpha_xmin": ("the λ_min with the smallest Kolmogorov-Smirnov distance", CLAUSET),
    "alpha_ks": ("max |F(λᵢ) − i/n|, i = 0 … n − 1", CLAUSET),
    "alpha_tail": ("n = #{λ ≥ λ_min}", CLAUSET),
    "alpha_stderr": ("(α − 1) / √n", CLAUSET),
    "alpha_hill": ("1 + k / Σ ln(λᵢ / λ_{k+1}), i = 1 … k, k = ⌊q/2⌋", HILL),
    "mp_sigma": ("median(σ) / √(max(rows, cols) · μ_β), μ_β: median of the law", GAVISH),
    "mp_edge": ("σ̂ (√rows + √cols)", MARCHENKO),
    "mp_lower_edge": ("σ̂ |√rows − √cols|", MARCHENKO),
    "spikes": ("#{λ above the 99.9 % point of the largest noise eigenvalue}", JOHNSTONE),
    "energy_beyond_edge": ("Σ_{σ beyond the edge} σ² / Σσ²", MARCHENKO),
    "bottom_decile_energy": ("Σ_{smallest tenth} σ² / Σσ²", STAATS),
    "spectrum_snr": ("Σ_{σ > t} σ / Σ_{σ ≤ t} σ / σ₁, t = IQR(σ)/1.349 · (1 + √β)", ""),
    "calibrated_snr_db": ("10 log₁₀(Σ_{beyond} σ² / Σ_{within} σ²)", MARCHENKO),
    "silhouette": ("mean of (b − a) / max(a, b), a: own cluster, b: next", SILHOUETTE),
    "inertia": ("Σ ‖x − c(x)‖²", KMEANS),
    "explained_share": ("1 − inertia(k) / inertia(1)", KMEANS),
    "elbow_height": ("distance below the chord of the curve scaled to 0 … 1", KNEEDLE),
    "stability": ("mean adjusted Rand index of two samples' clusters", RAND),
    "null_stability": ("mean adjusted Rand index, in one normal cloud", RAND),
    "undertrained_score": ("likeness to rows that no text trains", LAND),
    "tsne_x": ("t-distributed stochastic neighbor embedding", TSNE),
    "tsne_y": ("t-distributed stochastic neighbor embedding", TSNE),
}

SQNR = "20 log₁₀(‖W‖_F / ‖W − Q(W)‖_F)"

SQNR_SOURCES = {"nf4": QLORA, "fp8_tensor": FP8, "fp8_channel": FP8, "mxfp4": OCP, "nvfp4": NVFP4}


@dataclass(frozen=True)
class Definition:
    """What a column means; formula and source are empty where the words say all."""

    meaning: str
    unit: str
    formula: str
    source: str
    anchor: str


def definition(table: str, name: str) -> Definition:
    """The definition of a column; raises KeyError where the table has no such column."""
    return _defined(table, {column.name: column for column in SCHEMAS[table].columns}[name])


def page() -> str:
    """The page of all definitions."""
    return render(
        "glossary.html.j2",
        title="Glossary",
        block_types=BLOCK_TYPES.items(),
        tables=[
            {
                "name": name,
                "files": FILES[name],
                "row": schema.row,
                "columns": [(column.name, _defined(name, column)) for column in schema.columns],
            }
            for name, schema in SCHEMAS.items()
        ],
    )


def _defined(table: str, column: Column) -> Definition:
    formula, source = FORMULAS.get(column.name, ("", ""))
    kind, _, what = column.name.rpartition("_sqnr_")
    if what == "db":
        formula, source = SQNR, SQNR_SOURCES.get(kind, "")
    elif column.name.endswith("_max_error"):
        kind = column.name.removesuffix("_max_error")
        formula, source = "max |w − Q(w)|", SQNR_SOURCES.get(kind, "")
    return Definition(column.meaning, column.unit, formula, source, f"{table}.{column.name}")
