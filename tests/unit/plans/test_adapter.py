"""Ranks of an adapter, of a tiny llama and copies of it that changed in a known way."""

import json
import re

import numpy as np
import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.plans.adapter import RANKS, Settings, adapter_plan
from blockresearch.plans.factors import low_rank, write_factors
from blockresearch.plans.plan import PlanError
from blockresearch.safetensors.dtypes import decode
from blockresearch.safetensors.reader import read_bytes, read_header
from tests.cases import comparisons, experts
from tests.cases.checkpoints import llama

DATE = "2026-01-01T00:00:00Z"


def sides(tmp_path, tensors, other, config, base=None):
    """The base, and a copy of it that is `other`."""
    folders = {"base": base or tensors, "other": other}
    return [
        local_checkpoint(str(comparisons.write(tmp_path / name, own, config)), DATE)
        for name, own in folders.items()
    ]


def planned(pair, **settings):
    """The plan of two sides, and its adapter."""
    found = compare_checkpoints(*pair, 1)
    return adapter_plan(found.pairs, found.differences, pair[0].manifest, Settings(**settings))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A llama, and a copy with a change of rank 4 in each matrix and one norm that changed."""
    tensors, config = comparisons.base()
    other = comparisons.perturbed(tensors, 4, 0.1)
    norm = "model.layers.0.input_layernorm.weight"
    other[norm] = comparisons.brain(comparisons.values(tensors[norm]) * 1.5)
    return sides(tmp_path_factory.mktemp("tuned"), tensors, other, config)


@pytest.mark.parametrize(
    ("settings", "rank", "limit"),
    [
        ({}, 4, "energy"),
        ({"energy": 0.5}, 2, "energy"),
        ({"energy": 1.0}, 4, "rounding"),
        ({"max_rank": 1}, 1, "max_rank"),
    ],
)
def test_the_rank_is_the_least_of_three(tuned, settings, rank, limit):
    plan, adapter = planned(tuned, **settings)
    assert len(adapter.modules) == 14
    assert {(each["rank"], each["limit"]) for each in plan.record["modules"]} == {(rank, limit)}
    errors = [each["error"] for each in plan.record["modules"]]
    at = [each["curve"][RANKS.index(rank)] for each in plan.record["modules"]]
    assert errors == at
    if rank < 4:
        assert errors == pytest.approx([np.sqrt(1 - rank / 4)] * 14, abs=0.02)


def test_shares_of_the_change_add_up(tuned):
    record = planned(tuned)[0].record
    found, left = record["predicted"], record["not_kept"]
    assert record["saved"] == ["lm_head", "model.embed_tokens"]
    assert [each["tensors"] for each in left] == [["model.layers.0.input_layernorm.weight"]]
    assert found["kept"] + found["saved"] + found["lost"] == pytest.approx(1)
    cut = sum(each["share"] * each["error"] ** 2 for each in record["modules"])
    assert found["lost"] == pytest.approx(cut + left[0]["share"])


def test_what_is_saved_is_a_setting(tuned):
    plan, adapter = planned(tuned, save=("norms",))
    assert list(adapter.saved) == ["model.layers.0.input_layernorm"]
    assert plan.record["not_kept"][0]["reason"] == "a token table, and save does not name tokens"


def test_ranks_that_differ_are_patterns(tmp_path):
    tensors, config = comparisons.base()
    other = dict(tensors)
    for rank, name in ((1, "model.layers.0.mlp.up_proj"), (3, "model.layers.1.mlp.up_proj")):
        own = comparisons.perturbed({"a": tensors[f"{name}.weight"]}, rank, 0.2)
        other[f"{name}.weight"] = own["a"]
    plan, _ = planned(sides(tmp_path, tensors, other, config))
    config = json.loads(plan.files["adapter_config.json"])
    assert (config["r"], config["modules_to_save"]) == (3, None)
    ((pattern, rank),) = config["rank_pattern"].items()
    assert config["alpha_pattern"] == config["rank_pattern"]
    # As PEFT does it: utils/other.py, get_pattern_key.
    matches = [re.match(rf"(.*\.)?({pattern})$", name) for name in config["target_modules"]]
    assert [bool(match) for match in matches] == [True, False] and rank == 1


def test_fused_matrices_have_factors_in_blocks(tmp_path):
    """Written factors lose what the plan predicts; q, k and v are one module."""
    tensors, config = comparisons.base()
    config["model_type"] = "phi3"
    other = comparisons.fused(comparisons.perturbed(tensors, 2, 0.1))
    pair = sides(tmp_path, tensors, other, config, comparisons.fused(tensors))
    plan, adapter = planned(pair, energy=0.4)
    ranks = {each["name"].rpartition(".")[2]: each["rank"] for each in plan.record["modules"]}
    assert ranks == {"qkv_proj": 3, "o_proj": 1, "gate_up_proj": 2, "down_proj": 1}
    path = tmp_path / "adapter_model.safetensors"
    errors = write_factors(adapter, *pair, "F32", path)
    for each in plan.record["modules"]:
        assert errors[each["name"]] == pytest.approx(each["error"], rel=1e-6)
    read = {
        each.name.removeprefix("base_model.model."): decode(
            read_bytes(path, each.begin, each.end), each.dtype
        ).reshape(each.shape)
        for each in read_header(path).tensors
    }
    name = "model.layers.1.self_attn.qkv_proj"
    product = read[f"{name}.lora_B.weight"] @ read[f"{name}.lora_A.weight"]
    delta = comparisons.values(other[f"{name}.weight"]) - comparisons.values(
        comparisons.fused(tensors)[f"{name}.weight"]
    )
    lost = np.linalg.norm(delta - product) / np.linalg.norm(delta)
    assert lost == pytest.approx(errors[name], rel=1e-5)
    saved = comparisons.values(other["lm_head.weight"])
    assert np.array_equal(read["lm_head.weight"], saved)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_factors_are_the_best_of_their_rank(shape):
    delta = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    left, right = low_rank(delta, 5)
    sigma = np.linalg.svd(delta, compute_uv=False)
    lost = np.linalg.norm(delta - left @ right)
    assert lost == pytest.approx(np.sqrt(np.square(sigma[5:]).sum()), rel=1e-6)
    assert np.linalg.norm(left) == pytest.approx(np.linalg.norm(right))


def test_without_a_fine_tune_there_is_a_reason(tmp_path):
    tensors, config = comparisons.base()
    same = sides(tmp_path / "same", tensors, tensors, config)
    assert planned(same)[0].record["reason"] == "no element of a matched tensor changed"
    strange = sides(tmp_path / "strange", tensors, llama(seed=5)[0], config)
    assert "no fine-tune of the base" in planned(strange)[0].record["reason"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"energy": 1.5}, "energy: 1.5 is no share"),
        ({"save": ("biases",)}, "save: biases is neither tokens nor norms"),
    ],
)
def test_wrong_settings_are_named(tuned, settings, message):
    with pytest.raises(PlanError, match=message):
        planned(tuned, **settings)


@pytest.mark.parametrize("is_stacked", [False, True])
def test_experts_of_a_layer_are_two_parameters(tmp_path, is_stacked):
    tensors = experts.independent()
    form = experts.stacked if is_stacked else dict
    random = np.random.default_rng(3)
    tuned = {
        name: (w + comparisons.planted(random, *w.shape, 4 if ".7.up_proj" in name else 2)).astype(
            "f4"
        )
        for name, w in tensors.items()
        if ".experts." in name
    }
    pair = sides(tmp_path, form(tensors), form(tensors | tuned), experts.CONFIG)
    plan, adapter = planned(pair, energy=1)
    start = f"{experts.START}.experts"
    config = json.loads(plan.files["adapter_config.json"])
    assert config["target_modules"] == [] and config["lora_dropout"] == 0
    assert config["target_parameters"] == [f"{start}.down_proj", f"{start}.gate_up_proj"]
    # One expert needs more directions, so all have them.
    assert {each.name.rpartition(".")[2]: each.rank for each in adapter.modules} == {
        "gate_up_proj": 2 + 4,
        "down_proj": 2,
    }
    path = tmp_path / "factors.safetensors"
    errors = write_factors(adapter, *pair, "F32", path)
    assert max(errors.values()) < 1e-5
    rows, count = 2 * experts.NEURONS, 6 * experts.EXPERTS
    assert {entry.name: entry.shape for entry in read_header(path).tensors} == {
        f"base_model.model.{start}.base_layer.lora_A.weight": (count, experts.WIDTH),
        f"base_model.model.{start}.base_layer.lora_B.weight": (rows, count),
        f"base_model.model.{start}.lora_A.weight": (2 * experts.EXPERTS, experts.NEURONS),
        f"base_model.model.{start}.lora_B.weight": (experts.WIDTH, 2 * experts.EXPERTS),
    }


def test_exchanged_rows_and_columns_are_not_kept(tmp_path):
    tensors = experts.independent()
    tuned = {name: w * np.float32(1.1) for name, w in tensors.items()}
    both = [experts.stacked(own, transposed=True) for own in (tensors, tuned)]
    plan, _ = planned(sides(tmp_path, *both, experts.CONFIG), energy=0.1)
    assert {module["name"].rpartition(".")[0] for module in plan.record["modules"]} == {
        f"{experts.START}.shared_expert"
    }
    (left,) = (each for each in plan.record["not_kept"] if "expert" in each["reason"])
    assert len(left["tensors"]) == 3 * experts.EXPERTS
