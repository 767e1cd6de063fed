"""How many cores jobs get, from what is known of their model."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from blockresearch.run.lookup import Run, Side, compared_files, shard_numbers, together
from blockresearch.run.model import Model
from blockresearch.run.resources import clustering_threads

PARTS = [
    {
        "part": f"{shard:05d}-{piece:03d}",
        "shard": f"{shard}.safetensors",
        "companions": [],
        "tensors": [],
    }
    | {"size": 10**9, "seconds": 15.0, "memory": 10**9}
    for shard in (1, 2, 3)
    for piece in (1, 2)
]


def run_of(tmp_path, parts, **options):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/plan.json").write_text(json.dumps({"parts": parts}))
    return Run(str(tmp_path), {"m": Model("m", "org/m", None)}, **options)


@pytest.mark.parametrize(
    ("options", "measure_shard", "analyze"),
    [
        ({}, 1, 2),
        ({"keep_weights": False, "shards_on_disk": 4}, 4, 1),
        ({"on_gpu": True}, 8, 1),
        ({"keep_weights": False, "shards_on_disk": 4, "on_gpu": True}, 4, 1),
    ],
)
def test_cores_go_to_the_job_that_measures(tmp_path, options, measure_shard, analyze):
    run = run_of(tmp_path, PARTS, **options)
    assert run.threads("measure_shard", "m", 16) == measure_shard
    assert run.threads("analyze", "m", 16) == analyze
    assert run.threads("analyze", "m", None) == run.threads("analyze", "unknown", None) == 1


def test_one_small_part_gets_all_cores(tmp_path):
    assert run_of(tmp_path, PARTS[:1]).threads("analyze", "m", 16) == 16


def test_the_embedding_leaves_cores_to_the_parts():
    table = 49_152 * 576
    assert clustering_threads(table, cores=2) == 2
    assert clustering_threads(table, cores=2, work=30) == 1
    large = 151_936 * 2560
    alone, beside = (clustering_threads(large, 32, work) for work in (0, 3000))
    assert 1 <= beside < alone == 16


def test_a_shard_on_a_gpu_needs_what_its_parts_need(tmp_path):
    run = run_of(tmp_path, PARTS, on_gpu=True)
    need = run.needs("measure_shard", SimpleNamespace(model="m", shard="00002"), 1, 2)
    assert need["mem_mb"] > 2000 and 15 <= need["predicted_s"] < 60


def test_a_shard_is_compared_with_all_others():
    def manifest(*shards, companion=None):
        files = [{"path": name, "role": "shard", "size": 10**9} for name in shards]
        files.append({"path": "tokenizer.json", "role": "tokenizer", "size": 1})
        scheme = {"scheme": {"companions": {"scale": "s"}}} if companion else {}
        tensors = [{"name": name, "shard": name, "layout": scheme} for name in shards]
        tensors.append({"name": "s", "shard": companion or shards[0], "layout": {}})
        return {"files": files, "tensors": tensors}

    base, other = manifest("a", "b", "c", companion="c"), manifest("x", "y")
    assert shard_numbers(base) == ["00001", "00002", "00003"]
    mine, theirs = compared_files([base, other], "00002")
    assert mine == ["b", "c", "tokenizer.json"] and theirs == ["x", "y", "tokenizer.json"]


def test_a_comparison_needs_a_shard_of_each_side(tmp_path):
    run = run_of(tmp_path, PARTS, keep_weights=False, shards_on_disk=4)
    assert run.threads("compare_part", "m", 16) == 8
    place = SimpleNamespace(base="m", other="unknown", part="00002")
    need = run.needs("compare_part", place, 1, 2)
    assert need["disk_mb"] > 1900 and need["mem_mb"] > 2000
    assert together([500, 500, 500]) == 1000 and together([250, 0]) == 250


def test_parts_are_compared_if_no_job_downloads(tmp_path):
    plan, names = {"parts": PARTS}, [part["part"] for part in PARTS]
    local = run_of(tmp_path, PARTS)
    models = {"m": local.models["m"], "far": Model("far", "org/far", "main")}
    kept = replace(local, models=models)
    few = replace(kept, keep_weights=False)
    both = Side("m"), Side("far")
    assert kept.compared_parts(plan, both) == few.compared_parts(plan, both[:1] * 2) == names
    shards = ["00001", "00002", "00003"]
    assert few.compared_parts(plan, both) == shards
    # What was measured before weights were kept is not measured again.
    measured = tmp_path / "compare/far-vs-m/parts"
    measured.mkdir(parents=True)
    for name in shards:
        (measured / f"{name}.json").touch()
    assert kept.compared_parts(plan, both) == shards
    shard, part = (
        kept.needs("compare_part", SimpleNamespace(base="m", part=name), 1)["predicted_s"]
        for name in ("00002", "00002-001")
    )
    assert part < shard and kept.threads("compare_part", "m", 16) == 16 // 3


def test_a_gpu_compares_a_shard_in_one_process(tmp_path):
    run = run_of(tmp_path, PARTS, on_gpu=True)
    assert run.compared_parts({"parts": PARTS}, [Side("m")] * 2) == ["00001", "00002", "00003"]
    assert run.threads("compare_part", "m", 16) == 8
