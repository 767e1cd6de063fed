"""Embeddings of different widths, compared through shared tokens."""

import numpy as np
import pytest

from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.embeddings import ckas
from blockresearch.compare.folder import compare_checkpoints
from tests.cases import comparisons, variants
from tests.cases.checkpoints import brain, llama

NOW = "2026-01-01T00:00:00Z"


def plain(x, y):
    """HSIC\u2081 by the matrices of the kernels, as Song and others write it."""
    n = len(x)
    k, m = (side @ side.T * (1 - np.eye(n)) for side in (x, y))
    sums = k.sum() * m.sum() / ((n - 1) * (n - 2))
    return np.trace(k @ m) + sums - 2 / (n - 2) * (k @ m).sum()


def test_products_agree_with_the_matrices_of_kernels():
    random = np.random.default_rng(0)
    x = random.standard_normal((30, 7))
    y = x[:, :4] + random.standard_normal((30, 4))
    [found] = ckas(x, y, [np.arange(30)])
    assert found == pytest.approx(plain(x, y) / np.sqrt(plain(x, x) * plain(y, y)))


def test_neither_rotation_nor_chance_counts():
    random = np.random.default_rng(1)
    x = random.standard_normal((200, 16))
    turned = np.linalg.qr(random.standard_normal((48, 48)))[0][:16] * 3
    [same] = ckas(x, x @ turned, [np.arange(200)])
    assert same == pytest.approx(1)
    chance = ckas(x, x @ turned, [random.permutation(200) for _ in range(50)])
    # Unbiased: biased CKA would be about 16 / 200 for such rows.
    assert abs(np.mean(chance)) < 0.01 and max(chance) < 0.05
    assert ckas(np.zeros((5, 2)), x[:5], [np.arange(5)]) == [0.0]


@pytest.mark.parametrize(
    ("kind", "rule"), [("narrowed", "embeddings_alike"), ("fresh", "embeddings_apart")]
)
def test_a_model_of_another_width(tmp_path, kind, rule):
    wide, config = llama(hidden=64, inter=160)
    narrow, small = llama(hidden=32, inter=96)
    tokens = [f"t{number}" for number in range(64)]
    name = "model.embed_tokens.weight"
    random = np.random.default_rng(2)
    order = random.permutation(64)
    own = variants.values(wide[name])[order, :32] if kind == "narrowed" else None
    narrow[name] = brain(random.standard_normal((64, 32)) if own is None else own)
    sides = (
        comparisons.write(tmp_path / "base", wide, config, tokens=tokens),
        comparisons.write(tmp_path / "other", narrow, small, tokens=[tokens[n] for n in order]),
    )
    found = compare_checkpoints(*(local_checkpoint(str(side), NOW) for side in sides), 1)
    assert found.embeddings.tokens == 64 and found.embeddings.widths == (64, 32)
    row = found.lineage.iloc[-1]
    assert row["embedding_cka"] == found.embeddings.cka and row["tokens"] == 64
    assert found.lineage["embedding_cka"].notna().sum() == 1
    texts = {verdict.rule: verdict.text for verdict in autopsy(found)}
    assert rule in texts and "not_comparable" in texts
    assert "across widths of 64 and 32" in texts[rule]
