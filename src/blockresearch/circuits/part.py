"""What one job measures of some layers, in four files.

PREFIX.attention_heads.parquet and PREFIX.amplifiers.parquet are rows of these tables,
PREFIX.bases.npz is what the graph of heads is made from (`bases`), and PREFIX.directions.npz are
leading directions (`directions`). Each layer is read once, and nothing depends on the other layers.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.layer_groups import Key
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.circuits.amplifiers import amplifier_rows
from blockresearch.circuits.bases import bases_of, write_bases
from blockresearch.circuits.directions import (
    Direction,
    head_directions,
    mlp_directions,
    write_directions,
)
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.mlps import read_layer
from blockresearch.circuits.reading import read_layers
from blockresearch.tables.io import frame, write_table

HEADS, BASES, DIRECTIONS = "attention_heads.parquet", "bases.npz", "directions.npz"
AMPLIFIERS = "amplifiers.parquet"


def measure_layers(
    manifest: Manifest,
    files: Mapping[str, Path],
    layers: Collection[Key],
    prefix: Path,
    inputs: Iterable[str],
) -> None:
    """Measure `layers` and write the files that begin with `prefix`; `files` are the shards by
    name, `inputs` those of a head that the graph follows."""
    inputs = tuple(inputs)
    rows: list[dict[str, Any]] = []
    bases: dict[str, np.ndarray] = {}
    directions: dict[Key, list[Direction]] = {key: [] for key in layers}
    for layer in read_layers(manifest, files, layers):
        rows += head_rows(layer)
        bases |= bases_of(layer, inputs)
        directions[layer.component, layer.index] += head_directions(layer)
    amplifiers: list[dict[str, Any]] = []
    for key, found in directions.items():
        matrices = read_layer(manifest, files, key)
        found += mlp_directions(key, matrices)
        place = dict(zip(("component", "layer_index"), key, strict=True))
        amplifiers += [place | row for row in amplifier_rows(matrices)]
    write_table(frame(rows, "attention_heads"), "attention_heads", part_file(prefix, HEADS))
    write_table(frame(amplifiers, "amplifiers"), "amplifiers", part_file(prefix, AMPLIFIERS))
    write_bases(bases, part_file(prefix, BASES))
    write_directions(
        [each for found in directions.values() for each in found], part_file(prefix, DIRECTIONS)
    )


def part_file(prefix: Path, ending: str) -> Path:
    """A file of a part."""
    return prefix.with_name(f"{prefix.name}.{ending}")
