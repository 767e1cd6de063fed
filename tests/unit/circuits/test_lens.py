"""Tokens at the ends of directions: found block by block, with a null for their likeness."""

import numpy as np
import pytest

from blockresearch.circuits.lens import TOKENS, Lens, RowsOnCpu

ROWS, WIDTH = 300, 24


@pytest.fixture
def table():
    return np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32) + 1


def lens(table, kept=None, block=7, threads=1):
    def read():
        return (table[at : at + block] for at in range(0, len(table), block))

    kept = np.ones(len(table), bool) if kept is None else kept
    return Lens(RowsOnCpu(read, threads), kept)


def test_ends_agree_with_plain_numpy(table):
    directions = np.random.default_rng(1).standard_normal((5, WIDTH))
    kept = np.arange(ROWS) % 3 > 0
    found = lens(table, kept).ends(directions)
    rows = table[kept].astype(np.float64)
    scores = (rows - rows.mean(axis=0)) @ directions.T
    scores /= scores.std(axis=0)
    for at in range(5):
        order = np.argsort(-scores[:, at])
        for end, chosen in enumerate((order[:TOKENS], order[::-1][:TOKENS])):
            assert (found.ids[at, end] == np.flatnonzero(kept)[chosen]).all()
            assert np.allclose(found.scores[at, end], scores[chosen, at], atol=1e-5)
            units = rows[chosen] - rows.mean(axis=0)
            units /= np.linalg.norm(units, axis=1, keepdims=True)
            between = (units @ units.T)[~np.eye(TOKENS, dtype=bool)]
            assert found.coherence[at, end] == pytest.approx(between.mean(), abs=1e-5)


def test_blocks_and_threads_change_nothing(table):
    directions = np.random.default_rng(1).standard_normal((5, WIDTH))
    one, other = lens(table).ends(directions), lens(table, block=100, threads=3).ends(directions)
    assert (one.ids == other.ids).all() and np.allclose(one.scores, other.scores, atol=1e-5)


def test_a_device_finds_the_same_ends(table, monkeypatch):
    torch = pytest.importorskip("torch")
    from blockresearch.circuits import lens_on_device

    monkeypatch.setattr(lens_on_device, "AT_ONCE", 3)
    table[17, 3] = np.nan
    kept = np.arange(ROWS) % 3 > 0
    directions = np.random.default_rng(1).standard_normal((8, WIDTH))
    cpu = torch.device("cpu")
    for block in (7, 2, 300):

        def read(block=block):
            return torch.from_numpy(table).split(block)

        there = Lens(lens_on_device.RowsOnDevice(read, cpu), kept)
        found, expected = there.ends(directions), lens(table, kept).ends(directions)
        assert (found.ids == expected.ids).all() and (there.kept == lens(table, kept).kept).all()
        assert np.allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
        assert np.allclose(found.coherence, expected.coherence, rtol=0, atol=1e-6)
        assert np.allclose(there.null, lens(table, kept).null, atol=1e-6)


def test_a_planted_group_is_coherent(table):
    axis = np.eye(WIDTH)[3]
    table[50:60] = 8 * axis + 0.1 * table[50:60]
    found = lens(table)
    ends = found.ends(axis[None])
    assert set(ends.ids[0, 0]) == set(range(50, 60))
    null, spread = found.null
    assert (ends.coherence[0, 0] - null) / spread > 3 > (ends.coherence[0, 1] - null) / spread


def test_rows_that_are_not_finite_are_left_out(table):
    table[4, 0] = np.inf
    assert 4 not in lens(table).ends(np.eye(WIDTH)[:1]).ids
    with pytest.raises(ValueError, match="no token"):
        lens(table, np.zeros(ROWS, bool))


def test_tokens_that_do_not_differ_have_no_score(table):
    table[:, 5] = 2
    assert np.isnan(lens(table).ends(np.eye(WIDTH)[5:6]).scores).all()
