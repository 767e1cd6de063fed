"""Measure exponents of spectra that compare between shapes, with a null and a goodness of fit.

    python workflow/scripts/heavy_tails.py --manifest manifest.json --spectra spectra.parquet \\
        --out circuits/heavy_tails

writes a row for each matrix of the layers as .csv and .parquet (docs/circuits.md). Files that are
not in --weights are downloaded, and deleted afterwards.
"""

import logging

import numpy as np
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import manifest_json, read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.checkpoint.records import layer_shards
from blockresearch.circuits.tails import tail_rows
from blockresearch.run import cli
from blockresearch.tables.io import frame, read_table
from blockresearch.tables.labels import write_both

log = logging.getLogger("heavy_tails")


def main(options):
    manifest = read_manifest(options.manifest)
    names = layer_shards(manifest_json(manifest))
    shards = [file for file in manifest.shards if file.path in names]
    table = read_table(options.spectra, "spectra").dropna(subset=["singular_values"])
    keys = zip(table["param_name"], table["slice"].fillna(""), strict=True)
    spectra = dict(zip(keys, map(np.array, table["singular_values"]), strict=True))
    place = job_folder(options.weights, options.manifest, "heavy_tails")
    # The same numbers on any number of cores.
    with threadpool_limits(1), borrowed(manifest, shards, options.weights, place) as files:
        found = frame(tail_rows(manifest, files, spectra), "heavy_tails")
    write_both(found, "heavy_tails", options.out, facts(manifest, {}))
    log.info("%d matrices in %s.csv", len(found), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of a model")
    parser.add_argument("--spectra", required=True, help="table spectra (Parquet)")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--digest", help="hash of what is read; only for the workflow's record")
    parser.add_argument("--out", required=True, help="tables to write, without .csv and .parquet")
    cli.run(parser, main)
