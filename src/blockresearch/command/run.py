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
    parser.add_argument("model", nargs="*", metavar="MODEL", help="id, ID@REVISION, folder or file")
    parser.add_argument("--models", metavar="FILE", help="a text file with one model a line")
    options.add_workflow(parser)


def main(chosen: argparse.Namespace) -> int:
    """Run the whole workflow on the models.

    Raises UsageError if there is none, or both models and a list.
    """
    from blockresearch.command import outcome, settings

    if bool(chosen.model) == bool(chosen.models):
        raise calls.UsageError("name models, or a list of them with --models FILE.")
    named = settings.of_models(chosen.model) if chosen.model else settings.of_list(chosen.models)
    found = settings.settings_of(chosen, named)
    words = calls.snakemake(None, found.words, found.files, chosen)
    code = calls.call(words, outcome.output_of(chosen.json))
    if chosen.json:
        outcome.print_json(outcome.of_models(found, code))
    return code
