"""How the changes of two fine-tunes of one base agree, matrix by matrix.

The change Δ = fine-tune − base of a matrix is its task vector. Of two of them:

    cosine     ⟨Δ, Δ'⟩ / (‖Δ‖ ‖Δ'‖): 1 if both changed alike, 0 if independently
    conflict   share of |δ| + |δ'| where both are not 0 and have opposite signs; 0.5 by chance
    overlap    agreement of the leading left (right) singular vectors, ‖UᵀU'‖_F² / k; k / n by
               chance. Merging adds up what shares both (arXiv:2412.00081).

The density of one Δ is the share of its largest elements with 90 % of Σ δ²: 0.4 for a normal law,
and small if few elements changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from blockresearch.compare.checkpoint import Source
from blockresearch.compare.products import EXTRA, leading
from blockresearch.plans.changes import Place, change, items_by_place

# Directions of each Δ that are compared, and the share of Σ δ² that sets its density.
DIRECTIONS, KEPT = 8, 0.9

# Elements that are looked at once.
BLOCK = 2**20


@dataclass(frozen=True)
class Shared:
    """A matrix of the base that fine-tunes changed: its place there, and in each by its number."""

    base: Place
    others: Mapping[int, Place]


@dataclass(frozen=True)
class Agreement:
    """How the changes of a matrix by two fine-tunes, by their numbers, agree.

    inner           ⟨Δ, Δ'⟩, from which sums over matrices are made
    left, right     overlaps; None if the matrix is too small
    """

    pair: tuple[int, int]
    inner: float
    cosine: float
    conflict: float
    left: float | None
    right: float | None


@dataclass(frozen=True)
class Vectors:
    """The task vectors of a matrix: ‖Δ‖² and density by fine-tune, and how two of them agree."""

    name: str
    energies: Mapping[int, float]
    densities: Mapping[int, float]
    agreements: Sequence[Agreement]


def task_vectors(
    shared: Sequence[Shared], base: Source, others: Sequence[Source]
) -> Iterator[Vectors]:
    """The numbers of each shared matrix; those of one shard of the base are read together."""
    items = [items_by_place(side.manifest) for side in (base, *others)]
    by_name = base.manifest.by_name
    for _, group in groupby(shared, lambda each: by_name[each.base[0]].shard):
        matrices = list(group)
        with ExitStack() as stack:
            mine = stack.enter_context(base.reading(each.base[0] for each in matrices))
            theirs = [
                stack.enter_context(
                    other.reading(
                        each.others[number][0] for each in matrices if number in each.others
                    )
                )
                for number, other in enumerate(others)
            ]
            for each in matrices:
                item = items[0][each.base]
                deltas = {
                    number: change(item, items[1 + number][place], mine, theirs[number])
                    for number, place in sorted(each.others.items())
                }
                yield vectors_of(item.name, deltas)


def vectors_of(name: str, deltas: Mapping[int, np.ndarray]) -> Vectors:
    """The numbers of the task vectors [rows, cols] of one matrix, none of which is 0."""
    bases = {number: _leading(delta) for number, delta in deltas.items()}
    energies = {number: _inner(delta, delta) for number, delta in deltas.items()}
    agreements = []
    for one, other in combinations(deltas, 2):
        inner = _inner(deltas[one], deltas[other])
        overlaps: list[float | None] = [None, None]
        mine, theirs = bases[one], bases[other]
        if mine is not None and theirs is not None:
            overlaps = [
                float(np.square(a.T @ b).sum()) / DIRECTIONS
                for a, b in zip(mine, theirs, strict=True)
            ]
        agreements.append(
            Agreement(
                (one, other),
                inner,
                inner / float(np.sqrt(energies[one] * energies[other])),
                _conflict(deltas[one], deltas[other]),
                *overlaps,
            )
        )
    densities = {number: density(delta) for number, delta in deltas.items()}
    return Vectors(name, energies, densities, agreements)


def density(delta: np.ndarray) -> float:
    """The share of the largest elements of Δ [rows, cols] that have KEPT of Σ δ²."""
    squares = np.sort(np.square(delta, dtype=np.float64).ravel())[::-1]
    reached = np.cumsum(squares)
    return (int(np.searchsorted(reached, KEPT * reached[-1])) + 1) / len(squares)


def _leading(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The leading left and right singular vectors, [rows, k] and [cols, k]."""
    rows, cols = delta.shape
    if min(rows, cols) < 2 * DIRECTIONS:
        return None
    count = min(DIRECTIONS + EXTRA, rows, cols)
    left, _, right = leading(lambda: iter([delta]), rows, cols, count)
    return left[:, :DIRECTIONS], right[:, :DIRECTIONS]


def _blocks(*deltas: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    flat = [delta.reshape(-1) for delta in deltas]
    for first in range(0, flat[0].size, BLOCK):
        yield tuple(each[first : first + BLOCK].astype(np.float64) for each in flat)


def _inner(one: np.ndarray, other: np.ndarray) -> float:
    return sum(float(a @ b) for a, b in _blocks(one, other))


def _conflict(one: np.ndarray, other: np.ndarray) -> float:
    opposite = total = 0.0
    for a, b in _blocks(one, other):
        product = a * b
        sizes = np.abs(a) + np.abs(b)
        opposite += float(sizes[product < 0].sum())
        total += float(sizes[product != 0].sum())
    return opposite / total if total else 0.0
