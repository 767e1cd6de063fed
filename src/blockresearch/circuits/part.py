"""What one job measures of some layers, in files that begin alike.

PREFIX.TABLE.parquet are rows of the tables in `TABLES`, PREFIX.bases.npz is what the graph of heads
is made from (`bases`), and PREFIX.directions.npz are leading directions (`directions`). Nothing
depends on the other layers.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.circuits.amplifiers import amplifier_rows
from blockresearch.circuits.bases import bases_of, write_bases
from blockresearch.circuits.computing import Computing, computed
from blockresearch.circuits.directions import (
    Direction,
    head_directions,
    mlp_directions,
    write_directions,
)
from blockresearch.circuits.expert_rows import expert_rows
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.mlps import read_layer
from blockresearch.circuits.reading import read_layers
from blockresearch.circuits.tails import tail_rows
from blockresearch.tables.io import frame, write_table

TABLES = ("attention_heads", "amplifiers", "experts", "expert_pairs", "heavy_tails")


def measure_layers(
    manifest: Manifest,
    files: Mapping[str, Path],
    layers: Collection[Key],
    prefix: Path,
    inputs: Iterable[str],
    device: str = "cpu",
) -> None:
    """Measure `layers` and write the files that begin with `prefix`; `files` are the shards by
    name, `inputs` those of a head that the graph follows. `device` multiplies large matrices."""
    inputs = tuple(inputs)
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    bases: dict[str, np.ndarray] = {}
    directions: dict[Key, list[Direction]] = {key: [] for key in layers}
    for layer in read_layers(manifest, files, layers):
        rows["attention_heads"] += head_rows(layer)
        bases |= bases_of(layer, inputs)
        directions[layer.component, layer.index] += head_directions(layer)
    for key, found in directions.items():
        of_mlp = partial(_of_mlp, manifest, files, key)
        leading, amplifiers = computed(device, "MLP of {} layer {}".format(*key), of_mlp)
        found += leading
        place = dict(zip(("component", "layer_index"), key, strict=True))
        rows["amplifiers"] += [place | row for row in amplifiers]
    for experts in expert_rows(manifest, files, layers, device):
        rows["experts"] += experts.experts
        rows["expert_pairs"] += experts.pairs
    rows["heavy_tails"] += tail_rows(manifest, files, layers, device)
    for table in TABLES:
        write_table(frame(rows[table], table), table, part_file(prefix, f"{table}.parquet"))
    write_bases(bases, part_file(prefix, "bases.npz"))
    write_directions(
        [each for found in directions.values() for each in found],
        part_file(prefix, "directions.npz"),
    )


def _of_mlp(
    manifest: Manifest, files: Mapping[str, Path], key: Key, computing: Computing
) -> tuple[list[Direction], list[dict[str, Any]]]:
    """Leading directions and amplifiers of the MLP of a layer."""
    matrices = read_layer(manifest, files, key, computing)
    leading = list(mlp_directions(key, matrices, computing))
    return leading, list(amplifier_rows(matrices, computing))


def part_file(prefix: Path, ending: str) -> Path:
    """A file of a part."""
    return prefix.with_name(f"{prefix.name}.{ending}")
