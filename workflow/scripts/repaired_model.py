"""Write the repaired model of a comparison: the fine-tune without what the repair plan removes.

    python workflow/scripts/repaired_model.py --pairs pairs.parquet \\
        --differences differences.parquet --base_manifest base.json --other_manifest other.json \\
        --out plans/repaired_model.json --model plans/repaired

--model is a folder for the files of the model, and --out what was written (docs/plans.md). The
tables are those of compare.py. Shards that are not in place are downloaded and deleted.
"""

import logging
import shutil
from dataclasses import asdict

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.compare.checkpoint import Lent
from blockresearch.files import write_json
from blockresearch.plans.plan import PlanError
from blockresearch.plans.repair import repair_plan
from blockresearch.plans.repaired import write_repaired
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("repaired_model")


def main(options):
    plan, repairs = repair_plan(
        read_table(options.pairs, "pairs"), read_table(options.differences, "differences")
    )
    if "reason" in plan.record:
        raise PlanError(f"There is no model to repair: {plan.record['reason']}.")
    facts = read_facts(options.differences)
    job = f"repair-{facts['model']}-vs-{facts['base_model']}"
    sides = [
        Lent(
            read_manifest(path), options.weights, job_folder(options.weights, path, f"{job}-{name}")
        )
        for path, name in ((options.base_manifest, "base"), (options.other_manifest, "other"))
    ]
    shutil.rmtree(options.model, ignore_errors=True)
    written, stays = write_repaired(repairs, *sides, options.model)
    record = {"matrices": [asdict(each) for each in written], "stays": stays}
    write_json({**record, "provenance": facts}, options.out)
    log.info("%d matrices repaired in %s", len(written), options.model)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--pairs", required=True, help="table pairs")
    parser.add_argument("--differences", required=True, help="table differences")
    parser.add_argument("--base_manifest", required=True, help="manifest of the base")
    parser.add_argument("--other_manifest", required=True, help="manifest of the fine-tune")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="what was written (JSON)")
    parser.add_argument("--model", required=True, help="folder for the repaired model")
    cli.run(parser, main)
