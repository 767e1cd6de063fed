"""List the single weights far beyond a normal law, and the channels where they recur.

    python workflow/scripts/outliers.py --matrices matrices.parquet --out circuits/outliers

writes outliers as .csv and .parquet, from the table matrices alone (docs/circuits.md).
"""

import logging

from blockresearch.run import cli
from blockresearch.tables.io import frame, read_table
from blockresearch.tables.labels import read_facts, write_both
from blockresearch.tables.outliers import outlier_rows

log = logging.getLogger("outliers")


def main(options):
    found = frame(outlier_rows(read_table(options.matrices, "matrices")), "outliers")
    write_both(found, "outliers", options.out, read_facts(options.matrices))
    log.info("%d outliers in %s.csv", len(found), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--matrices", required=True, help="table matrices (Parquet)")
    parser.add_argument("--out", required=True, help="tables to write, without .csv and .parquet")
    cli.run(parser, main)
