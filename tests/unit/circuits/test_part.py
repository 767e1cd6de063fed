"""Layers give the same bytes in any groups."""

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.circuits.bases import PARTS, read_blocks
from blockresearch.circuits.directions import read_directions
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.part import measure_layers
from blockresearch.tables.io import stack
from tests.conftest import ROOT

ARRAYS = ("0.bases.npz", "0.directions.npz")

DEMO = ROOT / "resources/demo"


@pytest.fixture(scope="module")
def demo():
    return describe_folder(str(DEMO), "2026-01-01T00:00:00Z", hashed=False)


def measured(demo, folder, groups):
    """Tables of heads, edges and directions of groups of layers."""
    files = {file.path: demo.path_of(file.path, "") for file in demo.shards}
    for number, layers in enumerate(groups):
        measure_layers(demo, files, layers, folder / str(number), PARTS)
    paths = [folder / str(number) for number in range(len(groups))]
    heads = stack([f"{path}.attention_heads.parquet" for path in paths], "attention_heads", [])
    blocks = [block for path in paths for block in read_blocks(f"{path}.bases.npz")]
    directions = [each for path in paths for each in read_directions(f"{path}.directions.npz")]
    return heads, list(graph_rows(blocks, PARTS)), directions


def test_groups_change_no_number(demo, tmp_path):
    (group,) = layer_groups(manifest_json(demo))
    whole = measured(demo, tmp_path / "whole", [group.layers])
    single = measured(demo, tmp_path / "single", [[layer] for layer in group.layers])
    assert whole[0].equals(single[0]) and whole[1] == single[1]
    assert len(whole[0]) == 36 and len(whole[2]) > 100
    for one, other in zip(whole[2], single[2], strict=True):
        assert one.row == other.row and np.array_equal(one.vector, other.vector)


def test_the_same_layers_give_the_same_bytes(demo, tmp_path):
    groups = [[("text", 0), ("text", 1)]]
    for name in ("one", "two"):
        measured(demo, tmp_path / name, groups)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    tables = ("amplifiers", "attention_heads", "expert_pairs", "experts", "heavy_tails")
    assert files == sorted([*(f"0.{name}.parquet" for name in tables), *ARRAYS])
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_layers_without_anything_to_measure(demo, tmp_path):
    heads, edges, directions = measured(demo, tmp_path, [[]])
    assert len(heads) == 0 and edges == [] and directions == []
