"""The command `blockresearch` really runs the workflow, in a folder without a clone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from snakemake.cli import parse_config

from blockresearch.command import settings
from tests.conftest import ROOT, write_safetensors

pytestmark = pytest.mark.workflow


def test_audit_exits_with_3_and_prints_json_alone(tmp_path):
    weight = np.ones((16, 16), "<f4")
    weight[3, 4] = np.nan
    tensors = {"model.layers.0.mlp.up_proj.weight": ("F32", [16, 16], weight.tobytes())}
    write_safetensors(tmp_path / "my #1 model/model.safetensors", tensors)
    words = ["audit", "my #1 model", "--json", "--set", "spectra=none", "--cores", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "blockresearch.command.main", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("$ snakemake audit --config 'model= \"my #1 model\" '")
    [audit] = json.loads(done.stdout)["models"].values()
    assert audit["counts"]["error"] > 0


@pytest.mark.parametrize("value", ["org/a", "my #1 model", "2024_01", "5e12345", "a: b", "it's"])
def test_snakemake_reads_a_text_as_it_was_typed(value):
    assert parse_config([settings.text("model", value)]) == {"model": value}
    assert parse_config(settings.of_models([value, "b"]))["models"] == [value, "b"]
