"""Method and weights of a merge, of copies of a tiny llama that changed in known ways."""

import json

import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.plans.merge import merge_plan, shared_matrices
from blockresearch.plans.task_vectors import task_vectors
from tests.cases import comparisons

DATE = "2026-01-01T00:00:00Z"

TENSORS, CONFIG = comparisons.base()


def changed(seed, sign=1.0):
    """A copy whose attention alone changed."""
    own = {name: tensor for name, tensor in TENSORS.items() if "self_attn" in name}
    return TENSORS | comparisons.perturbed(own, 30, sign * 0.3, seed)


def plan(tmp_path, *others):
    """The plan of a base and of copies of it."""
    base, *tuned = (
        local_checkpoint(str(comparisons.write(tmp_path / f"m{n}", own, CONFIG)), DATE)
        for n, own in enumerate((TENSORS, *others))
    )
    tables = []
    for other in tuned:
        found = compare_checkpoints(base, other, 1)
        tables.append((found.pairs, found.differences))
    found = task_vectors(shared_matrices(tables), base, tuned)
    return merge_plan(base.manifest, [other.manifest for other in tuned], found)


@pytest.mark.parametrize(
    ("others", "method", "weight"),
    [
        ((changed(1), changed(2)), "task_arithmetic", 1.0),
        ((changed(1), changed(1)), "linear", 0.5),
        ((changed(1), changed(1, -1.0)), "ties", 1.0),
        ((changed(1), changed(1), changed(1)), "linear", 0.333),
    ],
)
def test_method_and_weights_follow_the_changes(tmp_path, others, method, weight):
    made = plan(tmp_path, *others)
    assert made.record["method"] == method
    for model in made.record["models"]:
        assert model["matrices"] == 8
        assert model["weights"]["self_attn"] == pytest.approx(weight, abs=0.03)
        assert model["weights"]["mlp"] == 1
    config = json.loads(made.files["mergekit.yaml"])
    assert config["merge_method"] == method and config["dtype"] == "bfloat16"
    assert len(config["models"]) == len(others)
    assert ("base_model" in config) == (method != "linear")


def test_without_shared_changes_there_is_a_reason(tmp_path):
    other = TENSORS | {name: changed(3)[name] for name in list(TENSORS)[:2]}
    made = plan(tmp_path, TENSORS, other)
    assert "no matrix was changed by two" in made.record["reason"] and not made.files
