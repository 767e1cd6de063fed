"""Compare two checkpoints: match their tensors and measure what changed.

    python workflow/scripts/compare.py --base models/base --other models/tuned --out comparison

writes to the folder, as .csv and .parquet, pairs (every tensor of both sides, matched or not),
differences (one row per matched matrix) and vocabulary (tokens that were added, removed or
renumbered), and autopsy.json (sentences on what kind of change it is). With --expect it is a check
for converters: the exit code is 1 if the other side differs by more. The rule of the workflow names
manifests instead of folders; shards that are not in place are downloaded and deleted afterwards.
"""

import logging
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.provenance import facts_of_pair
from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.expectation import unmet
from blockresearch.compare.folder import Checkpoint, compare_checkpoints, local_checkpoint
from blockresearch.files import write_json
from blockresearch.run import cli
from blockresearch.tables.labels import write_both

log = logging.getLogger("compare")


def main(options):
    with ExitStack() as stack:
        sides = [side(options, name, stack) for name in ("base", "other")]
        found = compare_checkpoints(*sides, options.threads)
    folder = Path(options.out)
    about = facts_of_pair(sides[1].manifest, sides[0].manifest)
    for table in ("pairs", "differences", "vocabulary"):
        write_both(getattr(found, table), table, folder / table, about)
    verdicts = autopsy(found.pairs, found.differences)
    write_json([asdict(verdict) for verdict in verdicts], folder / "autopsy.json")
    for verdict in verdicts:
        log.info("%s", verdict.text)
    log.info("%d pairs in %s", len(found.differences), folder)
    if options.expect and (reasons := unmet(options.expect, found, options.max_ulp)):
        raise ValueError("; ".join(reasons) + f": see {folder / 'differences.csv'}.")


def side(options, name, stack):
    """One side, whose files stay in place until `stack` is closed."""
    folder, path = getattr(options, name), getattr(options, f"{name}_manifest")
    if folder:
        return local_checkpoint(folder, cli.now())
    manifest = read_manifest(path)
    files = [*manifest.shards, *manifest.files_of("tokenizer")]
    place = job_folder(options.weights, path, f"compare-{name}")
    return Checkpoint(
        manifest, stack.enter_context(borrowed(manifest, files, options.weights, place))
    )


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    for name, what in (("base", "the checkpoint to compare with"), ("other", "the other one")):
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(f"--{name}", help=f"folder of {what}")
        which.add_argument(f"--{name}_manifest", help=f"manifest of {what}")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
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
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="pairs measured at once, each on one core (default: all cores)",
    )
    cli.run(parser, main)
