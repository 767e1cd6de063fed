"""Join the tables of the steps of a training run.

    python workflow/scripts/join_steps.py --manifests step1.json step2.json \\
        --steps step1.parquet step2.parquet --out dynamics

Both lists are in the order of training. What a step did not read, because it lies in shards of the
step before, gets the numbers of that step and a change of 0. The tables of heads and of knees,
where curves bend, are made from the table of all steps.
"""

import logging
from pathlib import Path

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.compare.dynamics import heads_of_run, joined
from blockresearch.compare.knees import knees
from blockresearch.run import cli
from blockresearch.tables.io import frame, read_table
from blockresearch.tables.labels import write_both

log = logging.getLogger("join_steps")


def main(options):
    manifests = [read_manifest(path) for path in options.manifests]
    table = joined(manifests, [read_table(path, "dynamics") for path in options.steps])
    folder = Path(options.out)
    about = facts(manifests[-1], {}) | {"model": folder.name}
    heads = heads_of_run(manifests, table)
    found = {
        "dynamics": table,
        "dynamics_heads": heads,
        "knees": frame(knees(table, heads), "knees"),
    }
    for name, data in found.items():
        write_both(data, name, folder / name, about)
    log.info("%d rows in %s", len(table), folder)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifests", required=True, nargs="+", help="manifests of the steps")
    parser.add_argument("--steps", required=True, nargs="+", help="tables of measure_step")
    parser.add_argument("--out", required=True, help="folder to write")
    cli.run(parser, main)
