"""Experts are compared whatever the order of their neurons; random ones have nothing in common."""

import numpy as np
import pytest

from blockresearch.circuits import experts

COUNT, NEURONS, WIDTH = 32, 48, 80


@pytest.fixture
def random():
    return np.random.default_rng(0)


def expert(random):
    return {name: random.standard_normal((NEURONS, WIDTH)) for name in experts.PROJECTIONS}


def moments(each):
    axes = experts.directions(WIDTH)
    return experts.moments({name: vectors @ axes for name, vectors in each.items()})


def test_directions_are_orthonormal_and_the_same():
    for width in (8, 64, 200):
        axes = experts.directions(width)
        assert np.allclose(axes.T @ axes, np.eye(min(width, 64)), atol=1e-6)
        assert (axes == experts.directions(width)).all()


def test_moments_agree_with_plain_numpy(random):
    each = expert(random)
    axes = experts.directions(WIDTH).astype(np.float64)
    parts = [each[name] @ axes for name in experts.PROJECTIONS]
    parts = [part / np.sqrt(np.sum(part**2)) for part in parts]
    whole = sum(np.outer(z, z) for z in np.hstack(parts)) - np.eye(3 * 64) / 64
    assert np.allclose(moments(each), whole / np.sqrt(np.sum(whole**2)), atol=1e-7)


def test_independent_experts_have_nothing_in_common(random):
    similar = experts.cosines(np.stack([moments(expert(random)) for _ in range(COUNT)]))
    between = similar[np.triu_indices(COUNT, 1)]
    assert abs(between.mean()) < 0.005 and np.abs(between).max() < 0.05
    assert np.abs(experts.robust_z(between)).max() < 6


def test_a_duplicate_is_found_in_any_order(random):
    one = expert(random)
    order = random.permutation(NEURONS)
    other = {name: 2 * vectors[order] for name, vectors in one.items()}
    assert np.vdot(moments(one), moments(other)) == pytest.approx(1, abs=1e-5)
    found = experts.best_order(experts.unit(other), experts.unit(one))
    assert (found == order).all()
    assert experts.aligned_cosine(other, one, found) == pytest.approx(1)


def test_aligned_independent_experts_are_above_zero(random):
    one, other = expert(random), expert(random)
    order = experts.best_order(experts.unit(one), experts.unit(other))
    assert experts.aligned_cosine(one, other, order) > 0.1


def test_a_gain_is_one_for_random_directions(random):
    gate, router = random.standard_normal((NEURONS, WIDTH)), random.standard_normal((COUNT, WIDTH))
    router[3] = np.linalg.svd(gate)[2][0]
    responses = np.square(gate @ router.T).sum(axis=0)
    gains = experts.router_gains(responses, router, float(np.square(gate).sum()))
    assert np.delete(gains, 3).mean() == pytest.approx(1, abs=0.1)
    largest = np.linalg.svd(gate, compute_uv=False)[0] ** 2
    assert gains[3] == pytest.approx(largest / np.square(gate).sum() * WIDTH)


def test_a_z_needs_several_values_and_a_spread():
    assert np.isnan(experts.robust_z(np.arange(7.0))).all()
    assert np.isnan(experts.robust_z(np.ones(9))).all()
    values = np.array([0, 1, 2, 3, 4, 5, 6, 7, 100.0])
    assert experts.robust_z(values)[-1] == pytest.approx(96 / (1.4826 * 2))
