"""Which heads write where later heads read: the strongest compositions of a model.

Head h₁ of an earlier layer writes into the span of the columns of W_O; a later head reads by the
rows of W_K, W_V or W_Q (its key, value or query input). The projection kernel of both spans,
‖UᵀU'‖_F², counts the directions that they share, whatever the sizes of the weights; z compares it
with independent random subspaces. Elhage's score weighs the directions: ‖W₂ W₁‖_F over the product
of ‖W₂‖_F and ‖W₁‖_F, of the circuits of both heads, which is about 1/√n for random ones.

Heads of a trained model may read and write common directions, so that all pairs have a z above 0.
What is unusual is a z far above the median of all pairs, which the table states.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blockresearch.circuits.layer import Attention, Layer
from blockresearch.spectra.overlap import kernel_deviation, orthonormal, triangle

Row = dict[str, Any]

PARTS = ("key", "value", "query")

# Edges kept for each component and part, and the z that they have at least.
KEPT_EDGES, LEAST_Z = 200, 3.0


@dataclass(frozen=True)
class _Writers:
    """The heads of an attention block as sources: orthonormal bases of what they write.

    basis   float32 [out, heads · size]
    inner   float32 [heads, size, size], Y with N = U Y Q'ᵀ and orthonormal columns in U and Q'
    alive   the heads that write anything, bool [heads]
    """

    layer: int
    role: str
    basis: np.ndarray
    inner: np.ndarray
    alive: np.ndarray


@dataclass(frozen=True)
class _Readers:
    """One input of an attention block as a target: orthonormal bases of what is read.

    basis   float32 [groups, size, in]
    inner   for each group the X of its query heads, with W₂ = Q'' X Uᵀ: float32 [heads, size, size]
    heads   the query heads of each group
    alive   the groups that read anything, bool [groups]
    """

    part: str
    basis: np.ndarray
    inner: list[np.ndarray]
    heads: list[list[int]]
    alive: np.ndarray


@dataclass
class _Found:
    """What was found of one component and part."""

    scores: list[np.ndarray] = field(default_factory=list)
    edges: list[Row] = field(default_factory=list)

    def add(self, edges: list[Row]) -> None:
        kept = sorted([*self.edges, *edges], key=_rank)
        self.edges = kept[:KEPT_EDGES]

    @property
    def least(self) -> float:
        """The z from which a further edge is kept."""
        return self.edges[-1]["z"] if len(self.edges) == KEPT_EDGES else LEAST_Z


class HeadGraph:
    """Collects the strongest edges of a model, whose layers are added in order.

    `parts` are the inputs that are followed: key, value, query. The bases of all heads stay in
    memory: 4 bytes for each element of W_O.
    """

    def __init__(self, parts: Iterable[str] = PARTS[:2], threads: int = 1):
        self.parts, self.threads = tuple(parts), threads
        self._writers: dict[str, list[_Writers]] = {}
        self._found: dict[tuple[str, str], _Found] = {}

    def add(self, layer: Layer) -> None:
        """Follow the heads of the layers before into a layer, and note what it writes."""
        before = self._writers.setdefault(layer.component, [])
        for attention in layer.attentions:
            for part in self.parts:
                # A cross attention reads keys and values from another stack.
                if part == "query" or attention.role == "self":
                    self._follow(before, layer, attention, _readers(attention, part))
        before += [_writers(layer.index, attention) for attention in layer.attentions]

    def rows(self) -> Iterator[Row]:
        """Rows of the table head_graph, by component and part, the largest z first."""
        for (component, part), found in self._found.items():
            if found.scores:
                median = float(np.median(np.concatenate(found.scores)))
                for edge in found.edges:
                    yield {"component": component, "part": part, **edge, "median_z": median}

    def _follow(
        self, before: list[_Writers], layer: Layer, attention: Attention, readers: _Readers
    ) -> None:
        found = self._found.setdefault((layer.component, readers.part), _Found())
        same = [writers for writers in before if len(writers.basis) == readers.basis.shape[2]]

        def look(writers: _Writers) -> tuple[np.ndarray, list[Row]]:
            return _edges(writers, readers, found.least)

        with ThreadPoolExecutor(self.threads) as pool:
            for z, edges in pool.map(look, same):
                found.scores.append(z)
                place = {"to_layer": layer.index, "to_role": attention.role}
                found.add([{**edge, **place} for edge in edges])


def _rank(edge: Row) -> tuple[float, int, int, int, int]:
    """The largest z first; edges of one z by their heads."""
    names = ("from_layer", "from_head", "to_layer", "to_head")
    return (-edge["z"], *(edge[name] for name in names))


def _edges(writers: _Writers, readers: _Readers, least: float) -> tuple[np.ndarray, list[Row]]:
    """z [pairs] of all heads of a block with all inputs of a later one, and the edges from
    `least` on."""
    heads, size, _ = writers.inner.shape
    groups, rows, width = readers.basis.shape
    cosines = readers.basis.reshape(-1, width) @ writers.basis
    shared = cosines.reshape(groups, rows, heads, size)
    kernel = np.square(shared, dtype=np.float64).sum(axis=(1, 3))
    mean, spread = size * rows / width, kernel_deviation(size, rows, width)
    if not spread:
        return np.empty(0), []
    alive = np.outer(readers.alive, writers.alive)
    z = (kernel - mean) / spread
    edges = []
    for group, head in zip(*np.nonzero(alive & (z >= least)), strict=True):
        inner, outer = readers.inner[group], writers.inner[head]
        products = np.linalg.norm(inner @ shared[group, :, head] @ outer, axis=(1, 2))
        scores = products / (np.linalg.norm(inner, axis=(1, 2)) * np.linalg.norm(outer))
        best = int(scores.argmax())
        edges.append(
            {
                "from_layer": writers.layer,
                "from_role": writers.role,
                "from_head": int(head),
                "to_head": readers.heads[group][best],
                "kernel": float(kernel[group, head]),
                "z": float(z[group, head]),
                "composition": float(scores[best]),
                "composition_null": width**-0.5,
            }
        )
    return z[alive], edges


def _writers(layer: int, attention: Attention) -> _Writers:
    bases, inner = [], []
    for head in range(attention.heads):
        basis, r = orthonormal(attention.o[head])
        bases.append(basis.astype(np.float32))
        inner.append(r @ triangle(attention.v[attention.kv_head(head)].T).T)
    return _Writers(
        layer, attention.role, np.hstack(bases), np.array(inner, np.float32), _alive(inner)
    )


def _readers(attention: Attention, part: str) -> _Readers:
    """The keys and values of each group, or the queries of each head."""
    of_groups: list[list[int]] = [[] for _ in range(attention.groups)]
    for head in range(attention.heads):
        of_groups[attention.kv_head(head)].append(head)
    members = [[head] for head in range(attention.heads)] if part == "query" else of_groups
    read = {"key": attention.k, "value": attention.v, "query": attention.q}[part]
    behind: dict[str, Callable[[int], np.ndarray]] = {
        "key": lambda head: triangle(attention.q[head].T),
        "value": lambda head: triangle(attention.o[head]),
        "query": lambda head: triangle(attention.k[attention.kv_head(head)].T),
    }
    bases, inner = [], []
    for matrix, heads in zip(read, members, strict=True):
        basis, r = orthonormal(matrix.T)
        bases.append(basis.T.astype(np.float32))
        inner.append(np.array([behind[part](head) @ r.T for head in heads], np.float32))
    return _Readers(part, np.array(bases), inner, members, _alive(inner))


def _alive(matrices: list[np.ndarray]) -> np.ndarray:
    """Whether all matrices of each entry have elements other than 0, bool [n]."""
    return np.array([np.any(matrix, axis=(-2, -1)).all() for matrix in matrices])
