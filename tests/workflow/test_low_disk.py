"""A model larger than the disk: what lies there while a run goes on, and what a rerun needs."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import bf16, write_safetensors
from tests.tools.hub_server import HubServer
from tests.workflow.conftest import assert_same_tables, copy_of_the_project

pytestmark = pytest.mark.workflow

SHARDS = [f"model-{number:05d}-of-00004.safetensors" for number in range(1, 5)]
TABLES = ("coverage.csv", "embedding/summary.json")


def sharded_model(folder: Path) -> Path:
    """Four shards; the token embedding is in the first, an output layer of its own in the last."""
    random = np.random.default_rng(0)

    def tensor(*shape):
        return "BF16", list(shape), bf16(random.normal(0, 0.1, shape))

    for number, name in enumerate(SHARDS):
        tensors = {f"model.layers.{number}.mlp.up_proj.weight": tensor(48, 16)}
        if number == 0:
            tensors["model.embed_tokens.weight"] = tensor(64, 16)
        if number == 3:
            tensors["lm_head.weight"] = tensor(64, 16)
        write_safetensors(folder / name, tensors)
    config = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 16, "vocab_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@contextmanager
def watched(weights: Path):
    """The largest number of shards, whole or on their way, that lay in a folder at one moment."""
    seen, end = [0], threading.Event()

    def look():
        while not end.is_set():
            files = [*weights.glob("*/*.safetensors"), *weights.glob("*/.partial-*")]
            seen[0] = max(seen[0], len({path.parent for path in files}))
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def test_few_shards_on_disk_give_the_same_tables(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    sharded_model(tmp_path / "hub/org/model")
    weights = project.folder / "low"

    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}

        def run(results, *settings, tables=TABLES):
            hub.requests.clear()
            targets = [f"{results}/org--model/{table}" for table in tables]
            profile = ("--profile", "profiles/low-disk", "--cores", 2) if results == "few" else ()
            done = project.snakemake(
                *(*profile, "--config", "model=org/model", f"results={results}"),
                *("clustering={k_max: 4}", *settings, "--", *targets),
                **environment,
            )
            assert done.code == 0, done.text
            return done.jobs

        jobs = {
            "resolve_model": 1,
            "download": 4,
            "analyze": 4,
            "merge": 1,
            "embedding_analysis": 1,
        }
        with watched(project.folder / "resources/weights") as seen:
            assert run("all") == jobs
        assert seen == [4]

        # The same date, so that the tables can be compared byte for byte.
        (project.folder / "few/org--model").mkdir(parents=True)
        dated = (project.folder / "all/org--model/manifest.json").read_bytes()
        (project.folder / "few/org--model/manifest.json").write_bytes(dated)
        low = ("weights=low", "shards_on_disk=2")
        with watched(weights) as seen:
            assert run("few", *low) == jobs
        assert seen == [2]
        assert not list(weights.glob("*/*.safetensors"))
        assert_same_tables(project.folder / "all/org--model", project.folder / "few/org--model")

        # An order is no reason to download or to measure.
        assert run("few", "weights=low", "shards_on_disk=3") == {} and not hub.requests
        # Nor is what stays; and what reads tables needs no weights.
        layers = run("few", *low, "keep_weights=true", tables=("layers.csv",))
        assert layers == {"transformer_analysis": 1} and not hub.requests

        # A setting of the clustering needs the shards of embedding and output layer. Snakemake
        # takes along what else reads a shard that comes anew.
        with watched(weights) as seen:
            assert run("few", *low, "clustering={k_max: 5}") == {
                "download": 2,
                "embedding_analysis": 1,
                "analyze": 2,
                "merge": 1,
            }
        assert seen == [2]
        again = project.folder / "few/org--model/params.csv"
        assert again.read_bytes() == (project.folder / "all/org--model/params.csv").read_bytes()
        assert not list(weights.glob("*/*.safetensors"))


@pytest.mark.slow
def test_what_is_in_a_cache_stays_there(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    sharded_model(tmp_path / "hub/org/model")
    with HubServer(tmp_path / "hub", {}) as hub:
        home = tmp_path / "home"
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": ""}
        names = sorted(path.name for path in (tmp_path / "hub/org/model").iterdir())
        get = "from huggingface_hub import hf_hub_download as get; "
        fetch = f"{get}[get('org/model', name) for name in {names}]"
        subprocess.run([sys.executable, "-c", fetch], env=os.environ | environment, check=True)
        before = {path: path.read_bytes() for path in home.rglob("*.safetensors")}
        assert len(before) == 4
        run = project.snakemake(
            *("--config", "model=org/model", "keep_weights=false", "shards_on_disk=2"),
            *("--", "results/org--model/coverage.csv"),
            **environment,
        )
    assert run.code == 0 and run.jobs["download"] == 4, run.text
    assert before == {path: path.read_bytes() for path in home.rglob("*.safetensors")}
    assert not list(project.folder.glob("resources/weights/*/*.safetensors"))


def test_only_the_embedding_fetches_only_its_bytes(tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    sharded_model(tmp_path / "hub/org/model")
    names = ("clusters", "clusters_summary", "elbow", "tokens", "output_tokens")
    with HubServer(tmp_path / "hub", {}) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}

        def run(results, *settings):
            hub.requests.clear()
            done = project.snakemake(
                *("--config", "model=org/model", f"results={results}", "clustering={k_max: 4}"),
                *settings,
                **environment,
            )
            assert done.code == 0, done.text
            return done.jobs, sum(request.sent for request in hub.requests if request.cdn)

        run("whole", "--", "whole/org--model/embedding/summary.json")
        jobs, sent = run("part", "analyses=[embedding]")
        assert jobs["download"] == 2 and jobs["analyze"] == 2 and jobs["model_page"] == 1
        folder = tmp_path / "hub/org/model"
        header = {
            name: 8 + int.from_bytes((folder / name).read_bytes()[:8], "little") for name in SHARDS
        }
        # Once to look up, where a start of fixed length is asked for; then two tables of 64 x 16.
        asked = [r for r in hub.requests if r.cdn and not r.range.startswith("bytes=0-")]
        assert sum(request.sent for request in asked) == 2 * 64 * 16 * 2
        assert sent < sum((folder / name).stat().st_size for name in SHARDS) + sum(header.values())

        for name in names:
            one, other = (
                (project.folder / results / f"org--model/embedding/{name}.csv").read_bytes()
                for results in ("whole", "part")
            )
            assert one == other, name
        assert run("part", "analyses=[embedding]") == ({}, 0)

    results = project.folder / "part/org--model"
    audit = json.loads((results / "audit.json").read_text())["findings"]
    partly = [SHARDS[0], SHARDS[3]]
    assert [f["where"] for f in audit if f["check"] == "not_verified"] == partly
    assert "not verified" in (results / "reports/00_setup.html").read_text()
    coverage = pd.read_csv(results / "coverage.csv")
    assert dict(coverage["status"].value_counts()) == {"left out": 4, "analysed": 2}
