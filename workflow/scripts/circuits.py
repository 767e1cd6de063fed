"""Measure the attention heads, MLPs and routed experts of a model.

    python workflow/scripts/circuits.py --model_path models/Qwen3-4B --out circuits

writes to the folder, as .csv and .parquet, attention_heads (what each head reads, matches, writes
and copies), head_graph (the pairs of heads of which one writes what the other reads), amplifiers
(the channels that the MLP of each layer can add most to), experts and expert_pairs (which are
alike, how they are chosen, which look dead). Nothing is run: all numbers
follow from the weights (docs/circuits.md). The rule of the workflow gives a manifest instead of a
folder, and with --measured the folder where circuits_part has left its files.
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
from blockresearch.circuits.part import measure_layers, part_file
from blockresearch.device import resolve_device
from blockresearch.run import cli
from blockresearch.run.checkpoint_source import read_checkpoint
from blockresearch.tables.io import frame, stack
from blockresearch.tables.labels import write_both

log = logging.getLogger("circuits")


def main(options):
    manifest = read_checkpoint(options)
    groups = layer_groups(manifest_json(manifest))
    folder, about = Path(options.out), facts(manifest, {})
    # The same numbers on any number of cores.
    with threadpool_limits(1), tempfile.TemporaryDirectory() as scratch:
        prefixes = [Path(options.measured or scratch, group.name) for group in groups]
        device = resolve_device(options.device)
        if not options.measured:
            measure(manifest, zip(groups, prefixes, strict=True), options, device)
        for name in ("attention_heads", "amplifiers", "experts", "expert_pairs"):
            paths = [part_file(prefix, f"{name}.parquet") for prefix in prefixes]
            rows = stack(paths, name, [])
            write_both(rows, name, folder / name, about)
            log.info("%d rows in %s", len(rows), folder / f"{name}.csv")
        paths = [part_file(prefix, "bases.npz") for prefix in prefixes]
        blocks = [block for path in paths for block in read_blocks(path)]
        edges = frame(graph_rows(blocks, options.parts, options.threads, device), "head_graph")
    write_both(edges, "head_graph", folder / "head_graph", about)
    log.info("%d edges in %s", len(edges), folder / "head_graph.csv")


def measure(manifest, groups, options, device):
    """Measure all layers: pairs of a group, and where its files begin."""
    files = {file.path: manifest.path_of(file.path, options.weights) for file in manifest.shards}
    for group, prefix in groups:
        measure_layers(manifest, files, group.layers, prefix, options.parts, device)
        log.info("%d layers", len(group.layers))


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    cli.add_checkpoint(parser)
    parser.add_argument("--measured", help="folder of the files of circuits_part")
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
    cli.add_device(parser)
    cli.run(parser, main)
