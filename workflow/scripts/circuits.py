"""Measure the attention heads of a model: what each reads, matches, writes and copies.

    python workflow/scripts/circuits.py --model_path models/Qwen3-4B --out circuits

writes to the folder, as .csv and .parquet, attention_heads (a row for each head), head_graph (the
pairs of heads of which one writes what the other reads) and amplifiers (the channels that the MLP
of each layer can add most to). Nothing is run: all numbers follow
from the weights (docs/circuits.md). The rule of the workflow gives a manifest instead of a folder,
and --heads, --bases and --amplifiers, the files of circuits_part for all groups of layers, in
order.
"""

import logging
import os
import tempfile
from pathlib import Path

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.checkpoint.provenance import facts
from blockresearch.circuits.bases import PARTS, read_blocks
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.part import AMPLIFIERS, BASES, HEADS, measure_layers, part_file
from blockresearch.run import cli
from blockresearch.run.checkpoint_source import read_checkpoint
from blockresearch.tables.io import frame, stack
from blockresearch.tables.labels import write_both

log = logging.getLogger("circuits")


def main(options):
    manifest = read_checkpoint(options)
    # The same numbers on any number of cores.
    with threadpool_limits(1), tempfile.TemporaryDirectory() as scratch:
        paths = options.heads, options.bases, options.amplifiers
        paths = paths if any(paths) else measured(manifest, scratch, options)
        heads = stack(paths[0], "attention_heads", [])
        amplifiers = stack(paths[2], "amplifiers", [])
        blocks = [block for path in paths[1] for block in read_blocks(path)]
        edges = frame(graph_rows(blocks, options.parts, options.threads), "head_graph")
    folder, about = Path(options.out), facts(manifest, {})
    write_both(heads, "attention_heads", folder / "attention_heads", about)
    write_both(edges, "head_graph", folder / "head_graph", about)
    write_both(amplifiers, "amplifiers", folder / "amplifiers", about)
    log.info("%d rows and %d edges in %s", len(heads), len(edges), folder)


def measured(manifest, folder, options):
    """Measure all layers; the files with heads, bases and amplifiers of each group, in `folder`."""
    files = {file.path: manifest.path_of(file.path, options.weights) for file in manifest.shards}
    prefixes = []
    for group in layer_groups(manifest_json(manifest)):
        prefixes.append(Path(folder, group.name))
        measure_layers(manifest, files, group.layers, prefixes[-1], options.parts)
        log.info("%d layers", len(group.layers))
    return [
        [part_file(prefix, ending) for prefix in prefixes] for ending in (HEADS, BASES, AMPLIFIERS)
    ]


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    cli.add_checkpoint(parser)
    for name in ("heads", "bases", "amplifiers"):
        parser.add_argument(
            f"--{name}", nargs="+", default=[], metavar="FILE", help="of circuits_part"
        )
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
