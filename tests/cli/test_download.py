"""download.py by hand against a local hub: verified files, the cache, clear sentences."""

import os

import pytest

from tests.conftest import call_script, run_script, small_model
from tests.tools.hub_server import HubServer


@pytest.fixture
def hub(tmp_path):
    small_model(tmp_path / "hub/org/model")
    with HubServer(tmp_path / "hub", {"hf_ok": ["org/gated"]}) as running:
        yield running


@pytest.fixture
def environment(hub, tmp_path):
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}


def test_a_model_becomes_a_folder_that_can_be_analyzed(hub, environment, tmp_path):
    out = tmp_path / "model"
    done = run_script("download", "--model_id", "org/model", "--out", out, **environment)
    assert done.returncode == 0, done.stderr
    for name in os.listdir(tmp_path / "hub/org/model"):
        assert (out / name).read_bytes() == (tmp_path / "hub/org/model" / name).read_bytes()
    table = tmp_path / "params.csv"
    assert call_script("analyze", "--model_path", out, "--out", table).returncode == 0
    assert table.read_text().count("\n") == 19


@pytest.mark.parametrize(
    ("model", "revision", "words"),
    [
        ("org/unknown", "main", "org/unknown"),
        ("org/model", "no-such-branch", "no-such-branch"),
        ("org/gated", "main", "HF_TOKEN"),
        ("org/pickles", "main", "safetensors is the supported format"),
    ],
)
def test_what_cannot_be_had_is_told(hub, environment, tmp_path, model, revision, words):
    gated = small_model(tmp_path / "hub/org/gated")
    (gated / ".hub.json").write_text('{"gated": "manual"}')
    pickles = tmp_path / "hub/org/pickles"
    pickles.mkdir()
    (pickles / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    done = run_script(
        "download",
        "--model_id",
        model,
        "--revision",
        revision,
        "--out",
        tmp_path / "x",
        **environment,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and words in last
    assert not (tmp_path / "x").exists()
