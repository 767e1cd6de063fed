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

# Where config.json counts the layers of a component: parts of it (none = the whole), and keys.
LAYER_KEYS = {
    # The first two where layers are shared (ALBERT) or stacked in modules of their own (HRM).
    "text": (
        (),
        (
            *("num_hidden_groups", "num_layers_per_stack"),
            *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        ),
    ),
    "encoder": ((), ("encoder_layers", "num_encoder_layers", "num_layers")),
    "decoder": ((), ("decoder_layers", "num_decoder_layers")),
    "vision": (("vision_config",), ("num_hidden_layers", "depth", "num_layers")),
    "audio": (("audio_config",), ("num_hidden_layers", "encoder_layers", "num_layers")),
}
TEXT_CONFIGS = ("text_config", "llm_config", "language_config")


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
    findings = [
        *_index(manifest),
        *_totals(manifest),
        *_layers(manifest["config"], params),
        *_values(params),
        *_coverage(coverage),
    ]
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


def stated_layers(config: Mapping[str, Any], component: str) -> int | None:
    """How many layers config.json gives a component; None where it does not say."""
    parts, keys = LAYER_KEYS.get(component, ((), ()))
    holders = [config.get(part) for part in parts] if parts else [config]
    if component == "text":
        holders = [*(config.get(part) for part in TEXT_CONFIGS), *holders]
    for holder in holders:
        values = [holder.get(key) for key in keys] if isinstance(holder, Mapping) else []
        for value in values:
            if type(value) is int and value > 0:
                return value
    return None


def _layers(config: Mapping[str, Any], params: pd.DataFrame) -> Iterator[Finding]:
    """Layers that are stored, component by component, against those that config.json counts."""
    known = params.dropna(subset=["layer_index"])
    for component, numbers in known.groupby("component", observed=True)["layer_index"]:
        stated, stored = stated_layers(config, str(component)), {int(n) for n in numbers}
        if component in ("mtp", "adapter"):  # they begin anywhere, and may skip layers
            continue
        lacking = sorted(set(range(max(stated or 0, max(stored) + 1))) - stored)
        evidence = f"{len(stored):,} layers are stored"
        if stated is not None:
            evidence += f", config.json counts {stated:,}"
        if lacking:
            shown = ", ".join(map(str, lacking[:8])) + (" …" if len(lacking) > 8 else "")
            yield Finding(
                "warning",
                "missing_layers",
                str(component),
                f"{evidence}; none of number {shown}",
                "pruned, a part of a model, or a config of another size",
            )
        elif stated is not None and len(stored) > stated:
            yield Finding(
                "note",
                "layers",
                str(component),
                evidence,
                "the config belongs to another version, or counts other blocks",
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
