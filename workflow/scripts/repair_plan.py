"""Plan the repair of a fine-tune: how many directions of each change stand out from noise.

    python workflow/scripts/repair_plan.py --pairs pairs.parquet \\
        --differences differences.parquet --out plans/repair_plan.json --files plans/repair

--out is the plan, and --files a folder for repair.json, a report in the form of DG-Hard
(docs/plans.md). The tables are those of compare.py; nothing else is read.
"""

import logging

from blockresearch.plans.plan import write_plan
from blockresearch.plans.repair import repair_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("repair_plan")


def main(options):
    plan, _ = repair_plan(
        read_table(options.pairs, "pairs"), read_table(options.differences, "differences")
    )
    write_plan(plan, read_facts(options.differences), options.out, options.files)
    if "reason" in plan.record:
        log.info("no plan: %s", plan.record["reason"])
    else:
        log.info("%.1f %% of the change is removed", 100 * plan.record["removed"])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--pairs", required=True, help="table pairs")
    parser.add_argument("--differences", required=True, help="table differences")
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the report")
    cli.run(parser, main)
