"""A hub model through the workflow: pinned downloads, and what a new commit rebuilds."""

import json
import re

import pytest

from tests.conftest import small_model
from tests.tools.hub_server import HubServer
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.workflow

TABLE = "results/org--model/params.csv"
CONFIG = ("--config", "model=org/model", "--", TABLE)
MEASURED = {"download": 2, "measure_shard": 2, "analyze": 2, "merge": 1}


@pytest.mark.slow
def test_a_new_commit_rebuilds_what_it_changed(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    repo = small_model(tmp_path / "hub/org/model")
    (repo / "README.md").write_text("first words")
    manifest = project.folder / "results/org--model/manifest.json"

    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}

        def run():
            hub.requests.clear()
            done = project.snakemake(*CONFIG, **environment)
            assert done.code == 0, done.text
            return done.jobs

        def look_again():
            arguments = ("resolve", "--forcerun", "resolve_model", "--config", "model=org/model")
            done = project.snakemake(*arguments, **environment)
            assert done.code == 0, done.text
            return json.loads(manifest.read_text())["commit"]

        assert run() == {**MEASURED, "resolve_model": 1}
        first = json.loads(manifest.read_text())["commit"]
        assert len(first) == 40 and first in (project.folder / TABLE).read_text()
        assert run() == {}
        assert not hub.requests, "a pinned model needs no network"

        # Upstream, only the README changes.
        (repo / "README.md").write_text("other words")
        assert run() == {}, "nobody asked to look again"
        second = look_again()
        assert second != first
        assert run() == {"merge": 1}, "the commit is a column of the table"
        assert second in (project.folder / TABLE).read_text()

        # Upstream, one shard changes.
        shard = repo / "model-00002-of-00002.safetensors"
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
        look_again()
        assert run() == dict.fromkeys(MEASURED, 1)
        asked = {request.path.rpartition("/")[2] for request in hub.requests if request.cdn}
        assert len(asked) == 1, "the other shard is kept by its content"


def test_wrong_bytes_of_the_right_size_are_refused(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(tmp_path / "hub/org/model")
    with HubServer(tmp_path / "hub", {}) as hub:
        hub.fault("flip", path="model-00001-of-00002.safetensors", times=10, after=2000, cdn=True)
        run = project.snakemake(
            *CONFIG, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"), HF_TOKEN=""
        )
    assert run.code != 0
    words = "model-00001-of-00002.safetensors: the sha256 of the bytes"
    assert re.search(rf"\ndownload .* failed: org/model@.*{words}", run.text)
    [entry] = json.loads((project.folder / "results/index.json").read_text())
    assert entry["status"] == "failed" and entry["reason"].startswith("download: org/model@")
    assert not list(project.folder.glob("resources/weights/*/model-00001-of-00002.safetensors"))


def test_a_missing_model_is_looked_up_once(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    (tmp_path / "hub").mkdir()
    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
        done = project.snakemake("resolve", "--config", "model=org/nope", **environment)
        requests = [str(each) for each in hub.requests if "org/nope" in str(each)]
    assert done.code != 0 and done.text.count("resolve_model org--nope failed: ") == 1, done.text
    assert len(requests) == 1, requests
