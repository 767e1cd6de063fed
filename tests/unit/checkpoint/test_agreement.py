"""Where index and headers disagree, and tensors that several shards contain."""

import json

import pytest

from blockresearch.checkpoint import agreement
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.selection import CheckpointError
from tests.conftest import write_safetensors

NOW = "2026-01-01T00:00:00Z"


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
    monkeypatch.setattr(agreement, "COMPARED_BYTES", 3)
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
    monkeypatch.setattr(agreement, "COMPARED_BYTES", 3)
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
