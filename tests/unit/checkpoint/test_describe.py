"""Manifests of folders: what is in them, and where index and headers disagree."""

import hashlib
import json
import shutil
from collections import Counter

import pytest

from blockresearch.checkpoint import describe
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import (
    manifest_from_json,
    manifest_json,
    read_manifest,
    write_manifest,
)
from blockresearch.checkpoint.plan import make_plan
from blockresearch.checkpoint.selection import CheckpointError
from blockresearch.hub.requests import HubError
from blockresearch.measure import merge
from blockresearch.naming import roles
from blockresearch.run.forecast import forecast
from blockresearch.tokens.rows import read_rows
from tests.conftest import write_safetensors

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


@pytest.mark.parametrize(
    "config, tied",
    [
        ({"architectures": ["BertModel"]}, None),
        ({}, None),
        ({"architectures": ["WhisperForConditionalGeneration"]}, True),
        ({"architectures": ["A"], "text_config": {"tie_word_embeddings": True}}, True),
        ({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False}, False),
        ({"architectures": "LlamaForCausalLM", "tie_word_embeddings": [True]}, None),
    ],
)
def test_config_or_class_ties_the_embeddings(model, config, tied):
    (model / "config.json").write_text(json.dumps(config))
    assert describe_folder(model, NOW).tied is tied


def test_the_license_is_that_of_the_model_card(model):
    assert describe_folder(model, NOW).license is None
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    assert describe_folder(model, NOW).license == "mit"
    (model / "README.md").unlink()
    (model / "README.md").mkdir()
    assert describe_folder(model, NOW).license is None


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
    problems = describe_folder(model, NOW).problems
    assert [(p.check, p.where) for p in problems] == [
        ("missing_tensor", "ghost"),
        ("unlisted_tensor", "model.norm.weight"),
    ]


SHARDS = [f"m-{number:05d}-of-00002.safetensors" for number in (1, 2)]


def write_copies(folder, first, second, name="w", index=None):
    """A tensor in both of two shards, and perhaps an index that places it."""
    for shard, stored in zip(SHARDS, (first, second), strict=True):
        others = {shard: ("F32", [1], bytes(4))}
        write_safetensors(folder / shard, {name: stored} | others)
    if index:
        weight_map = {shard: shard for shard in SHARDS} | index
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps({"weight_map": weight_map}))


def checks(folder):
    return {(problem.check, problem.where) for problem in describe_folder(folder, NOW).problems}


def test_the_same_bytes_in_two_shards_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(describe, "COMPARED_BYTES", 3)
    copy = ("F32", [2], b"12345678")
    write_copies(tmp_path, copy, copy)
    assert checks(tmp_path) == {("repeated_tensor", "w")}
    assert describe_folder(tmp_path, NOW).totals.tensors == 3


@pytest.mark.parametrize(
    "name, first, second",
    [
        ("w", ("F32", [2], b"12345678"), ("F32", [2], b"1234567x")),
        ("w", ("F32", [2], b"12345678"), ("F32", [2, 1], b"12345678")),
        ("w", ("F32", [1], b"1234"), ("F16", [2], b"1234")),
        ("p.weight_scale", ("F32", [], b"1234"), ("F32", [], b"123x")),
        ("p.weight.absmax", ("U8", [1], b"1"), ("U8", [1], b"2")),
    ],
)
def test_other_bytes_in_two_shards_need_an_index(tmp_path, monkeypatch, name, first, second):
    monkeypatch.setattr(describe, "COMPARED_BYTES", 3)
    write_copies(tmp_path, first, second, name)
    with pytest.raises(CheckpointError) as caught:
        describe_folder(tmp_path, NOW)
    assert all(word in str(caught.value) for word in (name, *SHARDS, "different bytes"))
    # An index that places it elsewhere, or not at all, decides nothing.
    write_copies(tmp_path, first, second, name, index={"ghost": SHARDS[0]})
    with pytest.raises(CheckpointError, match="no index says which one counts"):
        describe_folder(tmp_path, NOW)
    write_copies(tmp_path, first, second, name, index={name: SHARDS[1]})
    assert checks(tmp_path) == {("duplicate_tensor", name)}
    assert describe_folder(tmp_path, NOW).by_name[name].shard == SHARDS[1]


