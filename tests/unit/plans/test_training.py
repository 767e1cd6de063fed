"""Which matrices to train, of tables with scores that are set."""

import json

import pytest
import yaml

from blockresearch.plans.training import CRITERIA, Settings, Tokens, training_plan
from tests.unit.plans.examples import SHAPES, tables

TOKENS = Tokens("model.embed_tokens.weight", None, True)


def plan(settings, layers=4, **more):
    return training_plan(*tables(layers, **more), "org/my_model", TOKENS, settings)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_share_of_each_kind_is_trained(criterion):
    made = plan(Settings(criterion, 0.5))
    layers = (0, 1) if criterion == "kappa" else (3, 2)
    assert made.record["trained"] == {
        kind: [f"model.layers.{n}.{kind}" for n in layers] for kind in SHAPES
    }


def test_files_say_the_same():
    made = plan(Settings("spectrum_snr", 0.5))
    trained = {name for names in made.record["trained"].values() for name in names}
    unfrozen = yaml.safe_load(made.files["spectrum.yaml"])["unfrozen_parameters"]
    assert set(unfrozen) == trained | {"^lm_head.weight$", "^model.embed_tokens.weight$"}
    assert set(json.loads(made.files["peft_target_modules.json"])["target_modules"]) == trained


def test_axolotl_selects_the_same_from_the_scores():
    """Its plugin, re-enacted: the top fraction of each type by snr."""
    made = plan(Settings("kappa", 0.5))
    scores = json.loads(made.files["snr_results_org-my-model.json"])
    by_type = {}
    for name, score in scores.items():
        by_type.setdefault(score["type"], []).append((name, score["snr"]))
    selected = {
        kind: [n for n, _ in sorted(found, key=lambda x: x[1], reverse=True)[: len(found) // 2]]
        for kind, found in by_type.items()
    }
    assert selected == made.record["trained"]


def test_criteria_that_rank_alike_agree():
    found = {(a["one"], a["other"]): a["kendall_tau"] for a in plan(Settings()).record["agreement"]}
    assert found["spectrum_snr", "alpha"] == pytest.approx(1)
    assert found["spectrum_snr", "kappa"] == pytest.approx(-1)


def test_a_tied_output_layer_is_a_target_of_kappa():
    made = plan(Settings(), layers=1)
    assert len(made.record["kappa_targets"]) == (len(SHAPES) + 1) // 5
    params, matrices = tables(1)
    params.loc[params["layer_index"].isna(), "condition_number"] = 2.0
    made = training_plan(params, matrices, "m", TOKENS, Settings())
    assert made.record["kappa_targets"][0] == "lm_head"


def test_a_model_without_spectra_has_a_reason():
    made = plan(Settings("alpha"), alpha_hill=None)
    assert "no matrix of a linear layer has the criterion alpha" in made.record["reason"]
