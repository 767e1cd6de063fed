"""What heads of a real model do on texts, compared with what their weights predict.

SmolLM2-135M-Instruct reads random tokens that are repeated once. Bounds lie well below what
docs/circuits.md states, which is what was found.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.graph import HeadGraph
from blockresearch.circuits.heads import head_rows
from blockresearch.circuits.reading import read_layers
from tests.conftest import ROOT
from tests.tools import real_models

PYTHON = ROOT / ".venv-plans/bin/python"
DATE = "2026-01-01T00:00:00Z"

# Scores from which a head is said to attend to the position before, or to repeat.
PREVIOUS, INDUCTION = 0.3, 0.3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="make slow installs what runs a model"),
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The folder of the model."""
    wheels = Path(os.environ.get("BLOCKRESEARCH_WHEELS") or tmp_path_factory.mktemp("wheels"))
    return real_models.smollm2(tmp_path_factory.mktemp("smollm2"), wheels)


def run(*arguments):
    """The result of a function of `tools`."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    call = [PYTHON, ROOT / "tests/circuits/tools.py", *arguments]
    done = subprocess.run(call, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def tables(smollm2):
    """Heads with what they do, and the graph of keys, the largest z first."""
    manifest = describe_folder(str(smollm2), DATE, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    graph, rows = HeadGraph(["key"], 2), []
    for layer in read_layers(manifest, files):
        rows += head_rows(layer)
        graph.add(layer)
    heads = pd.DataFrame(rows).set_index(["layer_index", "head"])
    for name, scores in run("repeated_tokens", smollm2).items():
        heads[name] = [scores[layer][head] for layer, head in heads.index]
    return heads, pd.DataFrame(graph.rows())


def test_weights_predict_what_heads_do(tables):
    heads, _ = tables
    found = {
        (weights, behavior): spearmanr(heads[weights], heads[behavior]).statistic
        for weights, behavior in (
            ("copying", "copies"),
            ("slow_energy", "induction"),
            ("slow_energy", "previous"),
            ("qk_symmetry", "duplicate"),
        )
    }
    print(found)
    assert found["copying", "copies"] > 0.45
    assert found["slow_energy", "induction"] > 0.5
    assert found["slow_energy", "previous"] < -0.45
    assert found["qk_symmetry", "duplicate"] > 0.3
    # The score of copying is blind to how later layers change a token before it is read.
    assert heads.loc[(23, 0), "copying"] < 0 < heads.loc[(23, 0), "copies"]


def test_the_graph_finds_induction(tables):
    heads, graph = tables
    previous = heads.index[heads["previous"] > PREVIOUS]
    # Heads of a group share keys, and with them their edges.
    groups = heads.reset_index().groupby(["layer_index", "kv_head"])["induction"].max()
    repeating = groups.index[groups > INDUCTION]
    place = heads["kv_head"]
    pairs = [
        ((edge.from_layer, edge.from_head), (edge.to_layer, place[edge.to_layer, edge.to_head]))
        for edge in graph.itertuples()
    ]
    expected = sum(one[0] < other[0] for one in previous for other in repeating)
    possible = sum(one[0] < other[0] for one in heads.index for other in groups.index)
    found = np.array([one in previous and other in repeating for one, other in pairs])
    print(expected, possible, found[:20].sum(), found.sum())
    assert pairs[0] == ((16, 0), (17, place[17, 3])) and found[0]
    assert found[:20].mean() > 20 * expected / possible
    assert found.mean() > 4 * expected / possible
