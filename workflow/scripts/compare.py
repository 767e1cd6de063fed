"""Compare two checkpoints: match their tensors and measure what changed.

    python workflow/scripts/compare.py --base models/base --other models/tuned --out comparison

writes to the folder, as .csv and .parquet, pairs (every tensor of both sides, matched or not),
differences (one row per matched matrix), subspaces (agreement of their leading directions), heads
(what changed in each attention head), lineage (whether both can have started independently),
profiles (spread of the attention weights over depth), mixture (weights of a merge of --parents) and
vocabulary (tokens that were added, removed or renumbered), and autopsy.json (sentences on what kind
of change it is).

With --expect it is a check for converters: the exit code is 1 if the other side differs by more,
and expectation.json has the reasons.

The rule of the workflow names manifests instead of folders, and files of survey_shard and
compare_part, which have measured the tensors. Shards are then read only if many changes share a
direction; those that are not in place are downloaded, one of each side at a time, and deleted.
"""

import logging
import os
from pathlib import Path

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.provenance import facts_of_pair
from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.checkpoint import Lent, local_checkpoint
from blockresearch.compare.expectation import checked, parse_expectation
from blockresearch.compare.folder import Both, compare_checkpoints, joined, matched
from blockresearch.compare.items import items_of
from blockresearch.compare.mixture import mixture
from blockresearch.compare.numbers import read_numbers
from blockresearch.compare.survey import read_surveys
from blockresearch.compare.verdict import as_records
from blockresearch.device import resolve_device
from blockresearch.files import write_json
from blockresearch.results import COMPARED_TABLES
from blockresearch.run import cli
from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

log = logging.getLogger("compare")


def main(options):
    expected = options.expect and parse_expectation(options.expect, options.max_ulp)
    found, rows, about = joined_parts(options) if options.parts else compared_folders(options)
    mixed = frame(rows, "mixture")
    folder = Path(options.out)
    for table in COMPARED_TABLES:
        rows = mixed if table == "mixture" else getattr(found, table)
        write_both(rows, table, folder / table, about)
    verdicts = autopsy(found, mixed)
    write_json({"verdicts": as_records(verdicts), "provenance": about}, folder / "autopsy.json")
    for verdict in verdicts:
        log.info("%s", verdict.text)
    log.info("%d pairs in %s", len(found.differences), folder)
    if expected:
        result = checked(expected, found)
        write_json({**result, "provenance": about}, folder / "expectation.json")
        if not result["met"]:
            raise ValueError("; ".join(result["reasons"]) + f": see {folder / 'differences.csv'}.")


def compared_folders(options):
    """The comparison of two folders, rows of its table mixture, and where its numbers come from."""
    base, other, *parents = (
        local_checkpoint(folder, cli.now())
        for folder in (options.base, options.other, *options.parents)
    )
    found = compare_checkpoints(base, other, options.threads, resolve_device(options.device))
    rows = mixture([base, *parents], other) if parents else ()
    return found, rows, facts_of_pair(other.manifest, base.manifest)


def joined_parts(options):
    """The same from what jobs have measured of it."""
    job = f"compare-{Path(options.out).name}"
    base, other = (
        Lent(read_manifest(path), options.weights, job_folder(options.weights, path, name))
        for path, name in (
            (options.base_manifest, f"{job}-base"),
            (options.other_manifest, f"{job}-other"),
        )
    )
    surveys = map(read_surveys, (options.base_surveys, options.other_surveys))
    numbers, rows = {}, []
    for path in options.parts:
        some, mixed = read_numbers(path)
        numbers |= some
        rows += mixed
    found = matched(base.manifest, other.manifest, *surveys)
    places = {item.name: place for place, item in enumerate(items_of(other.manifest))}
    rows.sort(key=lambda row: places[row["other_name"]])
    about = facts_of_pair(other.manifest, base.manifest)
    return joined(found, numbers, Both(base, other)), rows, about


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    for name, what in (("base", "the checkpoint to compare with"), ("other", "the other one")):
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(f"--{name}", help=f"folder of {what}")
        which.add_argument(f"--{name}_manifest", help=f"manifest of {what}")
    for name in ("base", "other"):
        parser.add_argument(
            f"--{name}_surveys", nargs="*", default=[], metavar="FILE", help="of survey_shard"
        )
    parser.add_argument("--parts", nargs="*", default=[], metavar="FILE", help="of compare_part")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument(
        "--parents",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="other checkpoints of which, with the base, the other side may be a merge",
    )
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--expect",
        metavar="KIND",
        help="fail if more than this has changed: equal, rounding, or quantized:FORMAT",
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
    cli.add_device(parser)
    cli.run(parser, main)
