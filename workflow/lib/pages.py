"""The page of a model and the page of all models: static files that need no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from workflow.lib import failures, findings, tables
from workflow.lib.artefacts import DOWNLOADS, EMBEDDING_FIGURES, LAYER_FIGURES, REPORTS
from workflow.lib.markup import policy, script_json, visible
from workflow.lib.schemas import SCHEMAS

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
# Column of params -> heading on the page; texts that repeat are sent once.
COLUMNS = {
    "param_name": "tensor",
    "component": "component",
    "layer_index": "layer",
    "block_type": "block type",
    "shape": "shape",
    "dtype": "stored as",
    "numel": "parameters",
    "mean": "mean",
    "std": "std",
    "absmax": "largest |w|",
    "zero_fraction": "zeros",
    "kurtosis_excess": "excess kurtosis",
    "rank": "rank",
    "stable_rank": "stable rank",
    "spectral_norm": "σ₁",
    "alpha": "α",
}
REPEATED = ("component", "block_type", "shape", "dtype")
DIGITS = 5


def model_page(folder: Path) -> str:
    """The page of the model whose results are in `folder`."""
    manifest = _read(folder / "manifest.json")
    params = tables.read_table(folder / "params.parquet", "params")
    matrices = tables.read_table(folder / "matrices.parquet", "matrices")
    layers = tables.read_table(folder / "layers.csv", "layers")
    overview = tables.read_table(folder / "embedding" / "clusters_summary.csv", "clusters_summary")
    elbow = tables.read_table(folder / "embedding" / "elbow.csv", "elbow")
    audit = _read(folder / "audit.json")
    summary = _read(folder / "embedding" / "summary.json")
    figures = {
        **(LAYER_FIGURES if layers["layer_index"].notna().any() else {}),
        **(EMBEDDING_FIGURES if len(overview) else {}),
    }
    return _render(
        "model.html.j2",
        "table.js",
        title=findings.title(manifest),
        what=findings.what(manifest, params),
        findings=[
            findings.audit_finding(audit),
            *findings.value_findings(params, matrices),
            *findings.layer_findings(layers)[:2],
            *findings.embedding_findings(summary, overview, elbow)[:2],
        ],
        identity=findings.identity(manifest),
        audit=audit,
        reports=[
            {"path": path, "label": label, "text": text} for path, (label, text) in REPORTS.items()
        ],
        figures=[{"path": path, "caption": caption} for path, caption in figures.items()],
        downloads=[
            {"path": path, "text": text, "size": findings.size((folder / path).stat().st_size)}
            for path, text in DOWNLOADS.items()
        ],
        data=script_json(parameters(params)),
        tensors=findings.integer(len(params)),
    )


def parameters(params: pd.DataFrame) -> dict[str, Any]:
    """The table params as the page's script reads it: columns of values, numbers rounded.

    A column of REPEATED holds indices into its list in `texts`.
    """
    known = {column.name: column for column in SCHEMAS["params"].columns}
    texts: dict[str, list[str]] = {}
    values: dict[str, list[Any]] = {}
    for name in COLUMNS:
        column = params[name]
        if name in REPEATED:
            shown = column.fillna("").map(visible)
            texts[name] = sorted(set(shown))
            places = {text: place for place, text in enumerate(texts[name])}
            values[name] = [places[text] for text in shown]
        elif known[name].type == "string":
            values[name] = [visible(text) for text in column]
        else:
            values[name] = [_rounded(value) for value in column]
    heads = [
        {
            "key": name,
            "label": label,
            "text": known[name].type == "string",
            "whole": known[name].type == "integer",
            "meaning": known[name].meaning,
        }
        for name, label in COLUMNS.items()
        if name != "component" or len(texts["component"]) > 1
    ]
    return {"rows": len(params), "columns": heads, "texts": texts, "values": values}


def portal(results: Path) -> tuple[str, list[dict[str, Any]]]:
    """The page of all models analysed so far, and the same as a list for programs.

    A model is a folder of `results` with a manifest.json, an audit.json and an index.html, or with
    the record that the last run failed on it.
    """
    entries = []
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        if failed := failures.failure(folder):
            entries.append(_failed(folder, failed))
        elif all(
            (folder / name).is_file() for name in ("manifest.json", "audit.json", "index.html")
        ):
            entries.append(_entry(folder))
    page = _render("portal.html.j2", "portal.js", title="Models", models=[*map(_shown, entries)])
    return page, entries


def _entry(folder: Path) -> dict[str, Any]:
    manifest = _read(folder / "manifest.json")
    counts = _read(folder / "audit.json")["counts"]
    return {
        "model": manifest["model_id"] or manifest["model"],
        "revision": manifest["revision"],
        "commit": manifest["commit"],
        "folder": folder.name,
        "status": "damaged" if counts["error"] else "complete",
        "type": findings.model_type(manifest),
        "parameters": manifest["totals"]["parameters"],
        "bytes": manifest["totals"]["bytes"],
        "created_at": manifest["created_at"],
        "findings": counts,
    }


def _failed(folder: Path, failed: Mapping[str, Any]) -> dict[str, Any]:
    known = {"model": folder.name, "revision": None, "commit": None, "folder": folder.name}
    return {**known, "status": "failed", **failed}


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry["status"] == "failed":
        return {**entry, "name": findings.short(entry["model"])}
    counts = entry["findings"]
    named = [f"{count} {kind}{'s'[: count != 1]}" for kind, count in counts.items() if count]
    return {
        **entry,
        "name": findings.short(entry["model"]).rstrip("/").rsplit("/", 1)[-1]
        if entry["commit"] is None
        else findings.short(entry["model"]),
        "count": findings.integer(entry["parameters"]),
        "size": findings.size(entry["bytes"]),
        "date": entry["created_at"][:10],
        "short_commit": (entry["commit"] or "")[:10],
        "audit": ", ".join(named) or "nothing unusual",
    }


def _render(template: str, script: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_made_visible,
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    code = (TEMPLATES / script).read_text(encoding="utf-8")
    return environment.get_template(template).render(
        style=style,
        script=code,
        policy=policy(styles=[style], scripts=[code], images="'self' data:"),
        **values,
    )


def _made_visible(value: Any) -> Any:
    """Every text that a template prints, but what it marks as safe, with visible escapes."""
    return visible(value) if type(value) is str else value


def _rounded(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if abs(value) != float("inf") else None
    return int(value)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
