"""The page of a model: composition, findings, tables and pictures."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, enumerated, say
from blockresearch.report import comparison, glossary
from blockresearch.report.blocks import color
from blockresearch.report.citation import ending
from blockresearch.report.decisions.sentences import CAVEAT
from blockresearch.report.decisions.summary import plan_cards
from blockresearch.report.depth_profile import profile
from blockresearch.report.differences.links import partners
from blockresearch.report.downloads import grouped
from blockresearch.report.figures.layer_map import METRICS
from blockresearch.report.figures.model import add_map
from blockresearch.report.figures.names import indexed, patterns
from blockresearch.report.figures.numbers import rounded
from blockresearch.report.figures.pieces import Pieces
from blockresearch.report.figures.scripts import MODEL_SCRIPTS, STYLES
from blockresearch.report.findings.record import TOPICS, Finding, from_records, leading
from blockresearch.report.model import (
    NOTHING_FOUND,
    SHOWN,
    audit_finding,
    composition,
    identity,
    listed_as,
    severities,
    title,
    what,
)
from blockresearch.report.pages import linked, read_json, render
from blockresearch.report.values import audit_rows, passing_alpha
from blockresearch.report.wording import integer, parameter_count, percent, plural, shape
from blockresearch.results import (
    CIRCUITS,
    DOWNLOADS,
    EMBEDDING_FIGURES,
    LAYER_FIGURES,
    ON_DEMAND,
    REPORTS,
)
from blockresearch.tables.column import (
    NONE,
)
from blockresearch.tables.columns import (
    find_column,
)
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts
from blockresearch.text import visible

# Columns of params that the page shows.
COLUMNS = (
    "param_name",
    "component",
    "layer_index",
    "block_type",
    "role",
    "shape",
    "dtype",
    "numel",
    "mean",
    "std",
    "absmax",
    "zero_fraction",
    "kurtosis_excess",
    "rank",
    "resolved_rank",
    "stable_rank",
    "spectral_norm",
    "alpha",
)

# Texts that repeat, sent once each.
REPEATED = ("component", "block_type", "role", "shape", "dtype")

# Columns that are left out if no two tensors have different texts in them.
ONLY_IF_SEVERAL = ("component", "role")

LISTED_FINDINGS = 8

# Path -> contents of what the page offers to download, beside its pictures.
FILES = {
    **DOWNLOADS,
    **{f"reports/{name}.html": f"the report {report.label}" for name, report in REPORTS.items()},
    **CIRCUITS,
}


def model_page(
    folder: Path, planned: Iterable[str] = ()
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The page of the model whose results are in `folder`, the numbers to compare it by, and the
    scripts with its data that belong into the folder `details` beside it, by name.

    It links to existing comparisons of the model and to those that are `planned`.
    """
    manifest = read_json(folder / "manifest.json")
    params = read_table(folder / "params.parquet", "params")
    matrices = read_table(folder / "matrices.parquet", "matrices")
    layers = read_table(folder / "layers.parquet", "layers")
    clusters = read_table(folder / "embedding" / "clusters_summary.parquet", "clusters_summary")
    audit = read_json(folder / "audit.json")
    embedding = read_json(folder / "embedding" / "summary.json")
    numbers = comparison.numbers(manifest, params, matrices, audit, embedding)
    depth = layers["layer_index"].nunique()
    figures = {
        **(LAYER_FIGURES if depth else {}),
        **(EMBEDDING_FIGURES if len(clusters) else {}),
    }
    findings = from_records(read_json(folder / "findings.json")["findings"])
    first = leading(findings, SHOWN)
    data = parameters(params)
    about = read_facts(folder / "params.parquet")
    pieces = Pieces()
    pieces.add("parameters", data)
    drawn = add_map(pieces, folder, matrices)
    page = render(
        "model.html.j2",
        *MODEL_SCRIPTS,
        style_names=STYLES,
        script_files="'self'" if pieces.scripts else "",
        texts=[
            *(head["label"] for head in data["columns"]),
            *(text for metric in METRICS for text in (metric.label, metric.unit) if text),
        ],
        pieces=pieces.inline,
        static_maps=drawn,
        title=title(manifest),
        folder=folder.name,
        what=what(manifest, params),
        where=composition(params),
        glance=_glance(numbers, audit),
        composition=_composition(params),
        bar=_bar(params),
        findings=_shown(first),
        other_findings=[
            (label, _shown([one for one in findings if one.topic == topic and one not in first]))
            for topic, label in TOPICS.items()
        ],
        number_of_findings=len(findings),
        ending=ending(about),
        comparisons=partners(folder.name, folder.parent, planned),
        plans=plan_cards(folder),
        plans_caveat=CAVEAT,
        identity=identity(manifest),
        audit=audit | {"findings": audit_rows(audit)},
        audit_words=audit_finding(audit) if audit["findings"] else NOTHING_FOUND,
        listed_findings=LISTED_FINDINGS,
        reports=[
            {"path": f"reports/{name}.html", "label": report.label, "text": report.about}
            for name, report in (REPORTS | ON_DEMAND).items()
            if name in REPORTS or (folder / f"reports/{name}.html").is_file()
        ],
        figures=[
            {"path": path, "caption": caption}
            for path, caption in figures.items()
            if path in EMBEDDING_FIGURES
        ],
        downloads=[*grouped(folder, FILES | figures)],
        columns=[
            (glossary.anchor("params", head["key"]), find_column("params", head["key"]))
            for head in data["columns"]
        ],
        no_unit=NONE,
        tensors=integer(len(params)),
    )
    found = {"numbers": numbers, "figures": list(figures), "provenance": about}
    found["listed_as"] = listed_as(manifest)
    return page, found | {"depth": profile(layers)}, pieces.scripts


