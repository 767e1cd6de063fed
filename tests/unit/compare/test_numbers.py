"""Parts of a comparison: measured by themselves, they give the tables of one job."""

from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pytest

from blockresearch.checkpoint.plan import make_plan, plan_json, tensors_of
from blockresearch.compare.checkpoint import Checkpoint, local_checkpoint
from blockresearch.compare.folder import Both, compare_checkpoints, joined, matched, measured
from blockresearch.compare.mixture import mixture
from blockresearch.compare.numbers import read_numbers, write_numbers
from blockresearch.compare.pair import Numbers
from blockresearch.compare.survey import read_surveys, survey, write_survey
from tests.cases import comparisons, variants

NOW = "2026-01-01T00:00:00Z"


@dataclass
class Lending:
    """A checkpoint that is not in place, and the number of shards of each reading."""

    side: Checkpoint
    shards: list
    is_in_place = False

    @property
    def manifest(self):
        return self.side.manifest

    @contextmanager
    def reading(self, names):
        wanted = {self.manifest.by_name[name].shard for name in names}
        self.shards.append(len(wanted))
        files = {name: path for name, path in self.side.files.items() if name in wanted}
        yield Checkpoint(self.manifest, files)

    @contextmanager
    def reading_tokens(self):
        yield self.side


@pytest.fixture
def sides(tmp_path):
    tensors, config = comparisons.base()
    parent = variants.tuned(tensors)
    tokens = [f"t{number}" for number in range(64)]
    others = {
        "abliterated": variants.abliterated(tensors),
        "merged": variants.merged(tensors, parent, 0.3),
    }

    def of(kind):
        folders = [
            comparisons.write(tmp_path / "base", tensors, config, 3, tokens),
            comparisons.write(tmp_path / kind, variants.renamed(others[kind]), config, 2, tokens),
            comparisons.write(tmp_path / "parent", parent, config, 2),
        ]
        return [local_checkpoint(str(folder), NOW) for folder in folders]

    return of


@pytest.mark.parametrize("kind", ["abliterated", "merged"])
def test_parts_give_the_tables_of_one_job(sides, kind, tmp_path):
    base, other, parent = sides(kind)
    whole = compare_checkpoints(base, other, 2)
    rows = list(mixture([base, parent], other))

    base, other, parent = (Lending(side, []) for side in (base, other, parent))
    surveys = []
    for name, side in (("base", base), ("other", other)):
        paths = [tmp_path / f"{name}-{number}.json" for number in range(3)]
        for path, shard in zip(paths, side.manifest.shards, strict=False):
            write_survey(survey(side, [shard.path], 1), path)
        surveys.append(read_surveys(path for path in paths if path.exists()))
    found, both = matched(base.manifest, other.manifest, *surveys), Both(base, other)
    numbers, mixed = {}, []
    plan = plan_json(make_plan(base.manifest, 1e-3))
    assert len(plan["parts"]) > len(base.manifest.shards)
    for part in plan["parts"]:
        names = tensors_of(plan, part["part"])
        some = measured(found, found.compared(names), both, 1)
        write_numbers(some, mixture([base, parent], other, names), tmp_path / "part.json")
        some, own = read_numbers(tmp_path / "part.json")
        numbers |= some
        mixed += own
    parts = joined(found, numbers, both)

    for each in fields(whole):
        one, many = getattr(whole, each.name), getattr(parts, each.name)
        if not isinstance(one, pd.DataFrame):
            assert one == many
        else:
            pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert sorted(mixed, key=lambda row: row["other_name"]) == sorted(
        rows, key=lambda row: row["other_name"]
    )
    # Surveys, pairs and directions need a shard of each side at a time.
    assert set(base.shards) == {1}
    if kind == "abliterated":
        assert parts.differences["shared_direction_left"].notna().any()
        assert set(other.shards) <= {1, 2}


def test_numbers_are_read_as_they_were(tmp_path):
    row = {"a": np.float32(0.1), "b": float("nan"), "c": None, "values": np.array([1e-300, 0.3])}
    own = Numbers(row, direction=np.array([0.1]), identities=(np.ones(2), np.zeros(1)))
    write_numbers({7: own}, [{"other_name": "w", "weights": [0.1]}], tmp_path / "x.json")
    numbers, mixed = read_numbers(tmp_path / "x.json")
    read = numbers[7]
    assert read.difference["a"] == np.float32(0.1) and np.isnan(read.difference["b"])
    assert read.difference["values"] == [1e-300, 0.3] and read.difference["c"] is None
    assert read.direction[0] == 0.1 and [len(each) for each in read.identities] == [2, 1]
    assert read.units is None and read.subspaces == {}
    assert mixed == [{"other_name": "w", "weights": [0.1]}]
    with pytest.raises(TypeError, match="no number"):
        write_numbers({0: Numbers({"a": object()})}, [], tmp_path / "x.json")
