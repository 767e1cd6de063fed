"""The columns of the tables of tokens: clusters, tokens, elbow, projection."""

from dataclasses import replace

from blockresearch.tables.column import (
    NONE,
    SHARE,
    WEIGHT,
    Column,
    Schema,
)
from blockresearch.tables.sources import (
    KMEANS,
    KNEEDLE,
    LAND,
    RAND,
    SILHOUETTE,
    TSNE,
)
from blockresearch.tables.tensor_columns import (
    MODEL,
)

TOKEN_ID = Column("token_id", "integer", "row of the embedding", NONE, label="id")

TOKEN = Column("token", "string", "its text with visible escapes; empty if the tokenizer has none")

KIND = Column("kind", "string", "normal, special, added, byte, or unnamed (not in tokenizer.json)")

NORM = Column("norm", "number", "L2 norm of the row", WEIGHT, "‖x‖₂", label="L2 norm")

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
