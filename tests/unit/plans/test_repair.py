"""Directions that are kept, of planted changes with noise and with rounding to BF16."""

import json

import numpy as np
import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.plans.repair import optimal_threshold, repair_plan
from tests.cases import comparisons
from tests.cases.checkpoints import brain

DATE = "2026-01-01T00:00:00Z"

RANDOM = np.random.default_rng(0)
BASE = RANDOM.normal(0, 0.02, (256, 160))
NAME = "model.layers.0.mlp.up_proj.weight"


def plan(tmp_path, base, other):
    """The plan of a checkpoint with one matrix."""
    config = {"model_type": "llama", "num_hidden_layers": 1}
    sides = [
        local_checkpoint(str(comparisons.write(tmp_path / name, {NAME: own}, config)), DATE)
        for name, own in (("base", base), ("other", other))
    ]
    found = compare_checkpoints(*sides, 1)
    return repair_plan(found.pairs, found.differences)[0]


def test_the_threshold_is_that_of_the_paper():
    """4/√3 for a square matrix with noise of level 1/√n."""
    assert optimal_threshold(0.1, 100, 100) == pytest.approx(4 / np.sqrt(3))


def test_noise_around_a_planted_change_is_removed(tmp_path):
    signal = comparisons.planted(RANDOM, *BASE.shape, 5)
    noise = RANDOM.normal(0, 0.01 / 16, BASE.shape)
    other = (BASE + signal + noise).astype(np.float32)
    made = plan(tmp_path, BASE.astype(np.float32), other)
    (found,) = made.record["matrices"]
    assert (found["rank"], found["donoho_rank"]) == (5, 5)
    # Noise is no rounding, so the storage rank is larger.
    assert found["disagrees"] and found["storage_rank"] > 10
    assert found["noise_level"] == pytest.approx(0.01 / 16, rel=0.05)
    report = json.loads(made.files["repair.json"])[NAME]
    assert report["rank_kept"] == 5 and report["frob_delta_out"] == pytest.approx(1, rel=0.01)
    assert 0 < made.record["removed"] < 0.05


def test_rounding_of_a_small_change_is_removed(tmp_path):
    change = 0.002 * np.linalg.norm(BASE) * comparisons.planted(RANDOM, *BASE.shape, 4)
    stored = comparisons.values(brain(BASE))
    (found,) = plan(tmp_path, brain(BASE), brain(stored + change)).record["matrices"]
    assert found["rank"] == found["storage_rank"] == 4 <= found["donoho_rank"]


def test_pure_noise_leaves_nothing(tmp_path):
    other = (BASE + RANDOM.normal(0, 1e-3, BASE.shape)).astype(np.float32)
    record = plan(tmp_path, BASE.astype(np.float32), other).record
    assert record["matrices"][0]["rank"] == 0 and record["removed"] == 1


def test_without_a_change_there_is_a_reason(tmp_path):
    made = plan(tmp_path, brain(BASE), brain(BASE))
    assert "no matrix changed" in made.record["reason"] and not made.files
