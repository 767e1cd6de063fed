"""What every plan is: a record that is kept as JSON, and texts of files for other tools."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockresearch.files import write_json, write_text


class PlanError(ValueError):
    """A setting that allows no plan; the message is one sentence."""


@dataclass(frozen=True)
class Plan:
    """The plan as JSON, and the texts of the tool's files by name."""

    record: dict[str, Any]
    files: dict[str, str]


def write_plan(
    plan: Plan,
    facts: Mapping[str, str],
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    others: Collection[str] = (),
) -> None:
    """Write the record to `path`, with the names of its files and its provenance, and the files to
    `folder`, which contains nothing else afterwards but `others`, written before."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for entry in Path(folder).iterdir():
        if entry.name not in others:
            entry.unlink()
    for name, text in plan.files.items():
        write_text(text, Path(folder, name))
    files = sorted({*plan.files, *others})
    write_json({**plan.record, "files": files, "provenance": dict(facts)}, path)
