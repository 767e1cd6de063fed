"""Measure the attention heads of a model: what each reads, matches, writes and copies.

    python workflow/scripts/circuits.py --model_path models/Qwen3-4B --out circuits

writes to the folder, as .csv and .parquet, attention_heads (a row for each head) and head_graph
(the pairs of heads of which one writes what the other reads). Nothing is run: all numbers follow
from the weights (docs/circuits.md). The rule of the workflow gives a manifest instead of a folder;
files that are not in --weights are downloaded, and deleted afterwards.
"""

import logging
import os
from pathlib import Path

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.checkpoint.provenance import facts
from blockresearch.checkpoint.records import circuit_shards
from blockresearch.circuits.graph import PARTS, HeadGraph
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.reading import read_layers
from blockresearch.run import cli
from blockresearch.run.checkpoint_source import read_checkpoint
from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

log = logging.getLogger("circuits")


def main(options):
    manifest = read_checkpoint(options)
    names = circuit_shards(manifest_json(manifest))
    shards = [file for file in manifest.shards if file.path in names]
    place = job_folder(options.weights, options.manifest or "", "circuits")
    # The same numbers on any number of cores.
    with threadpool_limits(1), borrowed(manifest, shards, options.weights, place) as files:
        graph, rows = HeadGraph(options.parts, options.threads), []
        for layer in read_layers(manifest, files):
            rows += head_rows(layer)
            graph.add(layer)
            log.info("%s layer %d", layer.component, layer.index)
    heads, edges = frame(rows, "attention_heads"), frame(graph.rows(), "head_graph")
    folder, about = Path(options.out), facts(manifest, {})
    write_both(heads, "attention_heads", folder / "attention_heads", about)
    write_both(edges, "head_graph", folder / "head_graph", about)
    log.info("%d rows and %d edges in %s", len(heads), len(edges), folder)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    cli.add_checkpoint(parser)
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=["key", "value"],
        help="inputs of later heads that are followed (query takes as long as both others or more)",
    )
    parser.add_argument(
        "--threads",
        type=cli.positive_int,
        default=os.cpu_count(),
        help="layers compared at once, which changes no number (default: all cores)",
    )
    cli.run(parser, main)
