"""Plan an adapter (LoRA) that keeps the change of a fine-tune, with a rank for each module.

    python workflow/scripts/adapter_plan.py --pairs pairs.parquet \\
        --differences differences.parquet --base_manifest manifest.json \\
        --out plans/adapter_plan.json --files plans/adapter

--out is the plan, and --files a folder for the files of PEFT (docs/plans.md): adapter_config.json,
and with --factors adapter_model.safetensors as well. The tables are those of compare.py. Only the
factors are computed from the weights; shards that are not in place are downloaded and deleted.
"""

import logging
from pathlib import Path

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.compare.checkpoint import Lent
from blockresearch.plans.adapter import NORMS, TOKENS, Settings, adapter_plan
from blockresearch.plans.factors import write_factors
from blockresearch.plans.plan import write_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("adapter_plan")

FACTORS = "adapter_model.safetensors"


def main(options):
    if options.factors and not options.other_manifest:
        raise ValueError("factors: give --other_manifest, whose weights they are computed from.")
    plan, adapter = adapter_plan(
        read_table(options.pairs, "pairs"),
        read_table(options.differences, "differences"),
        read_manifest(options.base_manifest),
        Settings(options.energy, options.max_rank, tuple(options.save), options.factors),
    )
    facts, written = read_facts(options.differences), []
    if adapter and options.factors:
        written = [FACTORS]
        job = f"adapter-{facts['model']}-vs-{facts['base_model']}"
        sides = [
            Lent(read_manifest(path), options.weights, job_folder(options.weights, path, name))
            for path, name in (
                (options.base_manifest, f"{job}-base"),
                (options.other_manifest, f"{job}-other"),
            )
        ]
        path = Path(options.files, FACTORS)
        errors = write_factors(adapter, *sides, options.factors, path)
        for module in plan.record["modules"]:
            module["written_error"] = errors[module["name"]]
    write_plan(plan, facts, options.out, options.files, written)
    if adapter:
        found = plan.record["predicted"]
        log.info(
            "%d modules keep %.1f %% of the change in %d parameters",
            len(adapter.modules),
            100 * found["kept"],
            found["parameters"],
        )
    else:
        log.info("no plan: %s", plan.record["reason"])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--pairs", required=True, help="table pairs")
    parser.add_argument("--differences", required=True, help="table differences")
    parser.add_argument("--base_manifest", required=True, help="manifest of the base")
    parser.add_argument("--other_manifest", help="manifest of the fine-tune, for --factors")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument(
        "--energy", type=cli.share, default=0.95, help="share of Σ σ² that each module keeps"
    )
    parser.add_argument(
        "--max_rank", type=cli.positive_int, default=128, help="largest rank of a matrix"
    )
    parser.add_argument(
        "--save",
        nargs="*",
        default=[TOKENS],
        metavar="WHAT",
        help=f"what is stored as a whole if it changed: {TOKENS}, {NORMS}",
    )
    parser.add_argument("--factors", choices=["F32", "BF16"], help="write the factors in this type")
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of PEFT")
    cli.run(parser, main)
