"""Estimate time, memory, disk and download of models before a run.

    blockresearch plan deepseek-ai/DeepSeek-V3

Only file lists and headers are read, a few MB of a model of 1 TB.
"""

import argparse
from typing import Any

from blockresearch.command import calls, options


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
        outcome.print_json({"exit_code": code, "models": planned})
    return code


def forecast_of(folder: Any) -> dict[str, Any] | None:
    """The forecast for the model of a folder; times in s, sizes in bytes. None without a plan."""
    from blockresearch.checkpoint.manifest import read_manifest
    from blockresearch.checkpoint.plan import part_from_json
    from blockresearch.files import read_json
    from blockresearch.run.forecast import forecast

    if not (folder / "plan.json").exists():
        return None
    parts = [part_from_json(part) for part in read_json(folder / "plan.json")["parts"]]
    return forecast(read_manifest(str(folder / "manifest.json")), parts)
