"""Analyze the small language model that comes with the program; no network is needed."""

import argparse
import sys

from blockresearch.command import options, run

# The name of the demo's folder.
NAME = "local--demo"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the workflow."""
    options.add_workflow(parser)
    options.add_store(parser)


def main(chosen: argparse.Namespace) -> int:
    """Run the whole workflow on the demo, and say what comes next."""
    from blockresearch.run.model import DEMO

    chosen.model, chosen.models, chosen.models_per_call = [DEMO], None, 1
    code = run.main(chosen)
    if code == 0 and not chosen.dry_run:
        results = f" --results {chosen.results}" if chosen.results else ""
        print(
            f"Next: `blockresearch open{results}` shows the pages; `blockresearch run MODEL` "
            "analyzes a model of the hub or a folder.",
            file=sys.stderr,
        )
    return code
