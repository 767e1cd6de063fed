"""Estimate time, memory, disk and download of models before a run.

    blockresearch plan deepseek-ai/DeepSeek-V3

Only file lists and headers are read, a few MB of a model of 1 TB.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockresearch.command import calls, options

if TYPE_CHECKING:
    from blockresearch.checkpoint.plan import Part


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the models and the options of the workflow."""
    options.add_models(parser)
    options.add_workflow(parser)


def main(chosen: argparse.Namespace) -> int:
    """Look the models up and print what they will take."""
    from blockresearch.command import outcome, settings

    found = settings.settings_of(chosen, settings.of_chosen(chosen))
    words = calls.snakemake("plan", found.words, found.files, chosen)
    code = calls.call(words, outcome.output_of(chosen.json))
    if chosen.json:
        folders = {name: found.results / name for name in found.models}
        planned = {name: forecast_of(path) for name, path in folders.items()}
        pairs = [
            (found.results / pair.other.name, found.results / pair.base.name)
            for pair in found.comparisons
        ]
        compared = [comparison_of(*pair) for pair in pairs]
        outcome.print_json({"exit_code": code, "models": planned, "comparisons": compared})
    return code


def comparison_of(other: Path, base: Path) -> dict[str, Any] | None:
    """The forecast for a comparison of the models of two folders; None without both plans."""
    from blockresearch.run.forecast import comparison

    parts = [_parts_of(folder) for folder in (other, base)]
    return comparison(other.name, base.name, *parts) if all(parts) else None


def forecast_of(folder: Path) -> dict[str, Any] | None:
    """The forecast for the model of a folder; times in s, sizes in bytes. None without a plan."""
    from blockresearch.checkpoint.manifest import read_manifest
    from blockresearch.run.forecast import forecast

    parts = _parts_of(folder)
    return forecast(read_manifest(str(folder / "manifest.json")), parts) if parts else None


def _parts_of(folder: Path) -> list["Part"]:
    """The parts of the plan of a model; none without a plan."""
    from blockresearch.checkpoint.plan import part_from_json
    from blockresearch.files import read_json

    if not (folder / "plan.json").exists():
        return []
    return [part_from_json(part) for part in read_json(folder / "plan.json")["parts"]]
