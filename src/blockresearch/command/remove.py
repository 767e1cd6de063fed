"""Remove models from the results, with their comparisons, and write the page of all models again.

blockresearch remove local--my-finetune
"""

import argparse
import subprocess
import sys

from blockresearch.command import calls, options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the names of folders of results."""
    parser.add_argument("name", nargs="+", metavar="NAME", help="folder of a model in the results")
    parser.add_argument(
        "--weights",
        metavar="FOLDER",
        help="also delete downloaded files in FOLDER that no other model of these results uses",
    )
    options.add_results(parser)
    parser.add_argument("-n", "--dry-run", action="store_true", help="only list the folders")
    options.add_json(parser)


def main(chosen: argparse.Namespace) -> int:
    """Delete the folders and print their paths."""
    from blockresearch.command import outcome

    words = ["--results", chosen.results or "results"]
    words += ["--weights", chosen.weights] if chosen.weights else []
    words += ["--dry_run"] if chosen.dry_run else []
    call = calls.script("remove_model", *words, "--", *chosen.name)
    if not chosen.json:
        return calls.call(call)
    done = subprocess.run([sys.executable, *call[1:]], stdout=subprocess.PIPE, text=True)
    if done.returncode == 0:
        outcome.print_json({"removed": done.stdout.splitlines(), "dry_run": chosen.dry_run})
    return done.returncode
