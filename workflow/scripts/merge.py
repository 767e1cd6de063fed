"""Merge the measured parts of a model into its tables.

    python workflow/scripts/merge.py --manifest manifest.json --plan plan.json \\
        --parts parts --out_dir .

writes params.csv, params.json, params.parquet, matrices.parquet, spectra.parquet,
histograms.parquet, coverage.csv and coverage.parquet. The Parquet files state the units of their
columns, the checkpoint, the program, and the settings of --settings.
"""

import json
import logging
from pathlib import Path

import pandas as pd

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.files import read_json
from blockresearch.measurement import merge
from blockresearch.run import cli
from blockresearch.tables.io import stack
from blockresearch.tables.labels import stack_labeled, write_both, write_labeled

log = logging.getLogger("merge")


def main(options):
    manifest, plan = read_manifest(options.manifest), read_json(options.plan)
    out = Path(options.out_dir)
    roles = {tensor.name: tensor.role.role for tensor in manifest.tensors}
    about = facts(manifest, json.loads(options.settings))

    def paths(table):
        return [Path(options.parts, f"{part['part']}.{table}.parquet") for part in plan["parts"]]

    def stacked(table):
        return stack(paths(table), table, by=["param_name"])

    params = merge.with_roles(stacked("params"), "params", manifest)
    for table in ("spectra", "histograms"):
        place = out / f"{table}.parquet"
        stack_labeled(paths(table), table, params["param_name"], place, about, roles)
    spectra = pd.read_parquet(out / "spectra.parquet", columns=["param_name", "method"])
    numel = dict(zip(params["param_name"], params["numel"], strict=True))
    coverage = merge.coverage(manifest, numel, merge.refused(params, spectra))
    for suffix in ("csv", "json", "parquet"):
        write_labeled(params, "params", out / f"params.{suffix}", about)
    matrices = merge.with_roles(stacked("matrices"), "matrices", manifest)
    write_labeled(matrices, "matrices", out / "matrices.parquet", about)
    write_both(coverage, "coverage", out / "coverage", about)
    log.info(
        "%d tensors, %d matrices; coverage: %s",
        len(params),
        len(matrices),
        coverage["status"].value_counts().to_dict(),
    )


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of the model")
    parser.add_argument("--plan", required=True, help="plan of the model")
    parser.add_argument("--parts", required=True, help="folder of the measured parts")
    parser.add_argument("--settings", default="{}", help="settings of the parts (JSON)")
    parser.add_argument("--out_dir", required=True, help="folder for the tables")
    cli.run(parser, main)
