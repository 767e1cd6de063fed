"""Plan which matrices of a model to train.

    python workflow/scripts/training_plan.py --manifest manifest.json --params params.parquet \\
        --matrices matrices.parquet --out plans/training_plan.json --files plans/training

--out is the plan, and --files a folder for the files of Spectrum, axolotl and PEFT (docs/plans.md).
"""

import logging

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.plans.plan import write_plan
from blockresearch.plans.training import CRITERIA, Settings, Tokens, training_plan
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("training_plan")


def main(options):
    manifest = read_manifest(options.manifest)
    plan = training_plan(
        read_table(options.params, "params"),
        read_table(options.matrices, "matrices"),
        manifest.model_id or manifest.model_path,
        Tokens(manifest.embedding, manifest.output, manifest.tied),
        Settings(options.criterion, options.share),
    )
    write_plan(plan, read_facts(options.params), options.out, options.files)
    if "reason" in plan.record:
        log.info("no plan: %s", plan.record["reason"])
    else:
        count = sum(map(len, plan.record["trained"].values()))
        log.info("%d of %d matrices to train", count, len(plan.record["matrices"]))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--matrices", required=True, help="table matrices")
    parser.add_argument(
        "--criterion", choices=list(CRITERIA), default="spectrum_snr", help="what ranks matrices"
    )
    parser.add_argument(
        "--share", type=cli.share, default=0.5, help="share of the matrices of each kind"
    )
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of tools")
    cli.run(parser, main)
