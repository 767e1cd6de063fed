"""Whole folders: the same numbers however a checkpoint is stored."""

import weakref

import numpy as np
import pandas as pd
import pytest

from blockresearch.compare import folder
from blockresearch.compare.checkpoint import Checkpoint, local_checkpoint
from blockresearch.compare.expectation import parse_expectation, unmet
from blockresearch.compare.folder import compare_checkpoints
from tests.cases import comparisons, variants
from tests.cases.checkpoints import brain

NOW = "2026-01-01T00:00:00Z"

TOKENS = [f"t{number}" for number in range(64)]


@pytest.fixture
def compare(tmp_path):
    def run(other, base=None, **options):
        tensors, config = comparisons.base()
        first = comparisons.write(tmp_path / "base", base or tensors, config, tokens=TOKENS)
        config |= options.pop("config", {})
        second = comparisons.write(tmp_path / "other", other, config, **options)
        sides = (local_checkpoint(str(folder), NOW) for folder in (first, second))
        return compare_checkpoints(*sides, threads=2)

    return run


def numbers(found):
    """Differences without names, by the place in the model."""
    table = found.differences.sort_values(["layer_index", "projection", "rows", "cols"])
    names = ["param_name", "slice", "other_name", "other_slice"]
    return table.drop(columns=names).reset_index(drop=True)


@pytest.mark.parametrize("change", ["resharded", "renamed", "fused"])
def test_storage_does_not_change_the_numbers(compare, change, tmp_path):
    tensors, _ = comparisons.base()
    tuned = comparisons.perturbed(tensors, 4, 0.02)
    plain = numbers(compare(tuned, tokens=TOKENS))
    for name in ("base", "other"):
        (tmp_path / name).rename(tmp_path / f"plain-{name}")
    config = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}
    changed = {
        "resharded": lambda: compare(tuned, shards=5, tokens=TOKENS),
        "renamed": lambda: compare(variants.renamed(tuned), shards=2, tokens=TOKENS),
        "fused": lambda: compare(comparisons.fused(tuned), config=config, tokens=TOKENS),
    }[change]()
    assert (changed.base_share, changed.other_share) == (1, 1)
    pd.testing.assert_frame_equal(plain, numbers(changed), check_exact=True)


def test_rows_of_a_vocabulary_are_matched_by_token(compare):
    tensors, _ = comparisons.base()
    table = comparisons.values(tensors["model.embed_tokens.weight"])
    order = np.random.default_rng(0).permutation(64)[:60]
    longer = np.concatenate([table[order], np.ones((5, table.shape[1]), np.float32)])
    tokens = [TOKENS[number] for number in order] + [f"new{number}" for number in range(5)]
    other = tensors | {"model.embed_tokens.weight": brain(longer)}
    found = compare(other, tokens=tokens)
    row = found.differences.set_index("param_name").loc["model.embed_tokens.weight"]
    assert row["changed"] == 0
    assert row["elements"] == 60 * table.shape[1]
    status = found.vocabulary["status"].value_counts()
    assert (status["added"], status["removed"]) == (5, 4)
    assert (found.pairs["status"] == "resized").sum() == 1


def test_expectations_of_a_converter(compare):
    tensors, _ = comparisons.base()
    name = "model.layers.1.mlp.up_proj.weight"
    same = compare(tensors, tokens=TOKENS)
    assert unmet(parse_expectation("equal"), same) == []
    w = comparisons.values(tensors[name]).copy()
    w[0, 0] *= 1.5
    same.differences.loc[same.differences["param_name"] == name, ["changed", "ulp_max"]] = (0.1, 1)
    assert unmet(parse_expectation("equal"), same) == [f"{name} changed"]
    assert unmet(parse_expectation("rounding"), same) == []
    same.differences.loc[same.differences["param_name"] == name, "ulp_max"] = 9
    assert unmet(parse_expectation("rounding"), same) == [f"{name} changed by more than 1 ulp"]


def test_missing_tensors_are_named(compare):
    tensors, _ = comparisons.base()
    found = compare({n: t for n, t in tensors.items() if "layers.1.mlp" not in n}, tokens=TOKENS)
    assert found.base_share < 1
    (reason,) = unmet(parse_expectation("equal"), found)
    assert "only in the base" in reason


def test_readers_are_kept_for_no_longer_than_a_pair(compare, monkeypatch):
    alive, most = weakref.WeakSet(), []
    opened, measured = Checkpoint.open, folder.measure_pair

    class Kept:
        """A mark in what a reader keeps of its file."""

    def marked(side, name):
        reader = opened(side, name)
        reader.kept[-1, -1] = mark = Kept()
        alive.add(mark)
        return reader

    def counted(*pair):
        most.append(len(alive))
        return measured(*pair)

    monkeypatch.setattr(Checkpoint, "open", marked)
    monkeypatch.setattr(folder, "measure_pair", counted)
    tensors, _ = comparisons.base()
    compare(comparisons.perturbed(tensors, 4, 0.02))
    # Two threads with both sides of a pair.
    assert 2 <= max(most) <= 4 < len(most)


def test_gate_and_up_of_different_heights(compare):
    tensors, _ = comparisons.base()
    name = "model.layers.0.mlp.gate_proj.weight"
    cut = tensors | {name: brain(comparisons.values(tensors[name])[:-8])}
    found = compare(comparisons.perturbed(cut, 2, 0.05), cut)
    assert found.lineage["units_correlation"].isna().tolist() == [True, False]
