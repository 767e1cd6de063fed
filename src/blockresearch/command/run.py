"""Analyze models: ids of the hub, addresses of their pages, folders or safetensors files.

    blockresearch run Qwen/Qwen3-4B
    blockresearch run models/my-finetune --set spectra=none
    blockresearch run --models list.txt -- --profile slurm

A second run does nothing, and one that was interrupted continues. One failing model does not stop
the others.
"""

import argparse

from blockresearch.command import calls, options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the models and the options of the workflow."""
    options.add_models(parser)
    options.add_workflow(parser)
    options.add_store(parser)


def main(chosen: argparse.Namespace) -> int:
    """Run the whole workflow on the models."""
    from blockresearch.command import outcome, settings

    stored = [] if chosen.store is None else [settings.text("store", chosen.store)]
    found = settings.settings_of(chosen, [*settings.of_chosen(chosen), *stored])
    words = calls.snakemake(None, found.words, found.files, chosen)
    code = calls.call(words, outcome.output_of(chosen.json))
    if chosen.json:
        outcome.print_json(outcome.of_models(found, code))
    return code
