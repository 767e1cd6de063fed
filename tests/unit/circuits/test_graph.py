"""A planted composition, and every number against d × d matrices."""

from dataclasses import replace

import numpy as np
import pytest

from blockresearch.circuits import graph
from blockresearch.circuits.bases import PARTS, bases_of, read_blocks, write_bases
from blockresearch.circuits.layer import Layer
from tests.unit.circuits.test_heads import SIZE, WIDTH, random_attention


@pytest.fixture
def edges_of(tmp_path):
    """Edges of layers whose bases are in files of two layers each."""

    def found(attentions, parts=PARTS, threads=1):
        layers = [Layer("text", index, (each,)) for index, each in enumerate(attentions)]
        blocks = []
        for first in range(0, len(layers), 2):
            arrays = {}
            for layer in layers[first : first + 2]:
                arrays |= bases_of(layer, parts)
            write_bases(arrays, tmp_path / f"{first}.npz")
            blocks += read_blocks(tmp_path / f"{first}.npz")
        return list(graph.graph_rows(blocks, parts, threads))

    return found


def test_a_planted_composition_is_the_first_edge(edges_of):
    attentions = [random_attention(seed=seed) for seed in range(3)]
    mixed = np.random.default_rng(5).standard_normal((SIZE, SIZE))
    attentions[2].k[1] = mixed @ attentions[0].o[4].T
    first = next(edge for edge in edges_of(attentions) if edge["part"] == "key")
    assert (first["from_layer"], first["from_head"], first["to_layer"]) == (0, 4, 2)
    assert attentions[2].kv_head(first["to_head"]) == 1
    assert first["kernel"] == pytest.approx(SIZE, rel=1e-5)
    assert first["z"] > 20 > abs(first["median_z"]) + 15


def test_numbers_equal_those_of_whole_matrices(edges_of, monkeypatch):
    monkeypatch.setattr(graph, "LEAST_Z", -np.inf)
    one, two = (random_attention(seed=seed, biased=False) for seed in (6, 7))
    edges = edges_of([one, two])
    assert len(edges) == 18 + 18 + 36
    for edge in edges:
        head, other = edge["from_head"], edge["to_head"]
        group = other // 2
        written = one.o[head] @ one.v[head // 2]
        m, n = two.q[other].T @ two.k[group], two.o[other] @ two.v[group]
        read = {"key": m, "value": n, "query": m.T}[edge["part"]]
        product = np.linalg.norm(read @ written)
        sizes = np.linalg.norm(read) * np.linalg.norm(written)
        assert edge["composition"] == pytest.approx(product / sizes, rel=1e-5)
        matrix = {"key": two.k[group], "value": two.v[group], "query": two.q[other]}[edge["part"]]
        u, w = np.linalg.qr(one.o[head])[0], np.linalg.qr(matrix.T)[0]
        assert edge["kernel"] == pytest.approx(np.square(u.T @ w).sum(), rel=1e-5)
        assert edge["composition_null"] == WIDTH**-0.5


def test_random_heads_have_no_strong_edge(edges_of):
    edges = edges_of([random_attention(6, 6, seed) for seed in range(4)])
    assert all(edge["z"] < 6 and abs(edge["median_z"]) < 0.5 for edge in edges)


def test_only_inputs_from_the_same_stack_are_followed(edges_of):
    cross = replace(random_attention(seed=8), role="cross")
    cross.k[0] = cross.q[0] = random_attention(seed=0).o[0].T
    parts = {edge["part"] for edge in edges_of([random_attention(), cross])}
    assert parts == {"query"}


def test_heads_of_zeros_are_left_out(edges_of, monkeypatch):
    monkeypatch.setattr(graph, "LEAST_Z", -np.inf)
    one, two = random_attention(seed=1), random_attention(seed=2)
    one.o[3], two.k[0] = 0, 0
    edges = edges_of([one, two], ["key"])
    assert len(edges) == 5 * 2 and all(np.isfinite(edge["composition"]) for edge in edges)


def test_the_strongest_are_kept_on_any_threads(edges_of, monkeypatch):
    attentions = [random_attention(6, 6, seed) for seed in range(4)]
    monkeypatch.setattr(graph, "LEAST_Z", -np.inf)
    everything = edges_of(attentions, ["value"])
    monkeypatch.setattr(graph, "KEPT_EDGES", 10)
    assert edges_of(attentions, ["value"], 3) == everything[:10]
