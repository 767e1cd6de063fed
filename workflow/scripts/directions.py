"""Name the leading directions of heads and MLPs by the tokens at their ends.

    python workflow/scripts/directions.py --manifest manifest.json --out circuits/directions \\
        --tokens embedding/tokens.parquet --output_tokens embedding/output_tokens.parquet \\
        --directions circuits/parts/*.directions.npz

writes a row for each side of a direction as .csv and .parquet (docs/circuits.md). The directions
are those of circuits_part for all groups of layers, in order. Files that are not in --weights are
downloaded, and deleted afterwards.
"""

import logging
import os

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import manifest_json, read_manifest
from blockresearch.checkpoint.provenance import facts
from blockresearch.checkpoint.records import lens_shards
from blockresearch.circuits.direction_rows import direction_rows
from blockresearch.circuits.directions import read_directions
from blockresearch.circuits.shown_tokens import shown_tokens
from blockresearch.device import resolve_device
from blockresearch.run import cli
from blockresearch.tables.io import frame, read_table
from blockresearch.tables.labels import write_both

log = logging.getLogger("directions")


def main(options):
    manifest = read_manifest(options.manifest)
    names = lens_shards(manifest_json(manifest))
    shards = [file for file in manifest.shards if file.path in names]
    found = [each for path in options.directions for each in read_directions(path)]
    embedding = shown_tokens(read_table(options.tokens, "tokens"))
    output = shown_tokens(read_table(options.output_tokens, "tokens"))
    place = job_folder(options.weights, options.manifest, "directions")
    # The same numbers on any number of cores.
    with threadpool_limits(1), borrowed(manifest, shards, options.weights, place) as files:
        of_tokens = (manifest, files, found, embedding, output)
        device = resolve_device(options.device)
        rows = list(direction_rows(*of_tokens, options.threads, device))
    write_both(frame(rows, "directions"), "directions", options.out, facts(manifest, {}))
    log.info("%d rows in %s.csv", len(rows), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of a model")
    parser.add_argument(
        "--directions", nargs="+", required=True, metavar="FILE", help="of circuits_part"
    )
    parser.add_argument("--tokens", required=True, help="table tokens (Parquet)")
    parser.add_argument(
        "--output_tokens", required=True, help="the same of a separate output layer (Parquet)"
    )
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--digest", help="hash of what is read; only for the workflow's record")
    parser.add_argument("--out", required=True, help="tables to write, without .csv and .parquet")
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="directions scored at once, which changes no number (default: all cores)",
    )
    cli.add_device(parser)
    cli.run(parser, main)
