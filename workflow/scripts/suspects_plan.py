"""List the weights of a model that stand out, with the reason.

    python workflow/scripts/suspects_plan.py --params params.parquet --matrices matrices.parquet \\
        --audit audit.json --out plans/suspects_plan.json --files plans/suspects

--out is the list, and --files a folder with the modules to keep in high precision (docs/plans.md).
"""

import logging

from blockresearch.files import read_json
from blockresearch.plans.plan import write_plan
from blockresearch.plans.suspects import suspects_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("suspects_plan")


def main(options):
    plan = suspects_plan(
        read_table(options.params, "params"),
        read_table(options.matrices, "matrices"),
        read_json(options.audit)["findings"],
    )
    write_plan(plan, read_facts(options.params), options.out, options.files)
    log.info("%d suspects", len(plan.record["suspects"]))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--matrices", required=True, help="table matrices")
    parser.add_argument("--audit", required=True, help="findings of the audit")
    parser.add_argument("--out", required=True, help="list to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of tools")
    cli.run(parser, main)
