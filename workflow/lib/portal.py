"""The page of all models analysed so far, where models can be compared, and the list behind it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workflow.lib import artefacts, findings, overview
from workflow.lib.markup import script_json, visible
from workflow.lib.pages import read_json, render

ERROR_LINE = re.compile(r"^error: (.+)$", re.MULTILINE)
LONGEST_REASON = 300
COUNTS = ("error", "warning", "note")


def portal(results: Path) -> tuple[str, list[dict[str, Any]]]:
    """The page of all models, and the same as a list for programs.

    A model is a folder of `results` with logs or a manifest.json. One without a page of its own is
    listed as failed, with what its log says, or as unfinished.
    """
    folders = [path for path in sorted(results.iterdir()) if path.is_dir()]
    entries = [
        entry(folder)
        for folder in folders
        if (folder / "manifest.json").is_file() or (folder / "logs" / "resolve_model.log").is_file()
    ]
    page = render(
        "portal.html.j2",
        "portal.js",
        title="Models",
        models=[*map(_shown, entries)],
        data=script_json(comparison(entries)),
    )
    return page, entries


def entry(folder: Path) -> dict[str, Any]:
    """What is known of one model; files that are missing or unreadable make it unfinished."""
    found: dict[str, Any] = {
        "model": folder.name,
        "revision": None,
        "commit": None,
        "folder": folder.name,
        "status": "unfinished",
        "reason": None,
        "type": "–",
        "parameters": None,
        "bytes": None,
        "created_at": None,
        "findings": None,
        "numbers": None,
        "figures": [],
    }
    try:
        manifest = read_json(folder / "manifest.json")
        found |= {
            "model": manifest["model_id"] or manifest["model"],
            "revision": manifest["revision"],
            "commit": manifest["commit"],
            "type": findings.model_type(manifest),
            "parameters": manifest["totals"]["parameters"],
            "bytes": manifest["totals"]["bytes"],
            "created_at": manifest["created_at"],
        }
        found["findings"] = read_json(folder / "audit.json")["counts"]
        # Results of an older version have no numbers to compare.
        if (folder / "overview.json").is_file():
            found |= read_json(folder / "overview.json")
        finished = (folder / "index.html").stat().st_mtime_ns
    except (OSError, ValueError, KeyError):
        finished = None
    reason = failure(folder / "logs", finished or 0)
    if reason:
        return found | {"status": "failed", "reason": reason}
    if finished is None:
        return found
    return found | {"status": "damaged" if found["findings"]["error"] else "complete"}


def failure(logs: Path, since: int) -> str | None:
    """The error in the newest log after `since` (ns), as `rule: sentence`; None if there is none.

    A rule that is run again writes its log anew, so an error that stands was not mended since.
    """
    ages = sorted((path.stat().st_mtime_ns, path) for path in logs.rglob("*.log"))
    for age, path in reversed(ages):
        if age <= since:
            break
        lines = ERROR_LINE.findall(path.read_text(encoding="utf-8", errors="replace"))
        if lines:
            rule = path.relative_to(logs).parts[0].removesuffix(".log")
            return f"{rule}: {visible(lines[-1])[:LONGEST_REASON]}"
    return None


def comparison(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page's script needs to set models side by side: rows, and texts of each model."""
    captions = artefacts.LAYER_FIGURES | artefacts.EMBEDDING_FIGURES
    return {
        "rows": [
            {
                "group": row.group,
                "label": row.label,
                "meaning": row.meaning,
                "anchor": row.anchor,
            }
            for row in overview.ROWS
        ],
        "figures": captions,
        "models": {
            entry["folder"]: {
                "name": visible(_name(entry)),
                "values": overview.written(entry["numbers"]),
                "figures": [path for path in entry["figures"] if path in captions],
            }
            for entry in entries
            if entry["numbers"] and entry["status"] in ("complete", "damaged")
        },
    }


def _name(entry: Mapping[str, Any]) -> str:
    name = findings.short(entry["model"])
    return name if entry["commit"] else name.rstrip("/").rsplit("/", 1)[-1]


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    counts = entry["findings"]
    named = [
        f"{counts[kind]} {kind}{'s'[: counts[kind] != 1]}"
        for kind in COUNTS
        if counts and counts[kind]
    ]
    known = entry["parameters"] is not None
    return {
        **entry,
        "name": _name(entry),
        "finished": entry["status"] in ("complete", "damaged"),
        "comparable": bool(entry["numbers"]) and entry["status"] in ("complete", "damaged"),
        "count": findings.integer(entry["parameters"]) if known else "–",
        "size": findings.size(entry["bytes"]) if known else "–",
        "date": (entry["created_at"] or "–")[:10],
        "version": f"{entry['revision']} {entry['commit'][:10]}"
        if entry["commit"]
        else ("local folder" if known else "–"),
        "detail": entry["reason"] or ", ".join(named),
    }
