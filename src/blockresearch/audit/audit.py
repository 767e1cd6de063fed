"""Is the checkpoint sound? Findings from its manifest and the measured tables.

Each finding has a severity (error: the weights are damaged or incomplete; warning: unusual; note:
good to know), the name of the check, the place, the evidence in numbers, and the usual cause.
docs/integrity.md explains every check and its thresholds.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from blockresearch.audit import structure, values
from blockresearch.audit.finding import AuditFinding, as_record
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import say
from blockresearch.weights.quantized.scheme import CONTRADICTORY, DOES_NOT_FIT

SEVERITIES = ("error", "warning", "note")

PROBLEMS = {
    "missing_tensor": ("error", "the download or the upload is incomplete"),
    "sha256_mismatch": ("error", "the file was damaged or changed after it was downloaded"),
    "duplicate_tensor": ("warning", "shards of two exports are mixed; the loader uses one"),
    "repeated_tensor": ("note", "saved twice, for example by two writers of one model"),
    "misplaced_tensor": ("warning", "the index is stale; a loader that follows it fails"),
    "unlisted_tensor": ("warning", "the index is stale, or there are shards of another export"),
    "stale_index": ("note", "the index was written for another set; the present files count"),
    "other_weights": ("note", "another build of the same weights, or further ones"),
    "incomplete_set": ("warning", "the rest was not downloaded, or the names are of another set"),
    "assumed_tie": ("note", "a tied table is stored once, under the name of the output layer"),
    "not_verified": ("note", "only parts of the file were requested (`analyses`)"),
}


def audit(manifest: Manifest, params: pd.DataFrame, coverage: pd.DataFrame) -> dict[str, Any]:
    """The audit: {"counts": {severity: number}, "checked": {what: number}, "findings": [...]}.

    Most severe findings first.
    """
    findings = [
        *_index(manifest),
        *_totals(manifest),
        *structure.findings(manifest, params, coverage),
        *values.findings(manifest, params),
        *_coverage(coverage),
    ]
    # A tensor that is missing by the index and by its siblings is one finding.
    findings = list({(f.check, f.where): f for f in reversed(findings)}.values())
    findings.sort(key=lambda f: (SEVERITIES.index(f.severity), f.check, f.where))
    return {
        "counts": {
            severity: sum(finding.severity == severity for finding in findings)
            for severity in SEVERITIES
        },
        "checked": {
            "tensors": len(coverage),
            "measured": len(params),
            "files": len(manifest.files),
            "files_with_sha256": sum(file.sha256 is not None for file in manifest.files),
        },
        "findings": [as_record(finding) for finding in findings],
    }


def _index(manifest: Manifest) -> Iterator[AuditFinding]:
    for problem in manifest.problems:
        severity, meaning = PROBLEMS[problem.check]
        yield AuditFinding(severity, problem.check, problem.where, problem.evidence, meaning)


def _totals(manifest: Manifest) -> Iterator[AuditFinding]:
    """Totals stated by the index that differ from those of the headers."""
    totals, stated = manifest.totals, manifest.index
    size, count = stated.get("total_size"), stated.get("total_parameters")
    if size is not None and size != totals.bytes:
        yield AuditFinding(
            "note",
            "total_size",
            "index",
            say(
                "the index says {stated} bytes, the tensors have {count}",
                stated=f"{size:,}",
                count=f"{totals.bytes:,}",
            ),
            "the index was written for another set of shards or types; the headers count",
        )
    known = (totals.stored, totals.logical, totals.parameters)
    if count is not None and count not in known:
        yield AuditFinding(
            "note",
            "total_parameters",
            "index",
            say(
                "the index says {stated} parameters, the headers have {count}",
                stated=f"{count:,}",
                count=f"{totals.logical:,}",
            ),
            "other ways to count (tied, packed or unlearned tensors), or a stale index",
        )


def _coverage(coverage: pd.DataFrame) -> Iterator[AuditFinding]:
    for row in coverage[coverage["status"] == "unsupported"].itertuples():
        contradicts = row.reason.startswith((DOES_NOT_FIT, CONTRADICTORY))
        yield AuditFinding(
            "warning" if contradicts else "note",
            "contradictory" if contradicts else "not_analysed",
            row.param_name,
            row.reason,
            "codes and scales of different exports, or some are lost; its numbers are missing"
            if contradicts
            else "its numbers are missing from all tables",
        )
