"""A dataset card for a store, which makes it a dataset of the Hugging Face hub."""

from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa

from blockresearch.files import write_text
from blockresearch.store.partitions import SCHEMA, table_of
from blockresearch.store.query import models
from blockresearch.text import visible

CARD = "README.md"

ABOUT = {
    "params": "one row per stored tensor: shape, type, hash of its bytes, statistics of its values",
    "matrices": "one row per weight matrix: statistics of values, of the spectrum, rounding errors",
    "spectra": "all singular values of every matrix",
    "layers": "statistics per layer, block type and role",
    "coverage": "status of every tensor, with the reason if it is not analyzed",
    "attention_heads": "what each attention head reads, matches, writes and copies",
    "head_graph": "which heads write where later heads read",
    "amplifiers": "channels that the MLP of each layer can add most to",
    "heavy_tails": "exponents of spectra that compare between shapes, with their null",
    "directions": "leading directions of heads and MLPs, named by tokens",
    "experts": "routed experts: similarity, router rows, candidates for dead ones",
    "expert_pairs": "the most similar pairs of experts, and duplicates in any order",
    "outliers": "single weights far beyond a normal law, and channels they share",
    "findings": "what stands out: text, value and reference, why it matters, what to do",
    "audit": "what looks damaged",
    "elbow": "inertia, silhouette and stability by the number of clusters of tokens",
    "clusters_summary": "size, contents and typical tokens of every cluster",
}


def publish(store: Path) -> Path:
    """Write the dataset card of a store beside its tables, and return its path.

    The card states what the tables are, how they were made and by which version, and the licenses
    of the models. Nothing is uploaded. Raises StoreError if there is no store.
    """
    found = models(str(store))
    write_text(card(found), store / CARD)
    return store / CARD


def card(found: pa.Table) -> str:
    """The text of the card for the models of a store: YAML for the hub, then Markdown."""
    rows = found.to_pylist()
    tables: dict[str, int] = defaultdict(int)
    for row in rows:
        for path in row["files"]:
            tables[table_of(path)] += 1
    configs = "".join(
        f"- config_name: {table}\n  data_files: {table}/schema={SCHEMA}/*/data.parquet\n"
        for table in sorted(tables)
    )
    listed = "\n".join(
        f"| `{table}` | {count} | {ABOUT.get(table, '')} |"
        for table, count in sorted(tables.items())
    )
    licenses = Counter(_cell(row["licence"] or "not stated") for row in rows)
    tools = sorted({_cell(row["tool"] or "unknown version") for row in rows})
    names = "\n".join(
        f"| {_cell(row['model'])} | {_cell(row['family'] or '')} | "
        f"{_cell(row['licence'] or 'not stated')} |"
        for row in rows
    )
    return f"""---
pretty_name: Weight statistics of {len(rows)} models
tags:
- weights
- model-analysis
configs:
- config_name: models
  data_files: models.parquet
  default: true
{configs}---

# Weight statistics of {len(rows)} models

Statistics of every weight tensor of {len(rows)} checkpoints: distributions, singular values, ranks,
errors of low-bit formats. The weights themselves are not included.

Made by {", ".join(tools)}, which reads every stored value; the columns, their units, formulas and
sources are in its manual (docs/outputs.md). Settings are in `models.parquet`.

| table | models | contains |
|---|---|---|
{listed}

`models.parquet` has one row per model, with the paths of all files.

    blockresearch store shell --store hf://datasets/OWNER/NAME
    select model, block_type, median(stable_rank) from matrices group by all;

## Licenses

Statistics are not the weights, but check the license of a model before you publish what was made
from it: {", ".join(f"{name} ({count})" for name, count in licenses.most_common())}.

| model | family | license |
|---|---|---|
{names}
"""


def _cell(text: str) -> str:
    """A text from a model for Markdown: one line, and nothing in it is markup."""
    plain = visible(str(text)).replace("\n", " ")
    return "".join("\\" + letter if letter in "\\`*_{}[]<>#|!" else letter for letter in plain)
