"""A shard that is measured in one process gives the parts that analyze would have measured."""

import json

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.checkpoint.plan import make_plan, plan_json
from tests.conftest import call_script


def test_parts_measured_ahead_are_taken(model, tmp_path):
    manifest = describe_folder(str(model), "2026-01-01T00:00:00Z")
    parts = make_plan(manifest, part_seconds=0.005)
    write_manifest(manifest, tmp_path / "manifest.json")
    (tmp_path / "plan.json").write_text(json.dumps(plan_json(parts)))
    shard = model / parts[0].content.shard
    of_shard = [part.part for part in parts if part.content.shard == shard.name]
    files = ("--manifest", tmp_path / "manifest.json", "--plan", tmp_path / "plan.json")
    staged = ("--staged", tmp_path / "staged", "--code", "one")

    def run(script, *arguments):
        done = call_script(script, *files, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    where = ("--shard", "00001", "--file", shard, "--weights", tmp_path / "weights", *staged)
    assert "in place" in run("measure_shard", *where, "--keep")
    run("measure_shard", *where, "--keep", "--ahead", "--device", "cpu", "--threads", "2")
    assert len(list((tmp_path / "staged").iterdir())) == 4 * len(of_shard)
    of = ("--part", of_shard[0], "--shard", shard)
    # No GPU is looked for if the tables are there.
    run("analyze", *of, *staged, "--device", "cuda", "--out", tmp_path / "taken")
    run("analyze", *of, "--device", "cpu", "--threads", "3", "--out", tmp_path / "measured")
    for table in ("params", "matrices", "spectra", "histograms"):
        taken, measured = (tmp_path / f"{name}.{table}.parquet" for name in ("taken", "measured"))
        assert taken.read_bytes() == measured.read_bytes(), table
    assert len(list((tmp_path / "staged").iterdir())) == 4 * (len(of_shard) - 1)
