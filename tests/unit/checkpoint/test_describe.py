"""Manifests of folders: what is in them, and links that lead out of them."""

import hashlib
import json
import shutil

import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import (
    manifest_from_json,
    manifest_json,
)
from blockresearch.checkpoint.selection import CheckpointError
from blockresearch.hub.requests import HubError

NOW = "2026-01-01T00:00:00Z"


def test_a_folder_is_described_from_headers_and_hashes(model):
    manifest = describe_folder(model, NOW)
    assert manifest.embedding == "model.embed_tokens.weight"
    assert manifest.output is None and manifest.tied is True
    assert manifest.problems == ()
    assert manifest.totals.tensors == len(manifest.tensors) == 18
    assert {file.role for file in manifest.files} == {"shard", "index", "config"}
    shard = manifest.shards[0]
    assert shard.sha256 == hashlib.sha256((model / shard.path).read_bytes()).hexdigest()
    kept = json.loads(json.dumps(manifest_json(manifest), allow_nan=False))
    assert manifest_from_json(kept) == manifest


def test_an_index_that_names_a_missing_file_is_refused(model):
    (model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"1 file.*model-00002-of-00002"):
        describe_folder(model, NOW)


@pytest.mark.parametrize(
    "shard",
    [
        "../x.safetensors",
        "/x.safetensors",
        "a//b.safetensors",
        "x.bin",
        "a\\b.safetensors",
        "-x/y.safetensors",
    ],
)
def test_an_index_cannot_lead_out_of_the_folder(model, shard):
    index = {"weight_map": {"w": shard}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="not a plain relative"):
        describe_folder(model, NOW)


@pytest.mark.parametrize("damage", ["", "refs/main", "snapshots/new"])
def test_a_folder_of_the_hubs_cache_is_its_main(model, tmp_path, damage):
    cache = tmp_path / "models--org--name"
    for name in ("blobs", "refs", "snapshots/old"):
        (cache / name).mkdir(parents=True)
    shutil.copytree(model, cache / "snapshots/new")
    for file in (cache / "snapshots/new").iterdir():
        blob = cache / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(blob)
        file.symlink_to(f"../../blobs/{blob.name}")
    (cache / "refs/main").write_text("new")
    if damage:
        (cache / damage).rename(cache / "gone")
        with pytest.raises(HubError, match=r"snapshots/(new|old)"):
            describe_folder(cache, NOW)
        return
    manifest = describe_folder(cache, NOW)
    assert manifest.model_path == str(cache / "snapshots/new") and manifest.problems == ()
    assert manifest.tensors == describe_folder(model, NOW).tensors


def test_a_link_out_of_the_folder_is_refused(model, tmp_path):
    outside = tmp_path / "secret.json"
    outside.write_text("{}")
    (model / "config.json").unlink()
    (model / "config.json").symlink_to(outside)
    with pytest.raises(CheckpointError, match="leads out"):
        describe_folder(model, NOW)
