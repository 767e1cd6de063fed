"""A quantized checkpoint whose scales lie in another shard, by hand and through the workflow."""

import json

import pandas as pd
import pytest

from blockresearch.tables.io import read_table
from tests.conftest import run_script, small_model, write_safetensors
from tests.unit.weights.test_reading import CASES, DATA
from tests.workflow.conftest import copy_of_the_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CASE = "gptq_4_act_order"
TABLE = "results/local--model/params.parquet"
CONFIG = ("--config", "model=model", "--", TABLE)


def quantized_model(folder):
    """A small model with one GPTQ weight, its codes in one file and its companions in another."""
    small_model(folder)
    stored = {
        name.replace("p.", "model.layers.0.extra.up_proj."): (
            dtype,
            shape,
            DATA[f"{CASE}/{name}"].tobytes(),
        )
        for name, (dtype, shape) in CASES[CASE]["tensors"].items()
    }
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    for file, is_codes in (("codes.safetensors", True), ("scales.safetensors", False)):
        some = {n: stored[n] for n in sorted(stored) if n.endswith("qweight") is is_codes}
        write_safetensors(folder / file, some)
        index["weight_map"] |= dict.fromkeys(some, file)
    path.write_text(json.dumps(index))
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = CASES[CASE]["config"]
    (folder / "config.json").write_text(json.dumps(config))


def test_companions_in_another_shard(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    folder = project.folder / "model"
    quantized_model(folder)
    run = project.snakemake(*CONFIG)
    assert run.code == 0, run.text
    assert run.jobs["analyze"] == 4
    by_workflow = read_table(project.folder / TABLE, "params")

    out = tmp_path / "params.parquet"
    done = run_script("analyze", "--model_path", folder, "--out", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    by_hand = read_table(out, "params")
    same = [name for name in by_hand if name not in ("model_path", "created_at")]
    pd.testing.assert_frame_equal(by_workflow[same], by_hand[same])
    row = by_workflow.set_index("quantisation").loc["gptq"]
    assert row["std"] == pytest.approx(DATA[CASE].astype(float).std(), rel=1e-3)
    ledger = pd.read_csv(project.folder / "results/local--model/coverage.csv")
    assert ledger["status"].value_counts().to_dict() == {"analysed": 19, "companion": 3}

    # Other scales: only the part with the codes is measured again, and that of the file itself.
    scales = folder / "scales.safetensors"
    content = bytearray(scales.read_bytes())
    content[-1] ^= 1
    scales.write_bytes(content)
    run = project.snakemake(*CONFIG)
    assert run.code == 0, run.text
    assert run.jobs["analyze"] == 2 and run.jobs["merge"] == 1
    assert project.snakemake(*CONFIG).jobs == {}
