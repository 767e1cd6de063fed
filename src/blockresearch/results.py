"""The files in a model's folder that its page shows or links to, and what each of them is."""

# Path -> label, what it is about.
REPORTS = {
    "reports/00_setup.html": (
        "Set-up",
        "What was analyzed, and how: files, coverage, integrity, settings, versions, times.",
    ),
    "reports/10_summary_stats.html": (
        "Summary statistics",
        "Where the parameters are, distributions, outliers, ranks, entropy, cost of rounding.",
    ),
    "reports/20_per_layer.html": (
        "Layers",
        "Maps and curves over depth, spectra, normalization, experts.",
    ),
    "reports/30_embedding_output.html": (
        "Embedding and output",
        "Clusters of the token vectors, nearest tokens, untrained tokens, the output layer.",
    ),
}

# Path -> caption.
LAYER_FIGURES = {
    "figures/layers_std.png": "Standard deviation of the weights by layer and block type",
    "figures/layers_stable_rank.png": "Stable rank by layer and block type",
}

EMBEDDING_FIGURES = {
    "figures/elbow.png": "Inertia, silhouette and stability by the number of clusters",
    "figures/cluster_map.png": "The map of tokens, colored by cluster",
}

# Path -> what it holds.
DOWNLOADS = {
    "params.csv": "one row per stored tensor (CSV)",
    "params.json": "the same (JSON)",
    "params.parquet": "the same (Parquet)",
    "matrices.parquet": "one row per matrix as the model multiplies with it",
    "spectra.parquet": "all singular values",
    "histograms.parquet": "exact distributions of the stored values",
    "layers.csv": "sums per layer and block type",
    "coverage.csv": "every tensor, analyzed or not, with the reason",
    "audit.json": "integrity findings",
    "embedding/clusters.csv": "cluster, distance and norm of every token",
    "embedding/clusters_summary.csv": "size, contents and typical tokens of every cluster",
    "embedding/tokens.csv": "every token: traits, neighbors, similarity to untrained ones",
    "embedding/output_tokens.csv": "the same for an output layer of its own",
    "embedding/elbow.csv": "inertia, silhouette and stability by the number of clusters",
    "embedding/projection.parquet": "tokens in two dimensions",
    "embedding/summary.json": "facts about the token embedding",
    "manifest.json": "files, tensors and hashes of the checkpoint",
    "reports/00_setup.ipynb": "notebook of the report Set-up",
    "reports/10_summary_stats.ipynb": "notebook of the report Summary statistics",
    "reports/20_per_layer.ipynb": "notebook of the report Layers",
    "reports/30_embedding_output.ipynb": "notebook of the report Embedding and output",
}

ALL = (*DOWNLOADS, *LAYER_FIGURES, *EMBEDDING_FIGURES, *REPORTS)
