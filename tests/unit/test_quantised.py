"""Quantised weights: each formula against its defining library's own numbers.

`tests/data/quantised.npz` was made by `tests/golden/quantised.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_safetensors
from workflow.lib import grids, plan
from workflow.lib.checkpoint import describe_folder

DATA = np.load(Path(__file__).parents[1] / "data" / "quantised.npz")
CASES = json.loads(DATA["cases"].tobytes())
# Half of the spacing of values in [1, 2).
EPS = {None: 1e-6, "F16": 2**-11, "BF16": 2**-8}


def checkpoint(folder, tensors, config=None):
    """A plan's entries by name, and where their shards lie."""
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({"quantization_config": config or {}}))
    parts = plan.make_plan(describe_folder(folder, "now", hashed=False))["parts"]
    return {t["name"]: {**t, "shard": part["shard"]} for part in parts for t in part["tensors"]}


def dequantised(folder, entry):
    grid = grids.open_grid(entry, lambda shard: folder / shard)
    whole = grid.read(0, grid.rows)
    # Any cut into blocks gives the same.
    step = max(1, grid.rows // 3)
    pieces = [grid.read(i, min(i + step, grid.rows)) for i in range(0, grid.rows, step)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert whole.dtype == np.float32
    return whole.reshape(grid.shape)


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_the_library(case, tmp_path):
    stored = {
        name: (dtype, shape, DATA[f"{case}/{name}"].tobytes())
        for name, (dtype, shape) in CASES[case]["tensors"].items()
    }
    entries = checkpoint(tmp_path, stored, CASES[case]["config"])
    assert len(entries) == 1, "the others are companions"
    (entry,) = entries.values()
    found, wanted = dequantised(tmp_path, entry), DATA[case]
    assert found.shape == wanted.shape
    eps = EPS["F16" if case.startswith("gptq") else CASES[case]["rounded"]]
    assert np.abs(found - wanted).max() <= eps * np.abs(wanted).max()
    assert len(np.unique(wanted)) > 4
    companions = entry["scheme"]["companions"]
    if "quant_state" not in companions and "shape" not in companions:
        assert tuple(entry["scheme"]["shape"]) == wanted.shape, "known from headers alone"
