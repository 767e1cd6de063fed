"""A model's folder: its name, its reports, and the files that its page shows or links to."""

import re
from dataclasses import dataclass
from pathlib import PurePath


def local_name(folder: str) -> str:
    """Name of the results of a local folder called `folder`."""
    return "local--" + re.sub(r"[^A-Za-z0-9._-]", "_", folder)


def hub_name(repo: str, revision: str = "main", chosen: str = "") -> str:
    """Name of the results of a repository; `chosen` says which of several sets of weights."""
    suffix = "" if revision == "main" else "@" + revision.replace("/", "--")
    return repo.replace("/", "--") + chosen + suffix


@dataclass(frozen=True)
class Report:
    """A report: the notebook of the same name in notebooks/, run on the tables of a model.

    label     on pages
    about     one line of what it shows
    reads     files in the model's folder; if one changes, the report is made again
    settings  names of configuration keys that it shows
    """

    label: str
    about: str
    reads: tuple[str, ...]
    settings: tuple[str, ...] = ()


# Notebook -> report. Another report is a notebook and one more entry.
REPORTS = {
    # It also reads the benchmarks of the jobs that made these files, which change with them.
    "00_setup": Report(
        "Setup",
        "Input and environment: files, coverage, integrity, settings, versions, times.",
        ("manifest.json", "params.parquet", "coverage.parquet", "audit.json"),
        ("sparsity_threshold", "spectra", "sketch_above"),
    ),
    "10_summary_stats": Report(
        "Summary statistics",
        "Parameters by block type, distributions, outliers, ranks, entropy, rounding errors.",
        (
            *("manifest.json", "params.parquet", "matrices.parquet", "histograms.parquet"),
            "findings.json",
        ),
    ),
    "20_per_layer": Report(
        "Layers",
        "Maps and curves over depth, spectra, normalization, experts.",
        (
            *("manifest.json", "params.parquet", "matrices.parquet", "spectra.parquet"),
            *("layers.parquet", "findings.json"),
        ),
    ),
    "30_embedding_output": Report(
        "Embedding and output",
        "Clusters of the token vectors, nearest tokens, untrained tokens, the output layer.",
        (
            *("manifest.json", "params.parquet", "spectra.parquet", "findings.json"),
            *(
                "embedding/clusters.parquet",
                "embedding/clusters_summary.parquet",
                "embedding/elbow.parquet",
            ),
            *("embedding/projection.parquet", "embedding/tokens.parquet"),
            *("embedding/output_tokens.parquet", "embedding/summary.json"),
        ),
    ),
}

# Those that a run of all results does not include, because what they show is made on demand.
ON_DEMAND = {
    "25_circuits": Report(
        "Circuits",
        "What each attention head reads, matches, writes and copies, and which heads compose.",
        (
            *("manifest.json", "params.parquet"),
            *("circuits/attention_heads.parquet", "circuits/head_graph.parquet"),
            *("circuits/experts.parquet", "circuits/expert_pairs.parquet"),
            *("circuits/directions.parquet", "circuits/outliers.parquet"),
            *("circuits/heavy_tails.parquet", "circuits/amplifiers.parquet"),
        ),
    ),
    "50_plans": Report(
        "Plans",
        "What one may do with the model, what it is predicted to cost, and files for tools.",
        (
            "manifest.json",
            "params.parquet",
            "plans/quantization_plan.json",
            "plans/training_plan.json",
            "plans/sparsity_plan.json",
            "plans/suspects_plan.json",
        ),
    ),
}

REPORT_PAGES = tuple(f"reports/{name}.html" for name in REPORTS)

# Path -> caption.
LAYER_FIGURES = {
    "figures/layers_std.png": "Standard deviation of the weights by layer and block type",
    "figures/layers_stable_rank.png": "Stable rank by layer and block type",
}