def test_a_tensor_in_another_shard_than_its_index_says(model):
    path = model / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    first, last = sorted(set(index["weight_map"].values()))
    assert index["weight_map"]["model.norm.weight"] == last
    index["weight_map"]["model.norm.weight"] = first
    path.write_text(json.dumps(index))
    assert checks(model) == {("misplaced_tensor", "model.norm.weight")}


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


def test_a_subfolder_has_its_own_index_and_config(model, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    model.rename(whole / "text_encoder")
    manifest = describe_folder(whole, NOW, subfolder="text_encoder/")
    assert manifest.problems == () and manifest.config["model_type"] == "llama"
    assert {file.path.split("/")[0] for file in manifest.files} == {"text_encoder"}
    with pytest.raises(CheckpointError, match="not a folder inside"):
        describe_folder(whole, NOW, subfolder="../x")


def test_a_variant_has_an_index_of_its_own(model):
    for path in list(model.glob("*.safetensors")):
        stem, number = path.name.split("-", 1)
        path.rename(model / f"{stem}.fp16-{number}")
    index = model / "model.safetensors.index.json"
    text = index.read_text().replace("model-0000", "model.fp16-0000")
    (model / "model.safetensors.index.fp16.json").write_text(text)
    index.unlink()
    for variant in ("fp16", None):
        manifest = describe_folder(model, NOW, variant=variant)
        assert manifest.problems == () and len(manifest.tensors) == 18


def test_the_index_decides_between_two_shards(tmp_path):
    names = [f"m-{number:05d}-of-00002.safetensors" for number in (1, 2)]
    for name in names:
        write_safetensors(tmp_path / name, {"w": ("F32", [1], bytes(4))})
    index = {"metadata": {"total_size": 8.0}, "weight_map": {"w": names[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    # The second shard alone is named, so only that one is read.
    manifest = describe_folder(tmp_path, NOW)
    assert [tensor.shard for tensor in manifest.tensors] == [names[1]]
    assert manifest.index == {"total_size": 8} and manifest.totals.bytes == 4
    index["weight_map"]["x"] = names[0]
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    manifest = describe_folder(tmp_path, NOW)
    assert [tensor.shard for tensor in manifest.tensors] == [names[1]]
    found = {problem.check for problem in manifest.problems}
    assert found == {"repeated_tensor", "missing_tensor"}


def test_params_json_describes_the_layout_of_mistral(tmp_path):
    (tmp_path / "params.json").write_text(json.dumps({"dim": 8, "n_layers": 2, "n_heads": 2}))
    write_safetensors(
        tmp_path / "consolidated.safetensors",
        {"tok_embeddings.weight": ("F32", [4, 8], bytes(128))},
    )
    manifest = describe_folder(tmp_path, NOW)
    assert manifest.config == {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    assert manifest.embedding == "tok_embeddings.weight"


def test_each_decision_is_made_once(model, tmp_path, monkeypatch):
    decided = Counter()

    def counted(module, name):
        original = getattr(module, name)

        def count(*arguments):
            decided[name] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, count)

    counted(roles, "classify")
    counted(describe, "layouts")
    write_manifest(describe_folder(model, NOW), tmp_path / "manifest.json")
    manifest = read_manifest(tmp_path / "manifest.json")
    parts = make_plan(manifest)
    forecast(manifest, parts)
    read_rows(manifest, lambda file: model / file)
    role_rows = list(merge.role_rows(manifest))
    merge.coverage(manifest, {weight.name: 1 for part in parts for weight in part.weights})
    assert decided == {"classify": 1, "layouts": 1} and len(role_rows) == 18
