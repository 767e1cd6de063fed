"""The tables by name, made of one record per column: name, type, unit, meaning, formula, source.

Everything that lists columns is made from these records: the schemas of the writers, the manual
(docs/outputs.md), the glossary, the headings of pages and the keys of the summaries in the code.
A new statistic is code that computes it and one record in the module of its columns; a new
low-bit format is a file in values/rounding/formats and one record in LOW_BIT_FORMATS.
"""

from blockresearch.tables.circuit_columns import ATTENTION_HEADS, HEAD_GRAPH
from blockresearch.tables.column import (
    Column,
)
from blockresearch.tables.comparison_columns import (
    DIFFERENCES,
    HEADS,
    LINEAGE,
    MIXTURE,
    PAIRS,
    PROFILES,
    SUBSPACES,
    VOCABULARY,
)
from blockresearch.tables.direction_columns import DIRECTIONS
from blockresearch.tables.dynamics_columns import DYNAMICS, DYNAMICS_HEADS, KNEES
from blockresearch.tables.expert_columns import EXPERT_PAIRS, EXPERTS
from blockresearch.tables.outlier_columns import AMPLIFIERS, OUTLIERS
from blockresearch.tables.tail_columns import HEAVY_TAILS
from blockresearch.tables.token_columns import (
    CLUSTERS,
    CLUSTERS_SUMMARY,
    ELBOW,
    PROJECTION,
    TOKENS,
)
from blockresearch.tables.weight_columns import (
    COVERAGE,
    HISTOGRAMS,
    LAYERS,
    MATRICES,
    PARAMS,
    SPECTRA,
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
    "profiles": PROFILES,
    "mixture": MIXTURE,
    "vocabulary": VOCABULARY,
    "dynamics": DYNAMICS,
    "dynamics_heads": DYNAMICS_HEADS,
    "knees": KNEES,
    "attention_heads": ATTENTION_HEADS,
    "head_graph": HEAD_GRAPH,
    "amplifiers": AMPLIFIERS,
    "outliers": OUTLIERS,
    "heavy_tails": HEAVY_TAILS,
    "directions": DIRECTIONS,
    "experts": EXPERTS,
    "expert_pairs": EXPERT_PAIRS,
}


def find_column(table: str, name: str) -> Column:
    """The record of a column. Raises KeyError if the table has no such column."""
    for column in SCHEMAS[table].columns:
        if column.name == name:
            return column
    raise KeyError(f"{table}.{name}")
