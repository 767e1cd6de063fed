"""Copies of real weights that differ in a known way: each has its sentence, and no other."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.dynamics import joined, measured_step
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.compare.mixture import mixture
from blockresearch.tables.io import frame
from tests.cases import variants
from tests.cases.checkpoints import Raw
from tests.tools import real_models

pytestmark = pytest.mark.slow

NOW = "2026-01-01T00:00:00Z"

LAYERS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The first layers of SmolLM2, as a model of so many layers."""
    folder = tmp_path_factory.mktemp("smollm2")
    wheels = Path(os.environ.get("BLOCKRESEARCH_WHEELS", folder))
    real_models.smollm2(folder / "whole", wheels, layers=range(LAYERS))
    tensors = variants.read(folder / "whole")
    # A part of the vocabulary, which is most of the model.
    table = tensors["model.embed_tokens.weight"]
    tensors["model.embed_tokens.weight"] = Raw("BF16", table.codes[:1024])
    return variants.write(folder / "base", tensors, folder / "whole", num_hidden_layers=LAYERS)


@pytest.fixture(scope="module")
def tensors(model):
    return variants.read(model)


@pytest.fixture
def side(tmp_path, model):
    def of(name, own, **config):
        return local_checkpoint(str(variants.write(tmp_path / name, own, model, **config)), NOW)

    return of


def compared(model, other):
    return compare_checkpoints(local_checkpoint(str(model), NOW), other, 2)


@pytest.mark.parametrize("kind", variants.RULES)
def test_real_weights_have_the_right_sentences(model, tensors, side, kind):
    options = {"head_rows": 64} if kind == "interleaved" else {}
    other = getattr(variants, kind)(tensors, **options)
    assert [own.rule for own in autopsy(compared(model, side(kind, other)))] == variants.RULES[kind]


@pytest.mark.parametrize("relative", [0.1, 0.01, 0.003])
def test_a_planted_rank_behind_rounding(model, tensors, side, relative):
    found = compared(model, side("lora", variants.low_rank(tensors, 8, relative))).differences
    ranks = found.loc[found["layer_index"].notna(), "delta_storage_rank"].dropna()
    assert len(ranks) == 7 * LAYERS
    assert (ranks == 8).mean() >= 0.95


def test_the_ratio_of_a_rounded_copy(model, tensors, side):
    found = compared(model, side("int4", variants.in_int4(tensors))).differences
    for row in found[found["grid_format"].notna()].itertuples():
        a = variants.values(tensors[row.param_name]).astype(np.float64)
        exact = 20 * np.log10(np.linalg.norm(a) / np.linalg.norm(variants.int4(a) - a))
        assert row.grid_sqnr_db == pytest.approx(exact, abs=0.01)
        # The copy was rounded to BF16 once more.
        assert row.sqnr_db == pytest.approx(exact, abs=0.05)


def test_layers_that_were_repeated(model, tensors, side):
    other = side("deeper", variants.deeper(tensors, 1, 2), num_hidden_layers=LAYERS + 2)
    texts = {own.rule: own.text for own in autopsy(compared(model, other))}
    assert list(texts)[:3] == ["layers_moved", "layers_copied", "equal"]
    assert "3 as 5" in texts["layers_moved"]
    assert "1–2 as 3–4" in texts["layers_copied"]


def test_a_merge(model, tensors, side):
    parent = variants.tuned(tensors, 0.1)
    other = side("merged", variants.merged(tensors, parent, 0.4))
    parents = [local_checkpoint(str(model), NOW), side("parent", parent)]
    first = autopsy(compared(model, other), frame(mixture(parents, other), "mixture"))[0]
    assert first.rule == "mixture"
    assert "0.6 × the base + 0.4 × local--parent" in first.text


def test_steps_of_real_weights_show_the_planted_change(tensors, model, tmp_path):
    found = variants.steps(tensors, rank=4, relative=0.02)
    config = json.loads((model / "config.json").read_text())
    folders = variants.write_steps(tmp_path, found, config)
    steps = [local_checkpoint(str(folder), NOW, hashed=True) for folder in folders]
    tables = [measured_step(steps[0], [], 2), measured_step(steps[1], steps[:1], 2)]
    tables.append(measured_step(steps[2], steps[:2], 2))
    rows = joined([step.manifest for step in steps], tables)
    rows = rows[rows["spectral_norm"].notna() & (rows["position"] > 0)]
    moved = rows["is_read"].astype(bool)
    assert moved.sum() == 2 * 7 * (LAYERS - 1)
    assert rows.loc[moved, "delta_storage_rank"].eq(4).all()
    assert rows.loc[moved, "change_from_previous"].astype(float).between(0.0195, 0.0205).all()
    assert rows.loc[~moved, "change_from_first"].eq(0).all()
