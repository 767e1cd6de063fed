"""The exact choice within a budget, against all choices."""

import itertools

import numpy as np
import pytest

from blockresearch.plans.knapsack import Option, best_choice, pareto_curve


def random_groups(seed):
    rng = np.random.default_rng(seed)
    return [
        [Option(int(rng.integers(1, 60)), float(rng.random())) for _ in range(rng.integers(1, 5))]
        for _ in range(rng.integers(1, 6))
    ]


def everything(groups):
    """Bytes and error of every choice."""
    for chosen in itertools.product(*groups):
        yield sum(o.bytes for o in chosen), sum(o.error for o in chosen)


@pytest.mark.parametrize("seed", range(40))
def test_no_choice_within_the_budget_is_better(seed):
    groups = random_groups(seed)
    known = list(everything(groups))
    for budget in (20, 60, 120, 1000):
        best = min((error for size, error in known if size <= budget), default=None)
        found = best_choice(groups, budget)
        if best is None:
            assert found is None
        else:
            assert found.bytes <= budget
            assert found.error == pytest.approx(best, rel=1e-5)


def test_the_curve_falls_and_each_point_is_optimal():
    groups = random_groups(3) + random_groups(4)
    known = list(everything(groups))
    curve = pareto_curve(groups)
    assert [c.bytes for c in curve] == sorted({c.bytes for c in curve})
    for point in curve:
        best = min(error for size, error in known if size <= point.bytes)
        assert point.error == pytest.approx(best)


def test_many_equal_layers_are_no_problem():
    layer = [Option(100, 1.0), Option(150, 0.3), Option(200, 0.1)]
    found = best_choice([layer] * 500, 70_000)
    assert (found.bytes, found.error) == (70_000, pytest.approx(400 * 0.3 + 100))
