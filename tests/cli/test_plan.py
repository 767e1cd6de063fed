"""plan.py tells what a model will take and asks the hub for headers only."""

import json
import re

from blockresearch.safetensors.reader import START_BYTES
from tests.conftest import run_script, small_model
from tests.tools.hub_server import HubServer


def test_only_headers_are_asked_of_a_hub(tmp_path):
    folder = small_model(tmp_path / "hub/org/model", width=256)
    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
        done = run_script("plan", "--model_id", "org/model", "--json", **environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    shards = {path.name: path for path in folder.glob("*.safetensors")}
    assert told["bytes"] < told["download"] == sum(path.stat().st_size for path in shards.values())
    for name, path in shards.items():
        header = 8 + int.from_bytes(path.open("rb").read(8), "little")
        asked = [r for r in hub.requests if r.cdn and r.path.endswith(name)]
        sent = sum(request.sent for request in asked)
        assert 0 < sent <= header + START_BYTES < path.stat().st_size / 100
    assert told["parameters"] == 64 * 256 + 2 * (4 * 256**2 + 3 * 3 * 256**2 + 256) + 256
    assert told["parameters_by_block"]["embedding"] == 64 * 256
    assert told["bytes_by_dtype"] == {"BF16": 2 * told["parameters"]}


def test_a_folder_is_told_of_in_words(model):
    done = run_script("plan", "--model_id", model, "--base", model)
    assert done.returncode == 0, done.stderr
    assert re.search(r"parameters in 18 tensors, 2 shards", done.stdout)
    assert re.search(r"profile +download +measure +reports +in all +memory +disk", done.stdout)
    assert re.search(r"slurm, 200 jobs +0 s .* MB/job", done.stdout)
    assert "download 0 B" in done.stdout
    assert re.search(r"compared with .*\n  .* are read, .* of one core: ", done.stdout)
