"""Manifests: which files are the model, and where index and headers disagree."""

import json

import pytest

from tests.conftest import write_safetensors
from workflow.lib import checkpoint
from workflow.lib.checkpoint import CheckpointError, describe_folder, select_files

NOW = "2026-01-01T00:00:00Z"


def no_index(name):
    raise AssertionError(f"{name} must not be read")


def test_a_folder_is_described_from_headers_and_hashes(model):
    manifest = describe_folder(model, NOW)
    assert manifest["embedding"] == "model.embed_tokens.weight"
    assert manifest["output"] is None and manifest["tied"] is True
    assert manifest["problems"] == []
    assert manifest["totals"]["tensors"] == len(manifest["tensors"]) == 18
    assert {file["role"] for file in manifest["files"]} == {"shard", "index", "config"}
    shard = checkpoint.shard_files(manifest)[0]
    assert shard.sha256 == checkpoint.file_sha256(model / shard.path)
    json.dumps(manifest, allow_nan=False)


def test_a_model_that_is_still_the_same_keeps_its_date(model, tmp_path):
    earlier = tmp_path / "manifest.json"
    first = describe_folder(model, NOW)
    earlier.write_text(json.dumps(first))
    later = describe_folder(model, "2027-01-01T00:00:00Z")
    assert checkpoint.still_the_same(later, earlier) == first
    changed = later | {"commit": "f" * 40}
    assert checkpoint.still_the_same(changed, earlier) == changed
    earlier.write_text("[")
    assert checkpoint.still_the_same(later, earlier) == later


@pytest.mark.parametrize(
    ("names", "shards", "skipped"),
    [
        (["model.safetensors"], ["model.safetensors"], []),
        (["x.safetensors"], ["x.safetensors"], []),
        (
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
            [],
        ),
        (
            ["model.safetensors", "consolidated.safetensors", "original/model.safetensors"],
            ["model.safetensors"],
            ["consolidated.safetensors", "original/model.safetensors"],
        ),
        (["consolidated.safetensors"], ["consolidated.safetensors"], []),
    ],
)
def test_the_right_files_are_chosen_without_an_index(names, shards, skipped):
    selection = select_files(names, no_index)
    assert list(selection.shards) == shards
    assert sorted(selection.skipped) == skipped


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["pytorch_model.bin"], r"only \.bin files.*refs/pr"),
        (["m.gguf"], "gguf"),
        ([], "no weight files"),
        (["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors"], "1 of 3.*00002"),
        (["a.safetensors", "b.safetensors"], "no index"),
    ],
)
def test_what_cannot_be_analysed_is_told(names, words):
    with pytest.raises(CheckpointError, match=words):
        select_files(names, no_index)


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


def test_index_and_headers_are_compared(model):
    path = model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    moved = index["weight_map"].pop("model.norm.weight")
    index["weight_map"]["ghost"] = moved
    path.write_text(json.dumps(index))
    problems = describe_folder(model, NOW)["problems"]
    assert [(p["check"], p["where"]) for p in problems] == [
        ("missing_tensor", "ghost"),
        ("unlisted_tensor", "model.norm.weight"),
    ]


def test_a_tensor_in_two_shards_is_a_problem(tmp_path):
    for number in (1, 2):
        write_safetensors(
            tmp_path / f"m-{number:05d}-of-00002.safetensors", {"w": ("F32", [1], bytes(4))}
        )
    problems = describe_folder(tmp_path, NOW)["problems"]
    assert [problem["check"] for problem in problems] == ["duplicate_tensor"]


def test_a_link_out_of_the_folder_is_refused(model, tmp_path):
    outside = tmp_path / "secret.json"
    outside.write_text("{}")
    (model / "config.json").unlink()
    (model / "config.json").symlink_to(outside)
    with pytest.raises(CheckpointError, match="leads out"):
        describe_folder(model, NOW)
