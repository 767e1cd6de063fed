"""Plan which routed experts to drop, the same number in every layer.

    python workflow/scripts/experts_plan.py --manifest manifest.json --experts experts.parquet \\
        --expert_pairs expert_pairs.parquet --share 0.25 --out plans/experts_plan.json \\
        --files plans/experts

--out is the plan, and --files a folder for the arguments of compressed-tensors' pruner
(docs/plans.md). The tables are made by circuits.py; no weight is read.
"""

import logging

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.plans.experts import CRITERIA, Settings, experts_plan
from blockresearch.plans.plan import write_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("experts_plan")


def main(options):
    plan = experts_plan(
        read_manifest(options.manifest),
        read_table(options.experts, "experts"),
        read_table(options.expert_pairs, "expert_pairs"),
        Settings(options.share, options.criterion),
    )
    write_plan(plan, read_facts(options.experts), options.out, options.files)
    if "reason" in plan.record:
        log.info("no plan: %s", plan.record["reason"])
    else:
        found = plan.record["predicted"]
        log.info("%d of %d experts stay", found["experts"], found["checkpoint_experts"])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--experts", required=True, help="table experts")
    parser.add_argument("--expert_pairs", required=True, help="table expert_pairs")
    parser.add_argument(
        "--share", type=cli.share, required=True, help="share of the experts of a layer to drop"
    )
    parser.add_argument(
        "--criterion", choices=list(CRITERIA), default="router_norm", help="what ranks experts"
    )
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of tools")
    cli.run(parser, main)
