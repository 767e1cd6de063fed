"""Join exponents of spectra that compare between shapes, and add the goodness of fit.

    python workflow/scripts/heavy_tails.py --manifest manifest.json --spectra spectra.parquet \\
        --measured circuits/parts/*.heavy_tails.parquet --out circuits/heavy_tails

writes a row for each matrix of the layers as .csv and .parquet (docs/circuits.md). The exponents
are those of circuits_part for all groups of layers, in order.
"""

import logging
import os

import numpy as np

from blockresearch.checkpoint.manifest import read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.circuits.tails import fits
from blockresearch.run import cli
from blockresearch.tables.io import read_table, stack
from blockresearch.tables.labels import write_both

log = logging.getLogger("heavy_tails")


def main(options):
    manifest = read_manifest(options.manifest)
    table = read_table(options.spectra, "spectra").dropna(subset=["singular_values"])
    keys = zip(table["param_name"], table["slice"].fillna(""), strict=True)
    spectra = dict(zip(keys, map(np.array, table["singular_values"]), strict=True))
    found = stack(options.measured, "heavy_tails", [])
    found["alpha_p"] = fits(found, spectra, options.threads)
    write_both(found, "heavy_tails", options.out, facts(manifest, {}))
    log.info("%d matrices in %s.csv", len(found), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of a model")
    parser.add_argument("--spectra", required=True, help="table spectra (Parquet)")
    parser.add_argument(
        "--measured", nargs="+", required=True, metavar="FILE", help="of circuits_part"
    )
    parser.add_argument("--out", required=True, help="tables to write, without .csv and .parquet")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="spectra at once, which changes no number (default: all cores)",
    )
    cli.run(parser, main)
