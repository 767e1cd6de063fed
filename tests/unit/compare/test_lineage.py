"""p-values that are uniform for independent starts and vanish for a copy."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr

from blockresearch.compare.lineage import (
    combined_log10_p,
    log10_p,
    matching,
    rank_correlation,
    sampled,
)


def test_p_of_independent_starts_is_uniform():
    random = np.random.default_rng(0)
    found = []
    for _ in range(300):
        base, other = random.standard_normal((2, 60, 24))
        order = matching(base, other)
        found.append(10 ** log10_p(rank_correlation(order, np.arange(60)), 60))
    assert kstest(found, "uniform").pvalue > 0.01
    logs = [[math.log10(p) for p in found[i : i + 6]] for i in range(0, 300, 6)]
    assert kstest([10 ** combined_log10_p(own) for own in logs], "uniform").pvalue > 0.01


def test_p_of_a_perturbed_copy_vanishes():
    random = np.random.default_rng(1)
    base = random.standard_normal((500, 64))
    order = matching(base, base + 0.5 * random.standard_normal(base.shape))
    value = log10_p(rank_correlation(order, np.arange(500)), 500)
    assert value < -100
    assert combined_log10_p([value] * 30) < -10000


def test_a_shuffled_copy_is_found_as_shuffled():
    random = np.random.default_rng(2)
    base, shuffle = random.standard_normal((200, 64)), random.permutation(200)
    assert (matching(base, base[shuffle]) == shuffle).all()


@pytest.mark.parametrize("n", [5, 40])
def test_correlation_and_p_agree_with_scipy(n):
    order = np.random.default_rng(3).permutation(n)
    exact = spearmanr(order, np.arange(n), alternative="greater")
    found = rank_correlation(order, np.arange(n))
    assert found == pytest.approx(exact.statistic)
    assert 10 ** log10_p(found, n) == pytest.approx(exact.pvalue)


def test_the_identity_has_the_probability_of_one_order():
    assert 10 ** log10_p(1.0, 6) == pytest.approx(1 / len(list(permutations(range(6)))))


def test_sampled_rows_are_evenly_spaced():
    w = np.arange(5000, dtype=np.float32)[:, None]
    rows = sampled(lambda: (w[i : i + 999] for i in range(0, 5000, 999)), 5000)
    assert len(rows) == 2048
    assert rows[0, 0] == 0 and rows[-1, 0] == 4999
    assert set(np.diff(rows[:, 0])) == {2, 3}