def _shown(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings as the template prints them."""
    return [
        {
            "id": finding.id,
            "severity": finding.severity,
            "text": linked(finding.text, [place.name for place in finding.tensors]),
            "about": finding.about,
        }
        for finding in findings
    ]


def parameters(params: pd.DataFrame) -> dict[str, Any]:
    """The table params as the page's script reads it: columns of values, numbers rounded, and only
    the exponents of power laws that pass.

    Rows are in the natural order of names (layer 2 before layer 10). A column of REPEATED contains
    indices into its list in `texts`. A name is an index into `texts` and its numbers: the text
    `model.layers.#.mlp.weight` with `3` is model.layers.3.mlp.weight.
    """
    params = params.assign(alpha=passing_alpha(params))
    keys = [natural(name) for name in params["param_name"]]
    params = params.iloc[sorted(range(len(params)), key=keys.__getitem__)]
    texts: dict[str, list[str]] = {}
    values: dict[str, list[Any]] = {}
    for name in COLUMNS:
        if name == "param_name":
            texts[name], values[name] = patterns(params[name])
        elif name == "shape":
            texts[name], values[name] = indexed([*map(shape, params[name])])
        elif name in REPEATED:
            texts[name], values[name] = indexed([*map(visible, params[name].fillna(""))])
        else:
            values[name] = [rounded(value) for value in params[name].tolist()]
    heads = [
        {
            "key": name,
            "label": column.title,
            "text": name in texts,
            "whole": column.type == "integer",
        }
        for name, column in ((name, find_column("params", name)) for name in COLUMNS)
        if name not in ONLY_IF_SEVERAL or len(set(texts[name]) - {""}) > 1
    ]
    return {"rows": len(params), "columns": heads, "texts": texts, "values": values}


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which numbers inside names count as numbers."""
    return [
        (int(part), "") if place % 2 else (0, part)
        for place, part in enumerate(re.split(r"([0-9]{1,9})", name))
    ]


def _glance(numbers: dict[str, Any], audit: dict[str, Any]) -> list[tuple[Sentence, str, str]]:
    """The key numbers at the top: label, value, anchor in the glossary."""
    values = dict(
        zip((row.key for row in comparison.ROWS), comparison.written(numbers), strict=True)
    )
    entropy = values["bits_entropy"]
    if numbers["bits_entropy"] is not None:
        entropy = say(
            "{entropy} of {stored} bits",
            entropy=f"{numbers['bits_entropy']:.2f}",
            stored=f"{numbers['bits_stored']:.4g}",
        )
    experts = [(say("experts per layer"), values["experts"], "params.expert_index")]
    experts = experts if numbers["experts"] else []
    counts = severities(audit["counts"])
    return [
        (say("parameters"), parameter_count(numbers["parameters"]), ""),
        (say("stored size"), values["bytes"], ""),
        (say("stored as"), values["dtypes"], ""),
        (say("layers"), values["layers"], "params.layer_index"),
        *experts,
        (say("entropy per weight"), entropy, "params.entropy_bits"),
        (say("file integrity"), enumerated(counts) if counts else say("no damage found"), ""),
    ]


def _composition(params: pd.DataFrame) -> list[dict[str, Any]]:
    """The table of the composition: components, and in each its blocks as texts."""
    return [
        {
            "component": component,
            "tensors": integer(sum(block.tensors for block in blocks)),
            "parameters": integer(sum(block.parameters for block in blocks)),
            "share": percent(sum(block.share for block in blocks)),
            "blocks": [
                {
                    "type": block.block_type,
                    "color": color(block.block_type),
                    "meaning": block.meaning,
                    "tensors": integer(block.tensors),
                    "shapes": _shapes(block.shapes),
                    "parameters": integer(block.parameters),
                    "share": percent(block.share),
                }
                for block in blocks
            ],
        }
        for component, blocks in comparison.composition(params).items()
    ]


def _shapes(shapes: tuple[str, ...]) -> str:
    more = len(shapes) - 1
    if not more:
        return shapes[0]
    return say("{first} and {others}", first=shapes[0], others=plural(more, "other"))


def _bar(params: pd.DataFrame) -> list[dict[str, str]]:
    """Rectangles of the bar of block types: place and width in per cent, color, text."""
    sums: dict[str, float] = {}
    for blocks in comparison.composition(params).values():
        for block in blocks:
            sums[block.block_type] = sums.get(block.block_type, 0.0) + block.share
    known = list(glossary.BLOCK_TYPES)
    order = sorted(sums, key=lambda name: (known.index(name) if name in known else 99, name))
    parts, start = [], 0.0
    for name in order:
        parts.append(
            {
                "x": f"{100 * start:.3f}",
                "width": f"{100 * sums[name]:.3f}",
                "color": color(name),
                "text": f"{name}: {percent(sums[name])}",
            }
        )
        start += sums[name]
    return parts
