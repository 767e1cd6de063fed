"""All findings of a model, from its tables: what findings.json contains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.files import read_json
from blockresearch.model_config import ModelConfig
from blockresearch.report.findings.depth import depth_findings
from blockresearch.report.findings.formats import format_findings
from blockresearch.report.findings.record import Finding, ranked
from blockresearch.report.findings.tokens import token_findings
from blockresearch.report.findings.training import training_findings
from blockresearch.report.findings.values import value_findings
from blockresearch.tables.io import read_table


def collect(
    manifest: Mapping[str, Any],
    params: pd.DataFrame,
    matrices: pd.DataFrame,
    tokens: pd.DataFrame,
    output_tokens: pd.DataFrame,
    elbow: pd.DataFrame,
    summary: Mapping[str, Any],
) -> list[Finding]:
    """The findings of a model, most severe first, then by topic."""
    adds_one = ModelConfig(manifest["config"]).adds_one_to_norms
    found = [
        *training_findings(manifest, params, tokens, output_tokens, summary),
        *format_findings(matrices),
        *depth_findings(params, matrices, summary, adds_one),
        *value_findings(params, matrices),
        *token_findings(manifest, summary, elbow),
    ]
    return ranked(found)


def of_folder(folder: Path) -> list[Finding]:
    """The findings of the model whose results are in `folder`."""
    tokens = folder / "embedding"
    return collect(
        read_json(folder / "manifest.json"),
        read_table(folder / "params.parquet", "params"),
        read_table(folder / "matrices.parquet", "matrices"),
        read_table(tokens / "tokens.parquet", "tokens"),
        read_table(tokens / "output_tokens.parquet", "tokens"),
        read_table(tokens / "elbow.parquet", "elbow"),
        read_json(tokens / "summary.json"),
    )
