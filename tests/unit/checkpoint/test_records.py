"""What rules read from the JSON of a manifest."""

import copy

from blockresearch.checkpoint.records import changed_tensors, shards_of


def manifest(**keys):
    """Two shards, an embedding in the first and a quantized matrix with a scale in the second."""
    scheme = {"companions": {"scale": "b.scale"}}
    return {
        "files": [
            {"path": f"{shard}.safetensors", "role": "shard", "sha256": key * 64, "git_sha1": None}
            for shard, key in {"x": "1", "y": "2", **keys}.items()
        ],
        "tensors": [
            tensor("a", "x"),
            tensor("b", "y", scheme=scheme),
            tensor("b.scale", "x", 8),
        ],
    }


def tensor(name, shard, begin=0, **layout):
    place = {"shard": f"{shard}.safetensors", "begin": begin, "end": begin + 8}
    return {"name": name, "dtype": "F32", "shape": [2], **place, "layout": layout}


def test_tensors_of_equal_shards_have_not_changed():
    before = manifest()
    assert changed_tensors(before) == ["a", "b", "b.scale"]
    assert changed_tensors(manifest(), before) == []
    assert changed_tensors(manifest(y="3"), before) == ["b"]
    # The scale of b lies in x.
    assert changed_tensors(manifest(x="3"), before) == ["a", "b", "b.scale"]
    moved = copy.deepcopy(before)
    moved["tensors"][0] |= {"begin": 16, "end": 24}
    assert changed_tensors(moved, before) == ["a"]


def test_unknown_content_is_equal_to_nothing():
    unknown = manifest()
    unknown["files"][1]["sha256"] = None
    assert changed_tensors(unknown, copy.deepcopy(unknown)) == ["b"]


def test_shards_of_tensors_include_their_companions():
    assert shards_of(manifest(), ["a", "not there"]) == ["x.safetensors"]
    assert shards_of(manifest(), ["b"]) == ["x.safetensors", "y.safetensors"]
