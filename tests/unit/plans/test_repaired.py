"""The repaired model, compared with its base: what was planned is left, and other bytes stay."""

import json

import numpy as np
import pytest

from blockresearch.compare.checkpoint import Lent, local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.plans.repair import repair_plan
from blockresearch.plans.repaired import write_repaired
from blockresearch.safetensors.reader import read_bytes, read_header
from tests.cases import comparisons
from tests.cases.checkpoints import brain
from tests.cases.experts import CONFIG, independent, stacked

DATE = "2026-01-01T00:00:00Z"


def side(folder):
    return local_checkpoint(str(folder), DATE)


def repaired(tmp_path, base, other):
    """The plan of two folders, what was written, and the comparison of the base with it."""
    found = compare_checkpoints(side(base), side(other), 1)
    plan, repairs = repair_plan(found.pairs, found.differences)
    lent = Lent(side(other).manifest, "", tmp_path / "none")
    written, stays = write_repaired(repairs, side(base), lent, tmp_path / "repaired")
    assert not stays
    after = compare_checkpoints(side(base), side(tmp_path / "repaired"), 1).differences
    return plan.record, {each.name: each for each in written}, after


def raw(folder):
    """Type, shape and bytes of every tensor."""
    return {
        entry.name: (entry.dtype, entry.shape, bytes(read_bytes(path, entry.begin, entry.end)))
        for path in folder.glob("*.safetensors")
        for entry in read_header(path).tensors
    }


def test_fused_tensors_keep_their_form_and_the_rest(tmp_path):
    tensors, config = comparisons.base()
    tuned = comparisons.fused(comparisons.perturbed(tensors, 2, 0.05))
    tuned["model.norm.weight"] = brain(1.1 * comparisons.values(tensors["model.norm.weight"]))
    base = comparisons.write(tmp_path / "base", tensors, config)
    phi = {**config, "model_type": "phi3"}
    other = comparisons.write(tmp_path / "other", tuned, phi, shards=2)
    (other / "generation_config.json").write_text("{}")
    record, written, after = repaired(tmp_path, base, other)
    new = tmp_path / "repaired"
    assert {path.name for path in new.iterdir()} == {path.name for path in other.iterdir()}
    names = json.loads((new / "model.safetensors.index.json").read_text())["weight_map"]
    assert names == json.loads((other / "model.safetensors.index.json").read_text())["weight_map"]
    old, own = raw(other), raw(new)
    assert {name: each[:2] for name, each in own.items()} == {n: e[:2] for n, e in old.items()}
    assert own["model.norm.weight"] == old["model.norm.weight"]
    sizes = after.assign(name=after["param_name"] + after["slice"].fillna("").map(" {}".format))
    measured = dict(zip(sizes["name"].str.rstrip(), sizes["delta_norm"], strict=True))
    assert "model.layers.1.self_attn.k_proj.weight" in written
    for each in record["matrices"]:
        if each["name"] in written:
            assert measured[each["name"]] == pytest.approx(written[each["name"]].norm, rel=1e-6)
            assert measured[each["name"]] == pytest.approx(each["kept_norm"], rel=0.1)


@pytest.mark.parametrize("transposed", [False, True])
def test_noise_in_stacks_of_experts_is_removed(tmp_path, transposed):
    random, base = np.random.default_rng(1), independent()
    tuned = {
        name: (
            values
            + 0.2 * comparisons.planted(random, *values.shape, 3)
            + random.normal(0, 1e-4, values.shape)
        ).astype(np.float32)
        for name, values in base.items()
    }
    folders = [
        comparisons.write(tmp_path / name, stacked(own, transposed), CONFIG)
        for name, own in (("base", base), ("other", tuned))
    ]
    record, written, after = repaired(tmp_path, *folders)
    experts = [name for name in written if ".experts." in name]
    assert {written[name].rank for name in experts} == {3} and len(experts) == 36
    predicted = {each["name"]: each for each in record["matrices"]}
    names = (after["param_name"] + " " + after["slice"].fillna("")).str.rstrip()
    for name, row in zip(names, after.to_dict("records"), strict=True):
        if name in experts:
            assert row["delta_storage_rank"] == 3
            assert row["delta_norm"] == pytest.approx(predicted[name]["kept_norm"], rel=1e-5)
