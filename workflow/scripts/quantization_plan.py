"""Plan the quantization of a model: a format for each group of matrices, within a budget.

    python workflow/scripts/quantization_plan.py --manifest manifest.json --params params.parquet \\
        --matrices matrices.parquet --engine compressed-tensors --bits 5 \\
        --out plans/quantization_plan.json --files plans/quantization

--out is the plan, and --files a folder for the files of the tools that execute it (docs/plans.md).
Nothing is measured: the errors of formats are columns of the tables.
"""

import logging

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.plans.engines.registry import ENGINES
from blockresearch.plans.plan import write_plan
from blockresearch.plans.quantization import Settings, quantization_plan, read_weights
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("quantization_plan")


def main(options):
    settings = Settings(
        options.engine,
        options.bits,
        options.bytes,
        tuple(options.formats),
        tuple(options.protect),
        read_weights(options.sensitivity) if options.sensitivity else None,
    )
    plan = quantization_plan(
        read_table(options.params, "params"),
        read_table(options.matrices, "matrices"),
        read_manifest(options.manifest).totals.bytes,
        settings,
    )
    write_plan(plan, read_facts(options.params), options.out, options.files)
    if "predicted" in plan.record:
        found = plan.record["predicted"]
        log.info("%.3f bits per weight, %d bytes in all", found["bits"], found["bytes"])
    else:
        log.info("no plan: %s", plan.record["reason"])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--params", required=True, help="table params")
    parser.add_argument("--matrices", required=True, help="table matrices")
    parser.add_argument(
        "--engine", choices=list(ENGINES), default="compressed-tensors", help="what loads the model"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--bits", type=cli.positive, help="average bits per weight of the matrices")
    budget.add_argument("--bytes", type=cli.positive_int, help="bytes of all tensors")
    parser.add_argument(
        "--formats", nargs="*", default=[], help="formats that may be used (default: all)"
    )
    parser.add_argument(
        "--protect",
        nargs="*",
        default=["super_weights"],
        metavar="WHAT",
        help="super_weights, first_layer, last_layer or names of modules that stay as stored",
    )
    parser.add_argument("--sensitivity", help="CSV file of measured weights: name, weight")
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the files of tools")
    cli.run(parser, main)
