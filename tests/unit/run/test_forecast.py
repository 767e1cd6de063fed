"""The time of a model on a machine or a cluster, from its plan."""

from dataclasses import replace

import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.checkpoint.plan import make_plan, plan_json
from blockresearch.run import circuit_resources, resources
from blockresearch.run.forecast import (
    PROFILES,
    amount,
    comparison_line,
    elapsed,
    forecast,
    job_seconds,
    lines,
    training_lines,
)
from blockresearch.run.resources import START_SECONDS
from tests.cases import comparisons, variants


@pytest.fixture
def manifest(model):
    return describe_folder(str(model), "2026-01-01T00:00:00Z")


def test_a_batch_is_up_to_ten_parts_of_one_shard(manifest):
    part = make_plan(manifest)[0]
    names = [f"00001-{number:03d}" for number in range(1, 13)] + ["00002-001"]
    parts = [replace(part, part=name, seconds=10.0) for name in names]
    each = START_SECONDS + 10
    assert job_seconds(parts, batches=False) == [each] * 13
    assert job_seconds(parts, batches=True) == pytest.approx([9 * each, 3 * each, each])


def test_the_longest_job_is_a_bound_from_below():
    assert elapsed([6.0, 1.0, 1.0], 2) == 6 and elapsed([2.0, 2.0, 2.0], 2) == 3
    assert elapsed([], 8) == 0


def test_every_profile_has_a_line(manifest):
    text = "\n".join(lines(forecast(manifest, make_plan(manifest))))
    assert all(f"  {name} " in text for name in PROFILES)


def test_circuits_are_predicted_as_their_jobs_request(manifest):
    told = forecast(manifest, make_plan(manifest))
    costs = told["circuits"]
    (group,) = layer_groups(manifest_json(manifest))
    size = resources.size(manifest_json(manifest), plan_json(make_plan(manifest)))
    assert costs["circuits_part"]["jobs"] == 1
    assert costs["circuits_part"]["seconds"] == START_SECONDS + group.seconds
    for rule, to_do in (
        ("circuits", circuit_resources.to_find_circuits),
        ("heavy_tails", circuit_resources.to_fit_tails),
        ("directions", circuit_resources.to_name_directions),
    ):
        requested = to_do(size, 1)["mem_mb"] * resources.MB
        assert costs[rule]["memory"] <= requested <= 1.3 * costs[rule]["memory"]
    text = "\n".join(lines(told))
    assert all(f"\n  {job} " in text for job in costs)


def test_a_step_reads_only_what_changed(tmp_path):
    tensors, config = comparisons.base()
    folders = variants.write_steps(tmp_path, variants.steps(tensors, count=3), config)
    found = [describe_folder(str(folder), "", hashed=True) for folder in folders]
    first, second, third = sizes = [sum(t.nbytes for t in own.tensors) for own in found]
    frozen = sum(t.nbytes for t in found[0].tensors if t.shard.startswith("model-00001"))
    run, read, *steps = training_lines([(own, make_plan(own)) for own in found])
    assert run == "training run of 3 steps" and len(set(sizes)) == 1
    assert f" {amount(first + 2 * (second - frozen) + 3 * (third - frozen))} are read" in read
    assert read.endswith("download and disk 0 B")
    assert [line.split(",")[0].strip() for line in steps] == [
        f"{own.name}: {amount(size)}"
        for own, size in zip(
            found, (first, 2 * (second - frozen), 3 * (third - frozen)), strict=True
        )
    ]


def test_a_comparison_reads_both_sides(manifest):
    parts = make_plan(manifest)
    read = sum({part.content.shard: part.content.size for part in parts}.values())
    text = comparison_line("a", "b", [parts, parts])
    assert text.startswith(f"a compared with b\n  {amount(2 * read)} are read, ")
    assert "on 8 cores" in text
