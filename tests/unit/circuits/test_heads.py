"""Planted heads, and every number of random heads against d × d matrices."""

from dataclasses import replace

import numpy as np
import pytest

from blockresearch.circuits.heads import attention_rows, head_rows
from blockresearch.circuits.layer import Attention, Layer, Missing

WIDTH, SIZE = 48, 8


def random_attention(heads=6, groups=3, seed=0, biased=True):
    random = np.random.default_rng(seed)
    normal = random.standard_normal

    def bias(count):
        return normal((count, SIZE)) * biased

    return Attention(
        role="self",
        q=normal((heads, SIZE, WIDTH)),
        k=normal((groups, SIZE, WIDTH)),
        v=normal((groups, SIZE, WIDTH)),
        o=normal((heads, WIDTH, SIZE)),
        q_bias=bias(heads),
        k_bias=bias(groups),
        v_bias=bias(groups),
        rotary=np.arange(6).reshape(2, 3).T,
    )


def column(matrix, bias):
    return np.hstack([matrix, bias[:, None]])


def test_numbers_equal_those_of_whole_matrices():
    attention = random_attention()
    for row in attention_rows(attention):
        head, group = row["head"], row["kv_head"]
        assert group == head // 2
        q, k = attention.q[head], attention.k[group]
        plain = q.T @ k
        m = column(q, attention.q_bias[head]).T @ column(k, attention.k_bias[group])
        n = attention.o[head] @ column(attention.v[group], attention.v_bias[group])
        for name, matrix in (("qk", m), ("ov", n)):
            s = np.linalg.svd(matrix, compute_uv=False)[:SIZE]
            p = s / s.sum()
            assert row[f"{name}_spectral_norm"] == pytest.approx(s[0])
            assert row[f"{name}_frobenius_norm"] == pytest.approx(np.linalg.norm(matrix))
            assert row[f"{name}_stable_rank"] == pytest.approx((s**2).sum() / s[0] ** 2)
            assert row[f"{name}_effective_rank"] == pytest.approx(np.exp(-(p * np.log(p)).sum()))
            np.testing.assert_allclose(row[f"{name}_spectrum"], s / s[0], rtol=1e-8)
        even, odd = (plain + plain.T) / 2, (plain - plain.T) / 2
        difference = np.square(even).sum() - np.square(odd).sum()
        assert row["qk_symmetry"] == pytest.approx(difference / np.square(plain).sum())
        share = 1 - np.square(plain).sum() / np.square(m).sum()
        assert row["qk_bias_share"] == pytest.approx(share)
        rows = [[0, 3], [1, 4], [2, 5], [6, 7]]
        e = np.array([np.linalg.norm(q[r]) * np.linalg.norm(k[r]) for r in rows])
        np.testing.assert_allclose(row["rotary_energy"], e[:3] / e.sum())
        assert row["slow_energy"] == pytest.approx(e[1:3].sum() / e.sum())
        # All 48 eigenvalues, of which 8 are not 0.
        values = np.linalg.eigvals(attention.o[head] @ attention.v[group])
        assert row["copying"] == pytest.approx(values.real.sum() / np.abs(values).sum(), abs=1e-6)


def test_heads_that_copy_and_heads_that_suppress():
    attention = random_attention(biased=False)
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, 2 * SIZE)))[0]
    attention.v[0], attention.o[0], attention.o[1] = basis[:, :8].T, basis[:, :8], -basis[:, :8]
    rows = attention_rows(attention)
    assert [row["copying"] for row in rows[:2]] == pytest.approx([1, -1])
    assert rows[0]["copying_z"] > 4 and rows[1]["copying_z"] < -4
    assert all(abs(row["copying_z"]) < 4 for row in rows[2:])


def test_the_null_of_random_heads_has_their_scores():
    scores = [
        row["copying_z"]
        for seed in range(40)
        for row in attention_rows(random_attention(8, 8, seed))
    ]
    assert abs(np.mean(scores)) < 0.2 and np.std(scores) == pytest.approx(1, abs=0.15)


def test_a_symmetric_head_matches_what_it_looks_for():
    attention = random_attention(6, 6, biased=False)
    attention.k[0], attention.k[1] = attention.q[0], -attention.q[1]
    symmetry = [row["qk_symmetry"] for row in attention_rows(attention)]
    assert symmetry[:2] == pytest.approx([1, 1])
    assert max(map(abs, symmetry[2:])) < 0.5


def test_numbers_without_a_meaning_are_missing():
    attention = random_attention()
    scaleless = replace(attention, is_normalized=True, is_rescaled=True)
    cross = replace(attention, role="cross", rotary=None)
    few = random_attention(2, 1)
    assert not {"qk_spectral_norm", "ov_frobenius_norm"} & set(attention_rows(scaleless)[0])
    assert not {"copying", "qk_symmetry", "slow_energy"} & set(attention_rows(cross)[0])
    assert attention_rows(few)[0]["copying_z"] is None
    dead = replace(attention, o=attention.o * 0)
    assert "ov_spectrum" not in attention_rows(dead)[0]
    assert attention_rows(dead)[0]["copying"] is None


def test_heads_with_nan_have_no_numbers():
    attention = random_attention()
    attention.q[2, 0, 0] = np.nan
    rows = attention_rows(attention)
    assert [row["head"] for row in rows if "qk_spectrum" not in row] == [2]
    assert all("ov_spectrum" in row for row in rows)


def test_the_key_bias_counts_only_with_positions():
    attention = replace(random_attention(), rotary=None)
    louder = replace(attention, k_bias=9 * attention.k_bias)
    for one, two in zip(attention_rows(attention), attention_rows(louder), strict=True):
        assert one["qk_spectrum"] == two["qk_spectrum"]


def test_a_block_without_heads_has_one_row():
    (row,) = head_rows(Layer("text", 3, (), (Missing("self", "no k_proj"),)))
    assert row == {
        **{"component": "text", "layer_index": 3, "role": "self"},
        "missing": "no k_proj",
    }