EMBEDDING_FIGURES = {
    "figures/elbow.png": "Inertia, silhouette and stability by the number of clusters",
    "figures/cluster_map.png": "Map of tokens, colored by cluster",
}


def _table(path: str, text: str) -> dict[str, str]:
    """A table in the two formats that it is written in."""
    return {f"{path}.csv": text, f"{path}.parquet": text}


# Path -> contents.
DOWNLOADS = {
    **_table("params", "one row per stored tensor"),
    "params.json": "one row per stored tensor",
    "matrices.parquet": "one row per weight matrix (fused ones split, quantized ones dequantized)",
    "spectra.parquet": "all singular values",
    "histograms.parquet": "exact distributions of the stored values",
    **_table("layers", "statistics per layer, block type and role (self, cross; shared, routed)"),
    **_table("coverage", "status of every tensor, with the reason if it is not analyzed"),
    "audit.json": "file integrity: what looks damaged",
    "findings.json": "findings: text, tensors, value and reference, why it matters, what to do",
    **_table("embedding/clusters", "cluster, distance and norm of every token"),
    **_table("embedding/clusters_summary", "size, contents and typical tokens of every cluster"),
    **_table("embedding/tokens", "every token: traits, neighbors, similarity to untrained ones"),
    **_table("embedding/output_tokens", "the same for an untied output layer"),
    **_table("embedding/elbow", "inertia, silhouette and stability by the number of clusters"),
    "embedding/projection.parquet": "tokens in two dimensions",
    "embedding/summary.json": "facts about the token embedding",
    "manifest.json": "files, tensors and hashes of the checkpoint",
    **{f"reports/{name}.ipynb": f"the report {report.label}" for name, report in REPORTS.items()},
}

# Path -> contents, of what is made if `analyses` has circuits.
CIRCUITS = {
    **_table(
        "circuits/attention_heads", "what each attention head reads, matches, writes and copies"
    ),
    **_table("circuits/head_graph", "which heads write where later heads read, strongest first"),
    **_table("circuits/amplifiers", "channels that the MLP of each layer can add most to"),
    **_table(
        "circuits/outliers", "single weights far beyond a normal law, and channels they share"
    ),
    **_table(
        "circuits/heavy_tails", "exponents of spectra that compare between shapes, with their null"
    ),
    **_table("circuits/directions", "leading directions of heads and MLPs, named by tokens"),
    **_table(
        "circuits/experts", "routed experts: similarity, router rows, candidates for dead ones"
    ),
    **_table(
        "circuits/expert_pairs", "the most similar pairs of experts, and duplicates in any order"
    ),
    "reports/25_circuits.ipynb": "the report Circuits",
    "reports/25_circuits.html": "the report Circuits",
}

ALL = (*DOWNLOADS, *LAYER_FIGURES, *EMBEDDING_FIGURES, *REPORT_PAGES)

# Name -> path of every table that is kept as Parquet.
TABLES = {
    PurePath(path).stem: path for path in (*DOWNLOADS, *CIRCUITS) if path.endswith(".parquet")
}

# Tables of a comparison, each as CSV and Parquet.
COMPARED_TABLES = (
    *("pairs", "differences", "subspaces", "heads", "lineage", "profiles", "mixture"),
    "vocabulary",
)

# Files in the folder of a comparison, and of a training run.
COMPARISON = (
    *(f"{table}.{kind}" for table in COMPARED_TABLES for kind in ("csv", "parquet")),
    *("autopsy.json", "plans/adapter_plan.json", "index.html"),
    *("reports/40_compare.ipynb", "reports/40_compare.html"),
)

# Tables of a training run, each as CSV and Parquet.
TRAINING_TABLES = ("dynamics", "dynamics_heads", "knees")

TRAINING_RUN = (
    *(f"{table}.{kind}" for table in TRAINING_TABLES for kind in ("csv", "parquet")),
    *("index.html", "reports/45_dynamics.ipynb", "reports/45_dynamics.html"),
)
