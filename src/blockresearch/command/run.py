"""Analyze models: ids of the hub, addresses of their pages, folders or safetensors files.

    blockresearch run Qwen/Qwen3-4B
    blockresearch run models/my-finetune --set spectra=none
    blockresearch run --models list.txt -- --profile slurm

A second run does nothing, and one that was interrupted continues. One failing model does not stop
the others. A long list becomes several calls of Snakemake.
"""

import argparse
from collections.abc import Iterator

from blockresearch.command import calls, options

# When a manifest is ready, Snakemake 9.27 goes through the jobs of all models of its call.
MODELS_PER_CALL = 25


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the models and the options of the workflow."""
    options.add_models(parser)
    options.add_workflow(parser)
    options.add_store(parser)
    parser.add_argument(
        "--models-per-call",
        type=options.positive,
        default=MODELS_PER_CALL,
        metavar="N",
        help=f"models in one call of Snakemake (default: {MODELS_PER_CALL})",
    )


def main(chosen: argparse.Namespace) -> int:
    """Run the whole workflow on the models."""
    from blockresearch.command import outcome, settings

    stored = [] if chosen.store is None else [settings.text("store", chosen.store)]
    found = settings.settings_of(chosen, [*settings.of_chosen(chosen), *stored])
    code = 0
    for part in parts(chosen):
        own = settings.settings_of(chosen, [*part, *stored])
        words = calls.snakemake(None, own.words, own.files, chosen)
        code = max(code, calls.call(words, outcome.output_of(chosen.json)))
        # Of a process that a signal has ended.
        if code > 128:
            break
    if chosen.json:
        outcome.print_json(outcome.of_models(found, code))
    return code


def parts(chosen: argparse.Namespace) -> Iterator[list[str]]:
    """The words that name the models of each call, about as many in each."""
    from blockresearch.command import settings
    from blockresearch.run.config import models_in

    sources = chosen.model or models_in(chosen.models)
    count = -(-len(sources) // chosen.models_per_call)
    if count == 1:
        yield settings.of_chosen(chosen)
        return
    for number in range(count):
        first, last = (len(sources) * place // count for place in (number, number + 1))
        yield settings.of_models(sources[first:last])
