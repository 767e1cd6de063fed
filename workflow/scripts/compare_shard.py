"""Measure what changed in the tensors of a shard, before compare makes tables of all shards.

    python workflow/scripts/compare_shard.py --base_manifest base.json \\
        --other_manifest other.json --base_surveys A/surveys/*.json \\
        --other_surveys B/surveys/*.json --shard 00001 --out B-vs-A/parts/00001.json

The shard is one of the base; of the other side, the shards with the partners of its tensors are
read. Shards that are not in place are downloaded, one of each side at a time, verified, and deleted
after that. Parents, of which the other side may be a merge, are read as well.
"""

import logging
import os
from pathlib import Path

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.compare.checkpoint import Lent
from blockresearch.compare.folder import Both, matched, measured
from blockresearch.compare.mixture import mixture
from blockresearch.compare.numbers import write_numbers
from blockresearch.compare.survey import read_surveys
from blockresearch.run import cli

log = logging.getLogger("compare_shard")


def main(options):
    paths = [options.base_manifest, options.other_manifest, *options.parent_manifests]
    pair = Path(options.out).parent.parent.name
    base, other, *parents = (
        Lent(
            read_manifest(path),
            options.weights,
            job_folder(options.weights, path, f"compare-{pair}-{options.shard}-{number}"),
        )
        for number, path in enumerate(paths)
    )
    shard = base.manifest.shards[int(options.shard) - 1].path
    surveys = map(read_surveys, (options.base_surveys, options.other_surveys))
    found = matched(base.manifest, other.manifest, *surveys)
    numbers = measured(found, found.compared(shard), Both(base, other), options.threads)
    mixed = mixture([base, *parents], other, shard) if parents else ()
    write_numbers(numbers, mixed, options.out)
    log.info("%d pairs in %s", len(numbers), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    for name in ("base", "other"):
        parser.add_argument(f"--{name}_manifest", required=True, help="manifest of a side")
        parser.add_argument(
            f"--{name}_surveys", nargs="+", required=True, metavar="FILE", help="of survey_shard"
        )
    parser.add_argument(
        "--parent_manifests", nargs="*", default=[], metavar="FILE", help="manifests of parents"
    )
    parser.add_argument("--shard", required=True, help="number of a shard of the base, from 1")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="pairs measured at once, each on one core (default: all cores)",
    )
    cli.run(parser, main)
