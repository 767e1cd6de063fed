"""Read results again and name those that were altered or deleted since a run wrote them.

blockresearch verify
blockresearch verify Qwen--Qwen3-4B compare/Qwen--Qwen3-4B-vs-Qwen--Qwen3-4B-Base
"""

import argparse
import sys
from pathlib import Path

from blockresearch.command import options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the names of folders of results."""
    parser.add_argument(
        "name",
        nargs="*",
        metavar="NAME",
        help="folder in the results of a model, comparison or training run (default: all)",
    )
    options.add_results(parser)
    options.add_json(parser)


def main(chosen: argparse.Namespace) -> int:
    """Print altered and missing files; 1 if there is one.

    Raises ValueError if the results have no such model, or none.
    """
    from blockresearch.command import outcome
    from blockresearch.run import integrity

    results = Path(chosen.results or "results")
    known = sorted(path.parent.name for path in results.glob("*/manifest.json"))
    known += integrity.others(results)
    names = chosen.name or known
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no model {unknown[0]!r} in {results}: give a name of a folder.")
    if not names:
        raise ValueError(f"there are no results in {results}: name another folder with --results.")
    altered, missing, unrecorded = integrity.verify(str(results), names)
    kinds = {"altered": altered, "missing": missing, "no_record": unrecorded}
    found = {kind: list(map(str, paths)) for kind, paths in kinds.items()}
    if chosen.json:
        outcome.print_json({"folders": names, **found})
    else:
        for kind, paths in found.items():
            print(
                "\n".join(f"{kind.replace('_', ' ')}: {path}" for path in paths),
                end="\n" * bool(paths),
            )
    if altered or missing:
        print(
            "Delete the altered files and run again, which makes both kinds anew.", file=sys.stderr
        )
        return 1
    print("All recorded results are as they were made.", file=sys.stderr)
    return 0
