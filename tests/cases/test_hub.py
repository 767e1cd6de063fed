"""A repository on the hub has the layouts of the same folder: small tensors are read as ranges."""

import json

import pytest

from blockresearch.checkpoint.describe import describe_folder, describe_repo
from blockresearch.checkpoint.hashes import file_sha256
from blockresearch.hub.repository import read_range
from blockresearch.run.model import parse_model
from tests.cases.checkpoints import llama, save
from tests.cases.quantized import bitsandbytes, packed, sparse
from tests.tools.hub_server import HubServer
from tests.unit.hub.conftest import listed, use

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "case",
    [
        bitsandbytes.nf4_over_stacks_of_experts,
        packed.packed_3_bits_in_whole_codes,
        sparse.sparse_2_of_4,
    ],
)
def test_schemes_are_those_of_the_folder(case, tmp_path, monkeypatch):
    tensors, config, right = case()
    folder = tmp_path / "root/org/model"
    folder.mkdir(parents=True)
    save(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    local = describe_folder(folder, NOW)
    with HubServer(tmp_path / "root", {}) as server:
        use(server.url, tmp_path / "cache", monkeypatch)
        remote = describe_repo("org/model", "main", NOW)
        assert remote.tensors == local.tensors
        schemes = {t.name for t in remote.tensors if t.layout.scheme}
        assert schemes == set(right)
        commit, files = listed()
        whole = (folder / "model.safetensors").read_bytes()
        shard = files["model.safetensors"]
        assert read_range("org/model", commit, shard, 100, 131) == whole[100:131]


@pytest.mark.parametrize("tags", [("2024_01", "202401"), ("1.10", "1.1"), ("5e3", "5000.0")])
def test_a_tag_that_reads_as_a_number_is_that_tag(tags, tmp_path, monkeypatch):
    """Snakemake issues 3650 and 2431: both are tags, with weights of their own."""
    hashes = {}
    for seed, tag in enumerate(("main", *tags)):
        folder = tmp_path / "root/org" / ("model" if tag == "main" else f"model@{tag}")
        folder.mkdir(parents=True)
        tensors, config = llama(seed=seed)
        save(folder / "model.safetensors", tensors)
        (folder / "config.json").write_text(json.dumps(config))
        hashes[tag] = file_sha256(folder / "model.safetensors")
    with HubServer(tmp_path / "root", {}) as server:
        use(server.url, tmp_path / "cache", monkeypatch)
        for tag in tags:
            revision = parse_model(f"org/model@{tag}").revision
            assert describe_repo("org/model", revision, NOW).shards[0].sha256 == hashes[tag]
