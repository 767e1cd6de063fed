"""Which heads write where later heads read: the strongest compositions of a model.

Head h₁ of an earlier layer writes into the span of the columns of W_O; a later head reads by the
rows of W_K, W_V or W_Q (its key, value or query input). The projection kernel of both spans,
‖UᵀU'‖_F², counts the directions that they share, whatever the sizes of the weights; z compares it
with independent random subspaces. Elhage's score weighs the directions: ‖W₂ W₁‖_F over the product
of ‖W₂‖_F and ‖W₁‖_F, of the circuits of both heads, which is about 1/√n for random ones.

Heads of a trained model may read and write common directions, so that all pairs have a z above 0.
What is unusual is a z far above the median of all pairs, which the table states.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from blockresearch.arrays.arrays import Array, Arrays
from blockresearch.circuits.bases import PARTS, WRITTEN, Block
from blockresearch.circuits.computing import computed
from blockresearch.spectra.overlap import kernel_deviation

Row = dict[str, Any]

# Edges kept for each component and part, and the z that they have at least.
KEPT_EDGES, LEAST_Z = 200, 3.0

# Blocks whose inputs are in memory at once, while what is written is read once for all of them.
AT_ONCE = 6


@dataclass(frozen=True)
class _Writers:
    """The heads of an attention block as sources.

    basis   orthonormal rows that span what they write, float32 [heads, size, out]
    inner   float32 [heads, size, size], Y with N = U Y Q'ᵀ and orthonormal columns in U and Q'
    alive   the heads that write anything, bool [heads]
    """

    block: Block
    basis: np.ndarray
    inner: np.ndarray
    alive: np.ndarray


@dataclass(frozen=True)
class _Readers:
    """One input of an attention block as a target.

    basis   orthonormal rows that span what is read, float32 [groups, size, in]
    inner   for each group the X of its query heads, with W₂ = Q'' X Uᵀ: float32 [heads, size, size]
    heads   the query heads of each group
    alive   the groups that read anything, bool [groups]
    """

    block: Block
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

    def add(self, scores: np.ndarray, edges: list[Row]) -> None:
        """Add the z [pairs] and the edges of two blocks."""
        self.scores.append(scores)
        self.edges = sorted([*self.edges, *edges], key=_rank)[:KEPT_EDGES]

    @property
    def least(self) -> float:
        """The z from which a further edge is kept."""
        return self.edges[-1]["z"] if len(self.edges) == KEPT_EDGES else LEAST_Z


def graph_rows(
    blocks: Sequence[Block],
    parts: Iterable[str] = PARTS[:2],
    threads: int = 1,
    device: str = "cpu",
) -> Iterator[Row]:
    """Rows of the table head_graph, by component and part, the largest z first.

    `parts` are the inputs that are followed. `threads` change no number; each has the bases of one
    block in memory, beside the inputs of `AT_ONCE` blocks. A `device` multiplies bases.
    """
    for component in dict.fromkeys(block.component for block in blocks):
        own = [block for block in blocks if block.component == component]
        found = {part: _Found() for part in parts}
        for first in range(0, len(own), AT_ONCE):
            _follow(own, own[first : first + AT_ONCE], found, threads, device)
        for part, each in found.items():
            if each.scores:
                median = float(np.median(np.concatenate(each.scores)))
                for edge in each.edges:
                    yield {"component": component, "part": part, **edge, "median_z": median}


def _follow(
    blocks: Sequence[Block],
    targets: Sequence[Block],
    found: dict[str, _Found],
    threads: int,
    device: str,
) -> None:
    """Follow the heads of `blocks` into all later ones of `targets`."""
    readers = [
        _readers(block, part)
        for block in targets
        for part in found
        # A cross attention reads keys and values from another stack.
        if part == "query" or block.role == "self"
    ]
    before = [block for block in blocks if block.layer < targets[-1].layer]

    def look(block: Block) -> list[tuple[str, np.ndarray, list[Row]]]:
        writers = _writers(block)
        later = [
            (each, found[each.part].least)
            for each in readers
            if block.layer < each.block.layer and writers.basis.shape[2] == each.basis.shape[2]
        ]
        name = f"heads of {block.component} layer {block.layer}"
        return computed(device, name, partial(_edges, writers, later))

    with ThreadPoolExecutor(threads) as pool:
        for each in pool.map(look, before):
            for part, scores, edges in each:
                found[part].add(scores, edges)


def _rank(edge: Row) -> tuple[float, int, int, int, int]:
    """The largest z first; edges of one z by their heads."""
    names = ("from_layer", "from_head", "to_layer", "to_head")
    return (-edge["z"], *(edge[name] for name in names))


def _edges(
    writers: _Writers, later: Sequence[tuple[_Readers, float]], arrays: Arrays
) -> list[tuple[str, np.ndarray, list[Row]]]:
    """Part, z [pairs] and edges of the heads of a block with each of some later inputs; of each the
    z from which edges are kept is given."""
    basis = arrays.put(writers.basis.reshape(-1, writers.basis.shape[2]))
    return [(each.part, *_into(writers, basis, each, least, arrays)) for each, least in later]


def _into(
    writers: _Writers, basis: Array, readers: _Readers, least: float, arrays: Arrays
) -> tuple[np.ndarray, list[Row]]:
    """z [pairs] of all heads of a block, whose stacked `basis` is given, with all inputs of a later
    one, and the edges from `least` on."""
    heads, size, width = writers.basis.shape
    groups, rows, _ = readers.basis.shape
    cosines = arrays.put(readers.basis.reshape(-1, width)) @ basis.T
    shared = cosines.reshape(groups, rows, heads, size)
    kernel = arrays.energy(shared, 3).sum(axis=1)
    mean, spread = size * rows / width, kernel_deviation(size, rows, width)
    if not spread:
        return np.empty(0), []
    alive = np.outer(readers.alive, writers.alive)
    z = (kernel - mean) / spread
    edges = []
    for group, head in zip(*np.nonzero(alive & (z >= least)), strict=True):
        inner, outer = readers.inner[group], writers.inner[head]
        between = arrays.get(shared[int(group), :, int(head)])
        products = np.linalg.norm(inner @ between @ outer, axis=(1, 2))
        scores = products / (np.linalg.norm(inner, axis=(1, 2)) * np.linalg.norm(outer))
        best = int(scores.argmax())
        edges.append(
            {
                "from_layer": writers.block.layer,
                "from_role": writers.block.role,
                "from_head": int(head),
                "to_layer": readers.block.layer,
                "to_role": readers.block.role,
                "to_head": readers.heads[group][best],
                "kernel": float(kernel[group, head]),
                "z": float(z[group, head]),
                "composition": float(scores[best]),
                "composition_null": width**-0.5,
            }
        )
    return z[alive], edges


def _writers(block: Block) -> _Writers:
    basis, inner = block.arrays((WRITTEN, "ov"))
    return _Writers(block, basis, inner, _alive(inner))


def _readers(block: Block, part: str) -> _Readers:
    """The keys and values of each group, or the queries of each head."""
    basis, inner = block.arrays((part, "ov" if part == "value" else "qk"))
    if part == "query":
        inner = inner.transpose(0, 2, 1)
    members: list[list[int]] = [[] for _ in basis]
    for head in range(len(inner)):
        members[head * len(basis) // len(inner)].append(head)
    own = [inner[heads] for heads in members]
    return _Readers(block, part, basis, own, members, _alive(own))


def _alive(matrices: Iterable[np.ndarray]) -> np.ndarray:
    """Whether all matrices of each entry are finite, with elements other than 0, bool [n]."""
    return np.array(
        [
            bool(np.any(matrix, axis=(-2, -1)).all() and np.isfinite(matrix).all())
            for matrix in matrices
        ]
    )
