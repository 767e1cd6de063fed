"""Compare checkpoints with a base: what changed, where, and by how much.

    blockresearch compare Qwen/Qwen3-4B-Base Qwen/Qwen3-4B

Makes the comparison alone; `blockresearch run OTHER --set base=BASE` analyzes both models as well.
"""

import argparse
import sys

from blockresearch.command import calls, options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add both sides and the options of the workflow."""
    parser.add_argument("base", metavar="BASE", help="id, ID@REVISION, folder or file")
    parser.add_argument("other", nargs="+", metavar="OTHER", help="what it is compared with")
    options.add_workflow(parser)


def main(chosen: argparse.Namespace) -> int:
    """Make the comparisons and print where their pages are."""
    from blockresearch.command import outcome, settings

    # As a list: an id of digits stays a text.
    words = [*settings.of_models(chosen.other), settings.text("base", chosen.base)]
    found = settings.settings_of(chosen, words)
    call = calls.snakemake("compare", found.words, found.files, chosen)
    code = calls.call(call, outcome.output_of(chosen.json))
    comparisons = outcome.of_comparisons(found)
    if chosen.json:
        outcome.print_json({"exit_code": code, "comparisons": comparisons})
    elif code == 0 and not chosen.dry_run:
        for pair in comparisons:
            print(pair["page"], file=sys.stderr)
    return code
