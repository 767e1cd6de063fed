"""Measure heads, leading directions, experts and tails of spectra of a group of layers.

    python workflow/scripts/circuits_part.py --manifest manifest.json --group 00001 \\
        --out circuits/parts/00001

writes the files that circuits, directions and heavy_tails make tables of: 00001.TABLE.parquet,
00001.bases.npz and 00001.directions.npz. Files that are not in --weights are downloaded, and
deleted afterwards.
"""

import logging
from pathlib import Path

from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.borrow import borrowed, job_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json, read_manifest
from blockresearch.circuits.bases import PARTS
from blockresearch.circuits.part import measure_layers
from blockresearch.device import resolve_device
from blockresearch.run import cli

log = logging.getLogger("circuits_part")


def main(options):
    manifest = read_manifest(options.manifest)
    groups = {group.name: group for group in layer_groups(manifest_json(manifest))}
    group = groups[options.group]
    shards = [file for file in manifest.shards if file.path in group.shards]
    place = job_folder(options.weights, options.manifest, f"circuits-{group.name}")
    # The same numbers on any number of cores.
    with threadpool_limits(1), borrowed(manifest, shards, options.weights, place) as files:
        device = resolve_device(options.device)
        measure_layers(manifest, files, group.layers, Path(options.out), PARTS[:2], device)
    log.info("%d layers in %s.*", len(group.layers), options.out)


if __name__ == "__main__":
    parser = cli.parser(__doc__)
    parser.add_argument("--manifest", required=True, help="manifest of a model")
    parser.add_argument("--group", required=True, help="number of a group of layers, from 00001")
    parser.add_argument("--weights", default="", help="folder of downloaded weights")
    parser.add_argument("--digest", help="hash of what is read; only for the workflow's record")
    parser.add_argument("--out", required=True, help="start of the names of files to write")
    cli.add_device(parser)
    cli.run(parser, main)
