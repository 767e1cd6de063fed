"""Experts to drop, of a small mixture with a planted duplicate and a dead expert."""

import json
import re

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.expert_rows import expert_rows
from blockresearch.plans.experts import Settings, experts_plan
from blockresearch.plans.plan import PlanError
from blockresearch.tables.io import frame
from tests.cases import comparisons
from tests.cases import experts as cases

DATE = "2026-01-01T00:00:00Z"

BIAS = f"{cases.START}.gate.e_score_correction_bias"


def planted():
    """Expert 7 is 2 again, with a longer row of the router; 9 is zero; 4 has the shortest row."""
    tensors = cases.independent()
    cases.duplicate(tensors, 2, 7)
    router = tensors[f"{cases.START}.gate.weight"]
    router[7], router[4] = 1.5 * router[2], 0.5 * router[4]
    for projection in cases.SHAPES:
        tensors[cases.name_of(9, projection)] *= 0
    tensors[BIAS] = np.linspace(-1, 1, cases.EXPERTS, dtype=np.float32)
    return tensors


def plan(tmp_path, tensors, settings, **config):
    folder = comparisons.write(tmp_path / "model", tensors, {**cases.CONFIG, **config})
    manifest = describe_folder(str(folder), DATE, hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    found = list(expert_rows(manifest, files, [("text", n) for n in range(4)]))
    experts = frame([row for each in found for row in each.experts], "experts")
    pairs = frame([row for each in found for row in each.pairs], "expert_pairs")
    return experts_plan(manifest, experts, pairs, settings)


def dropped(made):
    return {each["expert"]: each["metric"] for each in made.record["dropped"]}


def test_dead_and_doubled_experts_go_first(tmp_path):
    made = plan(tmp_path, planted(), Settings(0.25))
    assert dropped(made) == {2: "aligned_cosine", 4: "router_norm", 9: "candidate"}
    (shortest,) = (each for each in made.record["dropped"] if each["expert"] == 4)
    assert shortest["value"] < 0.6 * shortest["median"]


@pytest.mark.parametrize("is_stacked", [False, True])
def test_the_file_names_tensors_and_bytes(tmp_path, is_stacked):
    tensors = planted()
    tensors = cases.stacked(tensors) if is_stacked else tensors
    made = plan(tmp_path, tensors, Settings(0.25))
    pruner = json.loads(made.files["expert_pruner.json"])
    kept = [0, 1, 3, 5, 6, 7, 8, 10, 11]
    routers = {f"{cases.START}.gate.weight", BIAS}
    assert pruner["retained_experts"] == dict.fromkeys(routers, kept)
    assert pruner["is_3d"] == is_stacked and pruner["num_experts_config_key"] == "num_experts"
    routed = {name for name in tensors if ".experts." in name}
    assert {n for n in tensors if re.search(pruner["router_pattern"], n)} == routers
    assert {n for n in tensors if re.search(pruner["expert_pattern"], n)} == routed
    assert set(pruner["expert_to_router"]) == routed
    lost = sum(tensors[name].nbytes for name in routed | routers) // 4
    found = made.record["predicted"]
    assert found["checkpoint_bytes"] - found["bytes"] == lost
    assert found["experts"] == 9


def test_of_similar_experts_one_stays(tmp_path):
    tensors = planted()
    random = np.random.default_rng(3)
    for projection, shape in cases.SHAPES.items():
        near = tensors[cases.name_of(0, projection)] + random.normal(0, 0.02, shape)
        tensors[cases.name_of(1, projection)] = near.astype(np.float32)
    found = dropped(plan(tmp_path, tensors, Settings(0.25, "similarity")))
    assert found.pop(2) == "aligned_cosine" and found.pop(9) == "candidate"
    assert len(found) == 1 and set(found) < {0, 1}


def test_groups_of_experts_stay_of_one_size(tmp_path):
    made = plan(tmp_path, planted(), Settings(0.4), n_group=3, topk_group=1)
    assert [sum(n // 4 == group for n in dropped(made)) for group in range(3)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("share", "message"),
    [(0.01, "drops none of 12 experts"), (0.95, "chooses 2 experts, and only 1 would be left")],
)
def test_a_share_that_fits_nothing_is_refused(tmp_path, share, message):
    with pytest.raises(PlanError, match=message):
        plan(tmp_path, planted(), Settings(share))


def test_what_the_pruner_cannot_drop_has_a_reason(tmp_path):
    tensors = planted()
    del tensors[f"{cases.START}.gate.weight"], tensors[BIAS]
    made = plan(tmp_path, tensors, Settings(0.25))
    assert "without a router" in made.record["reason"] and not made.files
