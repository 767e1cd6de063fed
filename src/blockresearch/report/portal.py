"""The page of all models analyzed so far, for comparing them, and the same list as JSON.

With a store the page also lists its other models, whose results are elsewhere, and reads those of
this folder from there as long as they are what was added.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blockresearch.failures import Failure
from blockresearch.files import read_json
from blockresearch.language.sentence import declared, enumerated, say
from blockresearch.report import comparison
from blockresearch.report.citation import ending
from blockresearch.report.depth_profile import METRICS
from blockresearch.report.differences.links import comparisons
from blockresearch.report.dynamics.links import followed, steps_of
from blockresearch.report.model import listed_as, severities
from blockresearch.report.pages import render, script_json
from blockresearch.report.wording import integer, size
from blockresearch.results import EMBEDDING_FIGURES, LAYER_FIGURES
from blockresearch.summary import Summary, model_key, written_ns
from blockresearch.text import short, visible

LONGEST_REASON = 300

WITHOUT_REASON = "without a result or an error message: killed, or still running"

# What an entry may be; the page shows the word.
STATUSES = ("complete", "damaged", "failed", "planned", "unfinished", "stored")

# Of these there are numbers to compare.
COMPARABLE = ("complete", "damaged", "stored")


def portal(
    results: Path,
    failures: Mapping[str, Failure],
    program: Mapping[str, str],
    stored: Iterable[Summary] = (),
) -> tuple[str, list[dict[str, Any]]]:
    """The page of all models, made by `program` (see `citation`), and the list for index.json.

    A model is a folder of `results` with a manifest.json or among `failures`, by the folder's name,
    or else one of a store.
    """
    runs = followed(results)
    steps = steps_of(results)
    summaries = list(stored)
    known = {(one.folder, one.written_ns): one for one in summaries}
    entries, depths, listed = [], {}, set()
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        if not (folder / "manifest.json").is_file() and folder.name not in failures:
            continue
        summary = known.get((folder.name, written_ns(folder)))
        found = entry(folder, failures.get(folder.name), summary)
        # Of a step of a training run only headers were read, and its page is that of the run.
        if found["status"] == "planned" and folder.name in steps:
            continue
        entries.append(found)
        if found["numbers"]:
            depths[folder.name] = _comparison(folder, summary).get("depth", [])
        listed.add(summary.model if summary else folder.name)
    names = {found["folder"] for found in entries}
    for one in summaries:
        if one.model in listed or (one.folder in names and one.model == _key(results / one.folder)):
            continue
        entries.append(stored_entry(one))
        depths[one.model] = one.comparison.get("depth", [])
    entries.sort(key=lambda found: str(found["folder"]))
    weights = comparisons(results)
    page = render(
        "portal.html.j2",
        "portal-depth.js",
        "portal.js",
        texts=[
            *(text for row in comparison.ROWS for text in (row.group, row.label, row.meaning)),
            *LAYER_FIGURES.values(),
            *EMBEDDING_FIGURES.values(),
            *(metric.label for metric in METRICS),
        ],
        title="Models",
        ending=ending(program),
        models=[*map(_shown, entries)],
        has_stored=any(found["status"] == "stored" for found in entries),
        weights=weights,
        runs=runs,
        data=script_json(compared(entries, depths) | {"weights": [*map(asdict, weights)]}),
    )
    return page, entries


def entry(
    folder: Path, failure: Failure | None = None, summary: Summary | None = None
) -> dict[str, Any]:
    """The entry of one model, read from its `summary` if that is what its folder contains.

    status is complete, damaged (by its audit), failed (with the error that a job left in its log),
    planned (its headers were read, nothing is measured) or unfinished: files are missing or
    unreadable.
    """
    found = _unknown(folder.name)
    try:
        stored = _comparison(folder, summary)
        facts = stored.get("listed_as")
        # A manifest is large, and a thousand of them take more time and memory than the page.
        if not facts or is_newer(folder / "manifest.json", folder / "comparison.json"):
            facts = listed_as(read_json(folder / "manifest.json"))
        found |= facts
        found["findings"] = (
            summary.counts if summary else read_json(folder / "audit.json")["counts"]
        )
        found |= {name: value for name, value in stored.items() if name in found}
        finished = (folder / "index.html").is_file()
    except (OSError, ValueError, KeyError):
        finished = False
    if failure:
        reason = visible(f"{failure.rule}: {failure.reason or WITHOUT_REASON}")[:LONGEST_REASON]
        return found | {"status": "failed" if failure.is_error else "unfinished", "reason": reason}
    if not finished:
        begun = any((folder / name).exists() for name in ("shards", "parts", "params.parquet"))
        return found | {"status": "unfinished" if begun or found["bytes"] is None else "planned"}
    return found | {"status": "damaged" if found["findings"]["error"] else "complete"}


def stored_entry(summary: Summary) -> dict[str, Any]:
    """The entry of a model that only a store has: there is no page and no picture to link to."""
    numbers = {name: summary.comparison.get(name) for name in ("numbers", "provenance")}
    return {
        **_unknown(summary.model),
        **summary.comparison.get("listed_as", {}),
        **numbers,
        "findings": summary.counts,
        "status": "stored",
    }


def _unknown(name: str) -> dict[str, Any]:
    """The entry of a model of which nothing is known yet."""
    return {
        "model": name,
        "revision": None,
        "commit": None,
        "folder": name,
        "status": "unfinished",
        "reason": None,
        "type": "–",
        "parameters": None,
        "bytes": None,
        "created_at": None,
        "findings": None,
        "numbers": None,
        "figures": [],
        "provenance": None,
    }


def _comparison(folder: Path, summary: Summary | None) -> Mapping[str, Any]:
    """The content of comparison.json of a model; results of an older version have none."""
    if summary:
        return summary.comparison
    path = folder / "comparison.json"
    return dict(read_json(path)) if path.is_file() else {}


def _key(folder: Path) -> str | None:
    """The key of a model in stores; None if its manifest cannot be read."""
    try:
        return model_key(read_json(folder / "manifest.json"))
    except (OSError, ValueError, KeyError):
        return None


def is_newer(path: Path, other: Path) -> bool:
    """Whether a file was written after another. Raises OSError if one of them is missing."""
    return path.stat().st_mtime_ns > other.stat().st_mtime_ns


def compared(
    entries: list[dict[str, Any]], depths: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Input of the page's script for comparing models: rows, and texts and numbers of each.

    `depths` are their statistics over depth, by `folder` of the entry.
    """
    captions = LAYER_FIGURES | EMBEDDING_FIGURES
    return {
        "rows": [
            {
                "group": row.group,
                "label": row.label,
                "meaning": row.meaning,
                "anchor": row.anchor,
                "kind": row.kind,
            }
            for row in comparison.ROWS
        ],
        "figures": captions,
        "metrics": [
            {"key": metric.key, "label": metric.label, "log": metric.is_log} for metric in METRICS
        ],
        "models": {
            entry["folder"]: {
                "name": visible(_name(entry)),
                "values": comparison.written(entry["numbers"]),
                "numbers": [_number(entry["numbers"].get(row.key)) for row in comparison.ROWS],
                "depth": depths[entry["folder"]],
                "figures": [path for path in entry["figures"] if path in captions],
            }
            for entry in entries
            if entry["numbers"] and entry["status"] in COMPARABLE
        },
    }


