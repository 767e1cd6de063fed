"""Tables measured ahead are taken once, and only those of the same content, settings and code."""

from dataclasses import replace

import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.plan import make_plan
from blockresearch.measurement import stage
from blockresearch.measurement.part import Settings, measure_part


@pytest.fixture
def part(model):
    return make_plan(describe_folder(str(model), "2026-01-01T00:00:00Z"))[0]


def test_the_name_holds_all_that_changes_numbers(part):
    base = stage.staged_prefix("staged", part, Settings(1e-6), "code")
    elsewhere = Settings(1e-6, device="cuda", chunk_bytes=1, sketch_above=1)
    assert base == stage.staged_prefix("staged", part, elsewhere, "code")
    others = [
        stage.staged_prefix("staged", replace(part, digest="other"), Settings(1e-6), "code"),
        stage.staged_prefix("staged", part, Settings(1e-5), "code"),
        *(
            stage.staged_prefix("staged", part, Settings(1e-6, "sketch", above), "code")
            for above in (1, 2)
        ),
        stage.staged_prefix("staged", part, Settings(1e-6), "other"),
    ]
    assert len({base, *others}) == 6


def test_staged_tables_are_taken_once(part, model, tmp_path):
    files = {part.content.shard: model / part.content.shard}
    rows = measure_part(files, part, Settings(1e-6))
    staged, place = tmp_path / "staged/00001-001-hash", tmp_path / "parts/00001-001"
    assert not stage.is_staged(staged)
    stage.write_tables(rows, staged)
    made = [path.read_bytes() for path in stage.tables(staged)]
    assert stage.is_staged(staged)
    stage.take(staged, place)
    assert [path.read_bytes() for path in stage.tables(place)] == made
    assert not list(staged.parent.iterdir()) and not stage.is_staged(staged)


def test_outdated_tables_of_the_shard_are_deleted(tmp_path):
    names = ("00001-001-new", "00001-001-old", "00002-001-old")
    for name in names:
        for path in stage.tables(tmp_path / name):
            path.touch()
    stage.remove_outdated(tmp_path, "00001", [tmp_path / names[0]])
    assert [stage.is_staged(tmp_path / name) for name in names] == [True, False, True]
