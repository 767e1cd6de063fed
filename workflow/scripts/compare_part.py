"""Measure what changed in a part of the tensors, before compare makes tables of all parts.

    python workflow/scripts/compare_part.py --base_manifest base.json \\
        --other_manifest other.json --base_surveys A/surveys/*.json \\
        --other_surveys B/surveys/*.json --base_plan plan.json --part 00001-001 \\
        --out B-vs-A/parts/00001-001.json

The part is one of the base's plan, or with the number of a shard (00001) all parts of that. Of the
other side, the shards with the partners of its tensors are read. Shards that are not in place are
downloaded, one of each side at a time, verified, and deleted after that. Parents, of which the
other side may be a merge, are read as well.
"""

import logging
import os
from pathlib import Path

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.plan import tensors_of
from blockresearch.compare.checkpoint import Lent
from blockresearch.compare.folder import Both, matched, measured
from blockresearch.compare.mixture import mixture
from blockresearch.compare.numbers import write_numbers
from blockresearch.compare.survey import read_surveys
from blockresearch.device import resolve_device
from blockresearch.files import read_json
from blockresearch.run import cli

log = logging.getLogger("compare_part")


def main(options):
    paths = [options.base_manifest, options.other_manifest, *options.parent_manifests]
    pair = Path(options.out).parent.parent.name
    base, other, *parents = (
        Lent(
            read_manifest(path),
            options.weights,
            job_folder(options.weights, path, f"compare-{pair}-{options.part}-{number}"),
        )
        for number, path in enumerate(paths)
    )
    names = tensors_of(read_json(options.base_plan), options.part)
    surveys = map(read_surveys, (options.base_surveys, options.other_surveys))
    found = matched(base.manifest, other.manifest, *surveys)
    places, both = found.compared(names), Both(base, other)
    numbers = measured(found, places, both, options.threads, resolve_device(options.device))
    mixed = mixture([base, *parents], other, names) if parents else ()
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
    parser.add_argument("--base_plan", required=True, help="plan of the base")
    parser.add_argument("--part", required=True, help="name of a part, or number of a shard")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="pairs measured at once, each on one core (default: all cores)",
    )
    cli.add_device(parser)
    cli.run(parser, main)
