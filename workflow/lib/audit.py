"""Is the checkpoint sound? Findings from its manifest and the measured tables.

Each finding has a severity (error: the weights are damaged; warning: unusual, look at it; note),
the check that made it, where, the evidence in numbers, and what it usually means.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

SEVERITIES = ("error", "warning", "note")

PROBLEMS = {
    "missing_tensor": ("error", "the download or the upload is incomplete"),
    "duplicate_tensor": ("warning", "shards of two exports are mixed; the loader takes one"),
    "unlisted_tensor": ("warning", "the index is stale or shards of another export lie beside"),
}


@dataclass(frozen=True)
class Finding:
    """One finding of the audit."""

    severity: str
    check: str
    where: str
    evidence: str
    meaning: str


def audit(
    manifest: Mapping[str, Any], params: pd.DataFrame, coverage: pd.DataFrame
) -> dict[str, Any]:
    """The audit: {"counts": {severity: number}, "findings": [...]}, gravest findings first."""
    findings = [*_index(manifest), *_totals(manifest), *_values(params), *_coverage(coverage)]
    findings.sort(key=lambda f: (SEVERITIES.index(f.severity), f.check, f.where))
    return {
        "counts": {
            severity: sum(finding.severity == severity for finding in findings)
            for severity in SEVERITIES
        },
        "findings": [asdict(finding) for finding in findings],
    }


def _index(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    for problem in manifest["problems"]:
        severity, meaning = PROBLEMS[problem["check"]]
        yield Finding(severity, problem["check"], problem["where"], problem["evidence"], meaning)


def _totals(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """What the index and the config say about the whole, against what the headers hold."""
    totals, stated = manifest["totals"], manifest.get("index", {})
    size, count = stated.get("total_size"), stated.get("total_parameters")
    if size is not None and size != totals["bytes"]:
        yield Finding(
            "note",
            "total_size",
            "index",
            f"the index says {size:,} bytes, the tensors hold {totals['bytes']:,}",
            "the index was written for another set of shards or types; the headers count",
        )
    known = (totals["stored"], totals["logical"], totals["parameters"])
    if count is not None and count not in known:
        yield Finding(
            "note",
            "total_parameters",
            "index",
            f"the index says {count:,} parameters, the headers hold {totals['logical']:,}",
            "other ways to count (tied, packed or unlearned tensors), or a stale index",
        )
    rows = manifest["config"].get("vocab_size")
    name = manifest["embedding"]
    shape: list[int] = next((t["shape"] for t in manifest["tensors"] if t["name"] == name), [])
    if type(rows) is int and len(shape) == 2 and rows > shape[0] > 1:
        yield Finding(
            "note",
            "vocab_size",
            name,
            f"config.json names {rows:,} tokens, the embedding is stored with {shape[0]:,} rows",
            "the config belongs to another version, or the embedding is packed",
        )


def _values(params: pd.DataFrame) -> Iterator[Finding]:
    for row in params.itertuples():
        name = row.param_name
        if row.nan_count > 0:
            yield Finding(
                "error",
                "nan",
                name,
                f"{row.nan_count:,} of {row.numel:,} elements are NaN",
                "training diverged or a conversion failed; outputs will be NaN",
            )
        infinite = row.posinf_count + row.neginf_count
        if infinite > 0:
            yield Finding(
                "error",
                "infinite",
                name,
                f"{infinite:,} of {row.numel:,} elements are infinite",
                "a value overflowed its type in a conversion",
            )
        if row.numel > 1 and row.zero_fraction == 1:
            severity = "note" if row.is_bias else "warning"
            yield Finding(
                severity,
                "all_zero",
                name,
                f"all {row.numel:,} elements are zero",
                "usual for an unused bias; for a weight: never trained, pruned or not saved",
            )
        elif row.numel > 1 and row.min == row.max and row.block_type != "norm":
            yield Finding(
                "note",
                "constant",
                name,
                f"all {row.numel:,} elements are {row.min:.6g}",
                "the tensor still has its initial value",
            )
        if pd.notna(row.rank) and row.rank < 0.5 * min(row.rows, row.cols) and row.rank > 0:
            yield Finding(
                "warning",
                "rank_collapse",
                name,
                f"rank {row.rank} of {min(row.rows, row.cols)}",
                "most directions carry nothing: low-rank factors merged back, or collapse",
            )


def _coverage(coverage: pd.DataFrame) -> Iterator[Finding]:
    for row in coverage[coverage["status"] == "unsupported"].itertuples():
        yield Finding(
            "note",
            "not_analysed",
            row.param_name,
            row.reason,
            "its numbers are missing from all tables",
        )
