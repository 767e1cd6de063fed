"""Rules about depth: each has a planted case and one that stays silent."""

import numpy as np
import pytest

from blockresearch.report.findings import depth
from tests.unit.report.findings.samples import by_id, layers, matrices, params

STEP = [38, 41, 36, 11, 10.5, 12]

# Stable ranks of up_proj in SmolLM2-135M: the last three of 30 layers are others.
LATE_STEP = [
    *(181, 129, 130, 167, 184, 174, 168, 164, 140, 142, 153, 78, 130, 159, 140, 141, 158, 135, 131),
    *(121, 96, 125, 131, 108, 120, 137, 153, 28.4, 16.7, 61.2),
]


def test_the_farthest_matrix_is_named_with_its_kind():
    table = matrices(
        layers([8.7, 48, 50], "stable_rank", "k_proj", "{}.self", role="self"),
        layers([35, 36, 37], "stable_rank", "k_proj", "{}.cross", role="cross"),
    )
    (found,) = depth.farthest(table, "stable_rank", below=True)
    assert found.text == (
        "Lowest stable rank for its kind: 0.self with 8.70 (median of self k_proj: 48.0)."
    )
    assert (found.value, found.reference, found.severity) == (8.7, 48, "notable")
    assert [place.name for place in found.tensors] == ["0.self"]


def test_matrices_that_are_alike_are_said_to_be():
    (found,) = depth.farthest(
        matrices(layers([1, 1.1, 1], "spectral_norm")), "spectral_norm", False
    )
    assert found.text.startswith(
        "No outlying spectral norm; highest for its kind: layers.1.up_proj"
    )
    assert found.severity == "note"


def test_a_step_over_depth_is_found():
    (found,) = depth.change_points(matrices(layers(STEP, "stable_rank")))
    assert "stable rank of up_proj falls from 38.3 (layers 0 to 2) to 11.1 (layers 3 to 5)" in (
        found.text
    )
    assert found.value == pytest.approx(np.prod(STEP[3:]) ** (1 / 3))
    assert [place.name for place in found.tensors] == ["layers.3.up_proj.weight"]


def test_a_late_step_of_many_layers_is_found():
    (found,) = depth.change_points(matrices(layers(LATE_STEP, "stable_rank")))
    assert "(layers 0 to 26) to 30.7 (layers 27 to 29)" in found.text


@pytest.mark.parametrize(
    "values",
    [
        [10, 8.8, 9.2, 4.4, 3.4, 3.6],  # as likely a trend with noise in so few layers
        np.geomspace(40, 5, 12),  # a trend
        np.exp(np.random.default_rng(0).normal(0, 1, 24)),  # noise
        [40, 40, 40, 25, 25, 25],  # less than a factor of two
        [40, 40, 10, 10],  # too few layers
    ],
)
def test_trend_and_noise_are_no_step(values):
    assert not list(depth.change_points(matrices(layers(values, "stable_rank"))))


def norms(values):
    return params(layers(values, "q50", "norm", "{}.post_norm", is_bias=False))


def test_a_norm_that_grows_is_found():
    (found,) = depth.norm_growth(norms([0.1, 1, 18, 20, 200, 336]), adds_one=False)
    assert found.value == pytest.approx(268) and found.reference == pytest.approx(0.55)
    assert "norm grows 487-fold over the depth" in found.text
    # The final norms of the encoder of Whisper-tiny.en.
    (found,) = depth.norm_growth(norms([2.08, 2.04, 2.56, 10.7]), adds_one=False)
    assert "grows 5.1-fold" in found.text
    assert not list(depth.norm_growth(norms([2.08, 10.7]), adds_one=False))
    assert not list(depth.norm_growth(norms([1, 1.2, 1.5, 2, 2.5, 3]), adds_one=False))
    assert not list(depth.norm_growth(norms([0.1, 0.1, 0.2, 0.2, 0.5, 0.6]), adds_one=True))


def test_constant_norms_are_found():
    std = 0.03955 * (1 + 1e-4 * np.arange(6))
    summary = {"mean_norm": 1.031, "std_norm": 0.0006}
    (found,) = depth.constant_norms(matrices(layers(std, "std", mp_rejected=True)), summary)
    assert "1 of 1 kinds of matrices (up_proj) have the same scale" in found.text
    assert "All rows of the token embedding have the same length (1.03)." in found.text
    assert found.severity == "notable"
    (noise,) = depth.constant_norms(matrices(layers(std, "std", mp_rejected=False)), {})
    assert noise.severity == "warning" and "look like noise" in noise.text
    trained = matrices(layers(std * np.linspace(1, 1.2, 6), "std", mp_rejected=True))
    assert not list(depth.constant_norms(trained, summary))


def test_the_kind_that_changes_most_is_named():
    table = matrices(layers([1, 1, 1], "std", "q_proj"), layers([1, 2, 3], "std", "v_proj"))
    (found,) = depth.scale_change(table)
    assert "standard deviation of v_proj changes most: it grows from 1.00" in found.text
    (alike,) = depth.scale_change(matrices(layers([1, 1, 1.02], "std")))
    assert "change little with depth" in alike.text


def test_the_expert_that_differs_most_is_named():
    rows = [
        row | {"expert_index": expert, "block_type": "moe", "std": 1.0}
        for expert in range(4)
        for row in layers([1, 1], "std", name=f"experts.{expert}.{{}}")
    ]
    (alike,) = depth.odd_expert(matrices(rows))
    assert "experts of each layer are alike" in alike.text and not alike.tensors
    rows[5] |= {"std": 0.5}
    (found,) = depth.odd_expert(matrices(rows))
    assert "expert 2 of layer 1: the standard deviation of its up_proj is 0.500" in found.text
    assert found.tensors[0].name == "experts.2.1"


def test_without_layers_depth_has_no_findings():
    table = matrices([row | {"layer_index": None} for row in layers([1, 2, 3], "std")])
    assert not by_id(depth.depth_findings(params(), table, {}, False))
