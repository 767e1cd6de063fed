import numpy as np
import pytest

from blockresearch.tokens.clustering import TOLERANCE, path
from blockresearch.tokens.paths_on_device import paths
from blockresearch.tokens.stability import adjusted_rand_index
from tests.unit.tokens.samples import cloud, planted

pytest.importorskip("torch")


def walked(samples, k_max):
    return {
        (k, number): (labels[at], centers[at])
        for k, own, labels, centers in paths(samples, k_max, "torch-cpu", TOLERANCE)
        for at, number in enumerate(own)
    }


def test_paths_are_those_of_the_cpu():
    samples = [planted(6, 100, 10, seed)[0] for seed in range(3)]
    found = walked(np.stack(samples), 6)
    for number, sample in enumerate(samples):
        for k, labels, centers in path(sample, 6):
            own_labels, own_centers = found[k, number]
            assert k == 1 or adjusted_rand_index(own_labels, labels) == 1
            np.testing.assert_allclose(own_centers[own_labels], centers[labels], atol=1e-5)


def test_shares_of_a_cloud_are_those_of_the_cpu():
    rows = cloud(1500, 12) - cloud(1500, 12).mean(axis=0)
    found = walked(rows[None], 12)
    total = float((rows**2).sum())
    for k, labels, centers in path(rows, 12):
        own_labels, own_centers = found[k, 0]
        share = 1 - float(((rows - centers[labels]) ** 2).sum()) / total
        own = 1 - float(((rows - own_centers[own_labels]) ** 2).sum()) / total
        assert own == pytest.approx(share, abs=1e-3), k


def test_a_path_ends_at_its_distinct_rows():
    few = np.repeat(np.eye(5, dtype=np.float32)[:4], 25, axis=0)
    more = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    found = walked(np.stack([few, more, 0 * few]), 9)
    assert [max(k for k, own in found if own == number) for number in range(3)] == [4, 9, 1]
    assert len(np.unique(found[4, 0][0])) == 4
