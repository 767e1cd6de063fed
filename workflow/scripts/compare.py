"""Compare two checkpoints: match their tensors and measure what changed.

    python workflow/scripts/compare.py --base models/base --other models/tuned --out comparison

writes pairs.csv (every tensor of both sides, matched or not), differences.parquet and
differences.csv (one row per matched matrix) and vocabulary.csv (tokens that were added, removed or
renumbered) to the folder. With --expect it is a check for converters: the exit code is 1 if the
other side differs by more.
"""

import logging
import os
from pathlib import Path

from blockresearch.compare.expectation import unmet
from blockresearch.compare.folder import compare_folders
from blockresearch.device import resolve_device
from blockresearch.run import cli
from blockresearch.tables.io import write_table

log = logging.getLogger("compare")


def main(options):
    device = resolve_device(options.device)
    found = compare_folders(options.base, options.other, cli.now(), options.threads, device)
    folder = Path(options.out)
    write_table(found.pairs, "pairs", folder / "pairs.csv")
    write_table(found.differences, "differences", folder / "differences.parquet")
    write_table(found.differences, "differences", folder / "differences.csv")
    write_table(found.vocabulary, "vocabulary", folder / "vocabulary.csv")
    log.info("%d pairs in %s", len(found.differences), folder)
    if options.expect and (reasons := unmet(options.expect, found, options.max_ulp)):
        raise ValueError("; ".join(reasons) + f": see {folder / 'differences.csv'}.")


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--base", required=True, help="folder of the checkpoint to compare with")
    parser.add_argument("--other", required=True, help="folder of the other checkpoint")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--expect", choices=("equal", "rounding"), help="fail if more than this has changed"
    )
    parser.add_argument(
        "--max_ulp",
        type=cli.positive_int,
        default=1,
        help="with --expect rounding: largest change in units in the last place (default: 1)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="pairs measured at once, each on one core (default: all cores)",
    )
    cli.run(parser, main)
