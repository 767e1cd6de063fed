"""Each kind of change has its sentence, and no sentence is said of another kind."""

import numpy as np
import pytest

from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.compare.mixture import mixture
from blockresearch.tables.io import frame
from tests.cases import comparisons, variants
from tests.cases.checkpoints import brain, llama

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def base():
    tensors, config = llama(hidden=64, inter=160)
    return variants.trained(tensors), config


@pytest.fixture
def side(tmp_path, base):
    def of(name, tensors, **config):
        folder = comparisons.write(tmp_path / name, tensors, base[1] | config)
        return local_checkpoint(str(folder), NOW)

    return of


@pytest.fixture
def verdicts(side, base):
    def of(tensors, **config):
        found = compare_checkpoints(side("base", base[0]), side("other", tensors, **config), 1)
        return [verdict.rule for verdict in autopsy(found)]

    return of


@pytest.mark.parametrize("kind", variants.RULES)
def test_each_kind_of_change_has_its_sentence(verdicts, base, kind):
    assert verdicts(getattr(variants, kind)(base[0])) == variants.RULES[kind]


def test_layers_that_were_copied_and_moved(verdicts, base):
    found = verdicts(variants.deeper(base[0], 0, 0), num_hidden_layers=3)
    assert found[:2] == ["layers_moved", "layers_copied"]
    assert found[2] == "equal"


def test_a_side_without_some_tensors(verdicts, base):
    kept = {name: tensor for name, tensor in base[0].items() if "layers.1." not in name}
    assert verdicts(kept, num_hidden_layers=1) == ["equal", "only_base"]


def test_units_of_other_widths_are_not_comparable(side, base):
    tensors, config = llama(hidden=32, inter=96)
    other = side("narrow", tensors, **config)
    found = compare_checkpoints(side("base", base[0]), other, 1)
    texts = {verdict.rule: verdict.text for verdict in autopsy(found)}
    assert "hidden units have 64 weights in the base and 32 on the" in texts["not_comparable"]
    assert "not_independent" not in texts


@pytest.mark.parametrize(("relative", "rule"), [(0, "moved"), (0.02, "expert_permuted")])
def test_experts_that_changed_places(side, relative, rule):
    random = np.random.default_rng(0)
    own = random.normal(0, 0.02, (4, 2, 48, 64))

    def experts(order, weights):
        return {
            f"model.layers.0.mlp.experts.{place}.{word}_proj.weight": brain(weights[number, part])
            for place, number in enumerate(order)
            for part, word in enumerate(("up", "gate"))
        }

    noised = own + relative * random.normal(0, 0.02, own.shape)
    config = {"model_type": "qwen3_moe", "num_experts": 4}
    found = compare_checkpoints(
        side("base", experts([0, 1, 2, 3], own), **config),
        side("other", experts([1, 0, 2, 3], noised), **config),
        1,
    )
    assert autopsy(found)[0].rule == rule
    assert autopsy(found)[0].value == 4


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_a_merge_of_two_parents(side, base, share):
    parent = variants.tuned(base[0], 0.2)
    sides = [
        side("base", base[0]),
        side("other", variants.merged(base[0], parent, share)),
        side("parent", parent),
    ]
    rows = frame(mixture([sides[0], sides[2]], sides[1]), "mixture")
    verdicts = autopsy(compare_checkpoints(*sides[:2], 1), rows)
    assert [verdict.rule for verdict in verdicts] == ["mixture", "not_independent"]
    assert f"{share:.3g} × local--parent (medians). This leaves " in verdicts[0].text
    weights = np.array(rows["weights"].tolist())
    np.testing.assert_allclose(np.median(weights, axis=0), [1 - share, share], atol=0.02)


def test_no_merge_of_unrelated_parents(side, base):
    parent = variants.tuned(base[0], 0.2)
    sides = side("base", base[0]), side("parent", parent)
    other = side("other", variants.noised(base[0]))
    rows = frame(mixture(sides, other), "mixture")
    rules = [verdict.rule for verdict in autopsy(compare_checkpoints(sides[0], other, 1), rows)]
    assert "mixture" not in rules
