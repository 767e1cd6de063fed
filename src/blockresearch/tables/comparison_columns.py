"""The columns of the tables of two checkpoints: pairs, differences, subspaces, heads and others."""

from dataclasses import replace

from blockresearch.tables.column import (
    DECIBEL,
    ELEMENTS,
    NONE,
    SHARE,
    WEIGHT,
    Column,
    Schema,
)
from blockresearch.tables.sources import (
    ARDITI,
    BANDEIRA,
    KORNBLITH,
    MARCHENKO,
    ROY,
    RUDELSON,
    SHADOW,
    SHUTTLEWORTH,
    VALLENDER,
    WEDIN,
    ZHU,
)
from blockresearch.tables.tensor_columns import (
    ATTENTION_OR_EXPERT,
    BLOCK_TYPE,
    COMPONENT,
    LAYER_INDEX,
    MODEL,
    PARAM_NAME,
    SLICE,
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
            "#{σ > √(maxᵢ min(Σⱼ v, Σⱼ Δ²)) + √(maxⱼ min(Σᵢ v, Σᵢ Δ²))}, "
            "v = (u_A² + u_B²) / 12, u: spacing at w",
            BANDEIRA,
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

HEAD_PARTS = (
    ("q", "rows of q_proj"),
    ("k", "rows of k_proj for its group"),
    ("v", "rows of v_proj for its group"),
    ("o", "columns of o_proj"),
)

# Where a query head is.
HEAD_PLACE = (
    COMPONENT,
    LAYER_INDEX,
    ATTENTION_OR_EXPERT,
    Column("head", "integer", "number of the query head", NONE),
    Column("kv_head", "integer", "number of the key-value head of its group", NONE),
)

HEADS = Schema(
    "heads.csv, heads.parquet",
    "one query head of a layer of which a projection changed",
    (
        *_SIDES,
        *HEAD_PLACE,
        *(
            column
            for letter, what in HEAD_PARTS
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
    "one tested layer, of one expert if it has several, or the token embeddings of a component if "
    "their widths differ",
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
        Column("tokens", "integer", "tokens whose embeddings were compared", NONE),
        Column(
            "embedding_cka",
            "number",
            "likeness of how embeddings of different widths arrange these tokens: unbiased linear "
            "CKA",
            NONE,
            "HSIC₁(A, B) / √(HSIC₁(A, A) HSIC₁(B, B))",
            KORNBLITH,
        ),
        Column(
            "embedding_cka_null",
            "number",
            "the largest of it with shuffled tokens",
            NONE,
            "max over π of HSIC₁(A, πB) / √(HSIC₁(A, A) HSIC₁(B, B))",
            KORNBLITH,
        ),
    ),
)

PROFILES = Schema(
    "profiles.csv, profiles.parquet",
    "one projection of attention that both sides have, over all layers",
    (
        *_SIDES,
        COMPONENT,
        Column("projection", "string", "q_proj, k_proj, v_proj or o_proj"),
        Column("base_std", "numbers", "standard deviation in each layer of the base", WEIGHT, "s"),
        Column("other_std", "numbers", "the same of the other side", WEIGHT, "s'"),
        Column(
            "profile_correlation",
            "number",
            "correlation of both over relative depth; missing with fewer than 6 layers",
            NONE,
            "corr(s, s')",
        ),
        Column(
            "null_correlation",
            "number",
            "largest correlation with another projection of the other side",
            NONE,
            "max corr(s, t')",
        ),
    ),
)

MIXTURE = Schema(
    "mixture.csv, mixture.parquet",
    "one matrix that the other side, the base and all other parents have",
    (
        *_SIDES,
        Column("other_name", "string", "name on the other side, and part of the tensor"),
        Column("parents", "string", "the base and each other parent, with semicolons between"),
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
