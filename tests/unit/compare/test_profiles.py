"""Curves over depth, and what they are compared with."""

import numpy as np
import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.profiles import correlation, depth_profiles, profile
from blockresearch.compare.survey import survey
from tests.cases import comparisons, variants
from tests.cases.checkpoints import brain

NOW = "2026-01-01T00:00:00Z"

GROWTH = {"q": 1.0, "k": -1.0, "v": 0.0, "o": 2.0}


def write(folder, layers, width, seed):
    """A model whose projections have spreads that run differently over depth."""
    random = np.random.default_rng(seed)
    _, config = comparisons.base()
    tensors = {}
    for layer in range(layers):
        for letter, growth in GROWTH.items():
            spread = 1 + growth * layer / layers / 3 + 0.5 * (letter == "v") * (layer % 2)
            w = brain(spread * random.standard_normal((width, width)))
            tensors[f"model.layers.{layer}.self_attn.{letter}_proj.weight"] = w
    return local_checkpoint(str(comparisons.write(folder, tensors, config)), NOW)


def curves(side):
    shards = [file.path for file in side.manifest.shards]
    return profile(side.manifest, survey(side, shards, 1).spreads)


def test_profiles_need_neither_width_nor_depth(tmp_path):
    base, other = write(tmp_path / "a", 8, 32, 0), write(tmp_path / "b", 12, 48, 1)
    rows = {row["projection"]: row for row in depth_profiles(curves(base), curves(other))}
    assert list(rows) == [f"{letter}_proj" for letter in "qkvo"]
    assert [len(rows["q_proj"][name]) for name in ("base_std", "other_std")] == [8, 12]
    assert rows["q_proj"]["profile_correlation"] > 0.9
    # q and o both grow: the null shows that this alone says nothing.
    assert rows["q_proj"]["null_correlation"] > 0.9
    assert rows["k_proj"]["profile_correlation"] > 0.9 > rows["k_proj"]["null_correlation"]


def test_spread_and_correlation_agree_with_numpy(tmp_path):
    tensors, config = comparisons.base()
    side = local_checkpoint(str(comparisons.write(tmp_path / "a", tensors, config)), NOW)
    found = curves(side)["text", "q_proj"]
    names = [f"model.layers.{layer}.self_attn.q_proj.weight" for layer in range(2)]
    exact = [variants.values(tensors[name]).std(dtype=np.float64) for name in names]
    assert found == pytest.approx(exact)
    a, b = np.random.default_rng(0).standard_normal((2, 9))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert correlation(a, np.ones(5)) is None
    # Two layers are no curve.
    assert all(
        "profile_correlation" not in row for row in depth_profiles(curves(side), curves(side))
    )
