"""Plan how much of each layer to prune.

    python workflow/scripts/sparsity_plan.py --params params.parquet --matrices matrices.parquet \\
        --ratio 0.5 --out plans/sparsity_plan.json --files plans/sparsity

--out is the plan, and --files a folder for recipes of llm-compressor (docs/plans.md).
"""

import logging

from blockresearch.plans.plan import write_plan
from blockresearch.plans.sparsity import Settings, sparsity_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("sparsity_plan")


def main(options):
    plan = sparsity_plan(
        read_table(options.params, "params"),
        read_table(options.matrices, "matrices"),
        Settings(options.ratio, options.spread),
    )
    write_plan(plan, read_facts(options.params), options.out, options.files)
    if "reason" in plan.record:
        log.info("no plan: %s", plan.record["reason"])
    else:
        log.info("ratios of %d layers", len(plan.record["layers"]))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--matrices", required=True, help="table matrices")
    parser.add_argument("--ratio", type=cli.share, default=0.5, help="share of weights to prune")
    parser.add_argument("--spread", type=cli.threshold, default=0.3, help="how much layers differ")
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of tools")
    cli.run(parser, main)
