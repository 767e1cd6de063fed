"""Parts: everything measured once, balanced, and with a digest of what they are made of."""

import json
import math
from dataclasses import replace

import pytest

from blockresearch.checkpoint import cost, plan
from blockresearch.checkpoint.describe import describe_folder

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def manifest(model):
    return describe_folder(model, NOW)


def digests(manifest):
    return {part.part: part.digest for part in plan.make_plan(manifest)}


def test_every_tensor_is_in_exactly_one_part(manifest):
    parts = plan.make_plan(manifest)
    planned = [weight.name for part in parts for weight in part.weights]
    assert sorted(planned) == sorted(tensor.name for tensor in manifest.tensors)
    assert [part.part for part in parts] == ["00001-001", "00002-001"]
    kept = json.loads(json.dumps(plan.plan_json(parts), allow_nan=False))
    assert [plan.part_from_json(part) for part in kept["parts"]] == parts


def test_a_costly_shard_is_cut_into_balanced_parts(manifest, monkeypatch):
    monkeypatch.setattr(cost, "seconds", lambda weight: math.prod(weight.shape))
    monkeypatch.setattr(plan, "PART_SECONDS", 1000)
    parts = [part for part in plan.make_plan(manifest) if part.part[:5] == "00002"]
    loads = [part.seconds for part in parts]
    assert len(parts) == 3 and max(loads) <= 1.5 * min(loads)


def test_the_digest_follows_the_content_alone(manifest):
    before = digests(manifest)
    later = replace(manifest, commit="f" * 40, created_at="2027-01-01T00:00:00Z")
    assert digests(later) == before
    files = [
        replace(file, sha256="0" * 64) if "00002-of" in file.path else file
        for file in manifest.files
    ]
    after = digests(replace(manifest, files=files))
    assert after["00001-001"] == before["00001-001"]
    assert after["00002-001"] != before["00002-001"]


def test_a_better_name_measures_nothing_again(manifest):
    tensors = tuple(
        replace(tensor, role=replace(tensor.role, block_type="other"))
        for tensor in manifest.tensors
    )
    assert digests(replace(manifest, tensors=tensors)) == digests(manifest)