def _number(value: Any) -> float | None:
    """A number with the digits that a difference needs; None for texts."""
    if isinstance(value, int):
        return value
    return float(f"{value:.6g}") if isinstance(value, float) else None


def _name(entry: Mapping[str, Any]) -> str:
    name = short(entry["model"])
    return name if entry["commit"] else name.rstrip("/").rsplit("/", 1)[-1]


def _version(entry: Mapping[str, Any]) -> str:
    if entry["commit"]:
        return f"{entry['revision']} {entry['commit'][:10]}"
    if entry["status"] == "stored":
        return str(entry["folder"]).rpartition("@")[2]
    return "–" if entry["parameters"] is None else say("local folder")


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    counts = entry["findings"]
    named = severities(counts or {})
    known = entry["parameters"] is not None
    return {
        **entry,
        "name": _name(entry),
        "finished": entry["status"] in ("complete", "damaged"),
        "comparable": bool(entry["numbers"]) and entry["status"] in COMPARABLE,
        "count": integer(entry["parameters"]) if known else "–",
        "size": size(entry["bytes"]) if known else "–",
        "date": (entry["created_at"] or "–")[:10],
        "version": _version(entry),
        "status": declared(entry["status"]),
        "detail": entry["reason"] or (enumerated(named) if named else ""),
    }
