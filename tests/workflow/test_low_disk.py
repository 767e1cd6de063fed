"""A model larger than the disk: what lies there while a run goes on, and what a rerun needs."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import bf16, write_safetensors
from tests.tools.hub_server import HubServer
from tests.workflow.conftest import (
    CIRCUITS,
    Project,
    assert_columns,
    assert_same_tables,
    copy_of_the_project,
)
from tests.workflow.test_quantised_model import quantized_model

pytestmark = pytest.mark.workflow

SHARDS = [f"model-{number:05d}-of-00004.safetensors" for number in range(1, 5)]
TABLES = ("coverage.csv", "embedding/summary.json")
AGAIN = {"measure_shard": 4, "analyze": 4, "merge": 1}


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
            # A folder may be deleted while it is listed.
            with suppress(FileNotFoundError):
                files = [*weights.rglob("*.safetensors"), *weights.rglob(".partial-*")]
                seen[0] = max(seen[0], len({path.parent for path in files}))
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


@dataclass(frozen=True)
class OnHub:
    """A project, and a hub on this machine with the model org/model."""

    project: Project
    hub: HubServer
    home: Path

    def run(self, results, *settings, options=(), tables=TABLES):
        """Make tables in the folder `results`; returns the jobs that ran."""
        self.hub.requests.clear()
        done = self.project.snakemake(
            *options,
            *("--config", "model=org/model", f"results={results}", "clustering={k_max: 4}"),
            *(f"weights=weights-{results}", *settings),
            *("--", *(f"{results}/org--model/{table}" for table in tables)),
            **{"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home), "HF_TOKEN": ""},
        )
        assert done.code == 0, done.text
        return done.jobs

    def copy_date(self, one, other):
        """Give a model the date of another folder of results, so that tables can be compared."""
        manifest = self.project.folder / other / "org--model/manifest.json"
        manifest.parent.mkdir(parents=True)
        shutil.copy(self.project.folder / one / "org--model/manifest.json", manifest)

    def sent(self):
        """Names of the shards that were fetched as a whole, each as often as it was."""
        whole = [r.path.rpartition("/")[2] for r in self.hub.requests if r.cdn and not r.range]
        return sorted(name for name in whole if name.endswith(".safetensors"))

    def on_disk(self, results):
        """Weights in the folder of these results."""
        return list((self.project.folder / f"weights-{results}").rglob("*.safetensors"))


@pytest.fixture
def on_hub(tmp_path):
    sharded_model(tmp_path / "hub/org/model")
    with HubServer(tmp_path / "hub", {}) as hub:
        yield OnHub(copy_of_the_project(tmp_path / "project"), hub, tmp_path / "home")


@pytest.mark.slow
def test_few_shards_on_disk_give_the_same_tables(on_hub):
    folder = on_hub.project.folder
    few = ("few", "keep_weights=false", "shards_on_disk=2")
    jobs = {"resolve_model": 1, "download": 4, **AGAIN, "embedding_analysis": 1}
    with watched(folder / "weights-all") as seen:
        assert on_hub.run("all") == jobs
    assert seen == [4] and on_hub.sent() == SHARDS

    on_hub.copy_date("all", "few")
    with watched(folder / "weights-few") as seen:
        assert on_hub.run(*few) == jobs
    assert seen == [2]
    # Embedding and output layer are read a second time.
    assert on_hub.sent() == sorted([*SHARDS, SHARDS[0], SHARDS[3]])
    assert_same_tables(folder / "all/org--model", folder / "few/org--model")
    assert not on_hub.on_disk("few") and not list((folder / "few/org--model/staged").iterdir())

    # A switch measures nothing again, in either direction, nor does another number of slots.
    assert on_hub.run("all", *few[1:]) == {} == on_hub.run("few", "shards_on_disk=3")
    assert not on_hub.hub.requests

    # A setting measures again, and clusters nothing.
    assert on_hub.run(*few, "sparsity_threshold=0.01") == AGAIN
    assert on_hub.sent() == SHARDS and not on_hub.on_disk("few")


@pytest.mark.slow
def test_no_table_is_stale_whatever_weights_are_there(on_hub):
    low, new = "keep_weights=false", "sparsity_threshold=0.01"
    on_hub.run("all")
    # What a broken run has measured ahead is taken by the next one.
    on_hub.copy_date("all", "few")
    on_hub.run("few", low)
    ahead = on_hub.run("few", low, new, options=("--until", "measure_shard"))
    assert ahead == {"measure_shard": 4} and on_hub.sent() == SHARDS
    assert on_hub.run("few", low, new) == {"analyze": 4, "merge": 1} and not on_hub.hub.requests
    # Weights that are there are used and stay.
    assert on_hub.run("all", low, new) == AGAIN and not on_hub.hub.requests
    assert len(on_hub.on_disk("all")) == 4
    folder = on_hub.project.folder
    assert_same_tables(folder / "all/org--model", folder / "few/org--model")

    # If weights are kept from now on, what is measured is fetched to stay, once.
    new = "sparsity_threshold=0.02"
    assert on_hub.run("few", new) == AGAIN and on_hub.sent() == SHARDS
    assert len(on_hub.on_disk("few")) == 4

    # Nothing depends on weights that are deleted; what reads them fetches them again.
    shutil.rmtree(folder / "weights-few")
    assert on_hub.run("few", new) == {} and not on_hub.hub.requests
    clusters = "clustering={k_max: 5}"
    assert on_hub.run("few", new, clusters) == {"embedding_analysis": 1}
    assert on_hub.sent() == [SHARDS[0], SHARDS[3]] and not on_hub.on_disk("few")
    all_again = ("--until", "download", "--forcerun", "download")
    assert on_hub.run("few", new, clusters, options=all_again) == {"download": 4}
    assert on_hub.run("few", new, clusters) == {} and len(on_hub.on_disk("few")) == 4


@pytest.mark.slow
def test_a_lost_part_is_measured_again_alone(on_hub):
    settings = ("keep_weights=false", "spectra=none")
    on_hub.run("few", *settings, tables=["coverage.csv"])
    folder = on_hub.project.folder / "few/org--model"
    before = {path: path.read_bytes() for path in folder.glob("parts/00002-*")}
    for path in (*before, folder / "coverage.csv"):
        path.unlink()
    again = on_hub.run("few", *settings, tables=["coverage.csv"])
    assert again == {"analyze": 1, "merge": 1} and on_hub.sent() == SHARDS[1:2]
    assert before == {path: path.read_bytes() for path in before} and not on_hub.on_disk("few")


@pytest.mark.slow
def test_companions_in_another_shard_are_fetched(on_hub, tmp_path):
    shutil.rmtree(tmp_path / "hub/org/model")
    quantized_model(tmp_path / "hub/org/model")
    tables = ["coverage.csv", "params.parquet"]
    on_hub.run("all", tables=tables)
    on_hub.copy_date("all", "few")
    on_hub.run("few", "keep_weights=false", tables=tables)
    # All of the file with the scales are companions, so their ranges are the whole of it.
    assert on_hub.sent().count("scales.safetensors") == 2 and len(on_hub.sent()) == 5
    assert not on_hub.on_disk("few")
    for table in tables:
        one, other = (on_hub.project.folder / name / "org--model" for name in ("all", "few"))
        assert (one / table).read_bytes() == (other / table).read_bytes(), table


@pytest.mark.slow
def test_circuits_borrow_their_shards(on_hub, tmp_path):
    """Of a model whose shards are deleted, those with layers are fetched once, for the job."""
    model = tmp_path / "hub/org/model"
    random = np.random.default_rng(1)
    for number, name in enumerate(SHARDS[:2]):
        start = f"model.layers.{number}"
        tensors = {
            f"{start}.self_attn.{each}_proj.weight": random.normal(0, 0.1, (16, 16))
            for each in "qkvo"
        }
        stored = {key: ("BF16", [16, 16], bf16(value)) for key, value in tensors.items()}
        if number == 0:
            stored["model.embed_tokens.weight"] = ("BF16", [64, 16], bf16(np.ones((64, 16))))
        write_safetensors(model / name, stored)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    tables = ["circuits/attention_heads.csv", "circuits/head_graph.csv"]
    analyses = "analyses=[tensors,embedding,circuits]"
    assert on_hub.run("all", analyses, tables=tables)["circuits"] == 1
    assert on_hub.sent() == SHARDS
    on_hub.run("few", analyses, "keep_weights=false", tables=tables)
    assert on_hub.sent() == SHARDS and not on_hub.on_disk("few")
    for table in tables:
        one, other = (on_hub.project.folder / name / "org--model" for name in ("all", "few"))
        assert (one / table).read_bytes() == (other / table).read_bytes(), table
    heads = pd.read_csv(one / tables[0])
    assert len(heads) == 8 and heads["missing"].isna().all()
    on_hub.run("all", analyses, tables=[f"circuits/{table}.csv" for table in CIRCUITS])
    for table in CIRCUITS:
        assert_columns(on_hub.project.folder / "all/org--model", table)


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
    assert run.code == 0 and run.jobs["measure_shard"] == 4, run.text
    assert before == {path: path.read_bytes() for path in home.rglob("*.safetensors")}
    assert not list(project.folder.glob("resources/weights/**/*.safetensors"))


@pytest.mark.slow
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
