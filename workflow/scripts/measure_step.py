"""Measure what changed at one step of a training run.

    python workflow/scripts/measure_step.py --manifests step3.json step1.json step2.json \\
        --out step3.parquet

The manifests (of resolve_model) are those of the step, of the first step and of the one before; of
the second step two suffice, and of the first its own. Only shards that are not those of the step
before are read. join_steps makes one table of all steps.
"""

import logging
import os
from contextlib import ExitStack
from pathlib import Path

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import manifest_json, read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.checkpoint.records import shards_of
from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.dynamics import changed_names, measured_step
from blockresearch.run import cli
from blockresearch.tables.labels import write_labeled

log = logging.getLogger("measure_step")


def main(options):
    manifests = [read_manifest(path) for path in options.manifests]
    names = changed_names(manifests[0], manifests[1:])
    with ExitStack() as stack:
        steps = []
        for path, manifest in zip(options.manifests, manifests, strict=True):
            shards = shards_of(manifest_json(manifest), names)
            files = [file for file in manifest.shards if file.path in shards]
            job = f"step-{manifests[0].name}-{manifest.name}"
            place = job_folder(options.weights, path, job)
            found = stack.enter_context(borrowed(manifest, files, options.weights, place))
            steps.append(Checkpoint(manifest, found))
        table = measured_step(steps[0], steps[1:], options.threads)
    write_labeled(table, "dynamics", Path(options.out), facts(manifests[0], {}))
    log.info("%d matrices and tensors in %s", len(table), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--manifests",
        required=True,
        nargs="+",
        metavar="FILE",
        help="manifests of the step, of the first step and of the one before",
    )
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="table to write, .parquet, .csv or .json")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="matrices measured at once, each on one core (default: all cores)",
    )
    cli.run(parser, main)
