"""Plan a merge of fine-tunes of one base: how their changes agree, and a configuration of mergekit.

    python workflow/scripts/merge_plan.py --base_manifest base.json \\
        --other_manifests a.json b.json --comparisons a-vs-base b-vs-base \\
        --out plans/merge_plan.json --files plans/merge

--comparisons are folders of compare.py in the order of --other_manifests. The changes are read from
the weights; shards that are not in place are downloaded and deleted afterwards.
"""

import logging
from pathlib import Path

from blockresearch.checkpoint.borrow import job_folder
from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.compare.checkpoint import Lent
from blockresearch.plans.merge import merge_plan, shared_matrices
from blockresearch.plans.plan import write_plan
from blockresearch.plans.task_vectors import task_vectors
from blockresearch.run import cli
from blockresearch.tables.io import read_table
from blockresearch.tables.labels import read_facts

log = logging.getLogger("merge_plan")


def main(options):
    if len(options.comparisons) != len(options.other_manifests):
        raise ValueError("comparisons: give one folder for each of --other_manifests.")
    paths = [options.base_manifest, *options.other_manifests]
    base, *others = (
        Lent(read_manifest(path), options.weights, job_folder(options.weights, path, f"merge-{n}"))
        for n, path in enumerate(paths)
    )
    folders = [Path(folder) for folder in options.comparisons]
    tables = [
        tuple(read_table(folder / f"{name}.parquet", name) for name in ("pairs", "differences"))
        for folder in folders
    ]
    found = task_vectors(shared_matrices(tables), base, others)
    plan = merge_plan(base.manifest, [other.manifest for other in others], found)
    facts = read_facts(folders[0] / "pairs.parquet")
    about = {name: text for name, text in facts.items() if name.startswith(("base_", "tool"))}
    write_plan(plan, about, options.out, options.files)
    if "reason" in plan.record:
        log.info("no plan: %s", plan.record["reason"])
    else:
        log.info("%s: %s", plan.record["method"], plan.record["method_reason"])


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--base_manifest", required=True, help="manifest of the base")
    parser.add_argument(
        "--other_manifests", nargs="+", required=True, help="manifests of the fine-tunes"
    )
    parser.add_argument(
        "--comparisons", nargs="+", required=True, help="their comparisons with the base"
    )
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--out", required=True, help="plan to write (JSON)")
    parser.add_argument("--files", required=True, help="folder for the file of mergekit")
    cli.run(parser, main)
