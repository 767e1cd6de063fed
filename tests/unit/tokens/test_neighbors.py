"""Nearest rows by cosine."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from blockresearch.tokens.neighbors import Neighbors, nearest
from blockresearch.tokens.vectors import Rows
from blockresearch.tokens.workers import Workers


def lengths(rows):
    return np.linalg.norm(rows.astype(float), axis=1)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("step", [1, 3])
def test_neighbors_are_those_of_scikit_learn(monkeypatch, device, step):
    monkeypatch.setattr("blockresearch.tokens.neighbors.BLOCK_ROWS", 64)
    rows = np.random.default_rng(0).standard_normal((500, 20)).astype(np.float32) + 0.5
    rows[40] = 0
    queries = np.setdiff1d(np.arange(0, 500, step), [] if step == 1 else [40])
    found = nearest(Rows(rows), lengths(rows), queries, Workers(3, device))
    if step == 1:
        assert (found.places[40] == -1).all()
        found = Neighbors(np.delete(found.places, 40, 0), np.delete(found.cosines, 40, 0))
        queries = np.delete(queries, 40)
    others = np.delete(np.arange(500), 40)
    model = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute")
    distances, places = model.fit(rows[others].astype(float)).kneighbors(rows[queries])
    np.testing.assert_array_equal(found.places, others[places[:, 1:]])
    np.testing.assert_allclose(found.cosines, 1 - distances[:, 1:], atol=1e-6)


def test_neighbors_of_equal_zero_and_few_rows():
    rows = np.float32([[1, 0], [1, 0], [0, 0], [1, 0], [0, 1]])
    found = nearest(rows, lengths(rows), np.arange(5))
    assert found.places.tolist()[0] == [1, 3, 4, -1, -1]
    assert found.places[2].tolist() == [-1] * 5 and np.isnan(found.cosines[2]).all()
    assert (found.places[1:2, :3] == [0, 3, 4]).all()
