"""Parts: everything measured once, balanced, and with a digest of what they are made of."""

import copy
import json
import math

import pytest

from blockresearch.checkpoint import plan
from blockresearch.checkpoint.cost import memory
from blockresearch.checkpoint.describe import describe_folder

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def manifest(model):
    return describe_folder(model, NOW)


def digests(manifest):
    return {part["part"]: part["digest"] for part in plan.make_plan(manifest)["parts"]}


def test_every_tensor_is_in_exactly_one_part(manifest):
    parts = plan.make_plan(manifest)["parts"]
    planned = [tensor["name"] for part in parts for tensor in part["tensors"]]
    assert sorted(planned) == sorted(tensor["name"] for tensor in manifest["tensors"])
    assert [part["part"] for part in parts] == ["00001-001", "00002-001"]
    json.dumps(parts, allow_nan=False)


def test_a_costly_shard_is_cut_into_balanced_parts(manifest, monkeypatch):
    monkeypatch.setattr(plan, "seconds", lambda tensor: math.prod(tensor["shape"]))
    monkeypatch.setattr(plan, "PART_SECONDS", 1000)
    parts = [part for part in plan.make_plan(manifest)["parts"] if part["part"][:5] == "00002"]
    loads = [part["seconds"] for part in parts]
    assert len(parts) == 3 and max(loads) <= 1.5 * min(loads)


def test_the_digest_follows_the_content_and_nothing_else(manifest):
    before = digests(manifest)
    later = copy.deepcopy(manifest)
    later["commit"], later["created_at"] = "f" * 40, "2027-01-01T00:00:00Z"
    assert digests(later) == before
    changed = copy.deepcopy(manifest)
    next(file for file in changed["files"] if "00002-of" in file["path"])["sha256"] = "0" * 64
    after = digests(changed)
    assert after["00001-001"] == before["00001-001"]
    assert after["00002-001"] != before["00002-001"]


def test_memory_grows_with_the_largest_tensor_not_with_the_shard():
    def tensor(rows, cols):
        return {
            "shape": [rows, cols],
            "begin": 0,
            "end": 2 * rows * cols,
            "dtype": "BF16",
            "layout": "matrix",
        }

    assert memory(tensor(4096, 4096)) > memory(tensor(1024, 1024))
    tall = memory(tensor(151_936, 2560)) - memory(tensor(10_000, 2560))
    assert tall < 151_936 * 2560 * 4 / 2, "rows are streamed"
