"""Lloyd's iteration for K-means, compiled, without the work that cannot change anything.

The score of row x for center c is x·c - |c|²/2, and the nearest center has the highest. Each row
keeps a lower bound of its lead, its score for its center less the highest for another. When
centers move, the lead shrinks by at most

    |x| (|Δ_own| + max |Δ_other|) + (Δ|c_own|² - min Δ|c_other|²) / 2

so only rows whose bound is used up are scored again (after Hamerly 2010, with scores in place of
distances). Nothing else is approximated: labels are those of the plain iteration, but for ties
within float32's rounding.
"""

import numpy as np

from blockresearch.compiled import compiled
from blockresearch.tokens.vectors import blocks

STEPS = 300

GATHERED = 512

# Products of float32 rows and centers are off by about this share of the product of their lengths.
ROUNDING = 1e-6

POWER_STEPS = 40

# A smaller distance, as a share of the row's length, is float32's rounding.
NEGLIGIBLE = 16 * 1.1920929e-07


def settle(
    rows: np.ndarray, start: np.ndarray, tolerance: float, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray]:
    """Labels [m] (int32) of `rows` [m, p] (float32) and the means [k, p] of the clusters.

    Lloyd's iteration from the centers `start` [k, p] ends when no label changes, when the squared
    moves of the centers sum to at most `tolerance`, or after `steps`. A center without rows is put
    on the row farthest from its own center; it stays without rows if all are at their centers.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float32))
    return _settle(rows, lengths, np.ascontiguousarray(start, np.float32), tolerance, steps)


def nearest_center(rows: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Number [m] (int32) of the nearest of `centers` [k, p] to each of `rows` [m, p] (float32)."""
    half = (0.5 * (centers.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
    across = np.ascontiguousarray(centers.T, np.float32)
    labels = np.empty(len(rows), np.int32)
    for part in blocks(rows):
        labels[part] = (rows[part] @ across - half).argmax(axis=1)
    return labels


def split(rows: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> np.ndarray | None:
    """Centers [k + 1, p] with one cluster of `rows` [m, p] split; None if all equal their centers.

    The cluster whose scatter matrix has the largest eigenvalue gets two centers, one standard
    deviation to either side of its center along the eigenvector.
    """
    own = np.ascontiguousarray(centers, np.float32)
    scatters, squares, sizes = _scatters(rows, labels, own)
    vectors = scatters[np.arange(len(own)), np.einsum("kii->ki", scatters).argmax(axis=1)]
    spreads = np.zeros(len(own))
    for _ in range(POWER_STEPS):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        moved = (scatters @ vectors[:, :, None])[:, :, 0]
        spreads = (moved * vectors).sum(axis=1)
        vectors = moved
    spreads[spreads <= squares * NEGLIGIBLE**2] = 0.0
    cluster = int(spreads.argmax())
    if spreads[cluster] <= 0:
        return None
    values, axes = np.linalg.eigh(scatters[cluster])
    offset = axes[:, -1] * np.sqrt(values[-1] / sizes[cluster])
    start = np.vstack([own, own[cluster] + offset])
    start[cluster] -= offset
    return start.astype(np.float32)


def gathered_sums(
    rows: np.ndarray, origin: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Sums [sum(counts), d] of `rows` [m, d] - `origin` [d] in the clusters of several partitions.

    `labels` [partitions, m] are the clusters, `counts` [partitions] their numbers; the clusters of
    a partition follow those of the one before. One pass over the rows, sums in float64.
    """
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _gathered_sums(rows, origin.astype(np.float32), labels, first)


@compiled
def _settle(rows, lengths, start, tolerance, steps):
    m, p = rows.shape
    k = len(start)
    centers = start.copy()
    labels, leads = np.empty(m, np.int32), np.empty(m, np.float32)
    labels[:], leads[:] = -1, -np.inf
    sums, sizes = np.zeros((k, p)), np.zeros(k, np.int64)
    squares, moves, grown = np.zeros(k), np.zeros(k), np.zeros(k)
    _measure(centers, squares)
    for _ in range(steps):
        changed = _assign(rows, lengths, centers, squares, labels, leads, sums, sizes)
        if changed == 0:
            break
        _fill_empty(rows, lengths, centers, labels, leads, sums, sizes)
        moved = 0.0
        for cluster in range(k):
            moves[cluster] = 0.0
            if sizes[cluster] > 0:
                for axis in range(p):
                    place = np.float32(sums[cluster, axis] / sizes[cluster])
                    moves[cluster] += np.float64(place - centers[cluster, axis]) ** 2
                    centers[cluster, axis] = place
            moved += moves[cluster]
            moves[cluster] = np.sqrt(moves[cluster])
            grown[cluster] = -0.5 * squares[cluster]
        if moved <= tolerance:
            break
        _measure(centers, squares)
        for cluster in range(k):
            grown[cluster] += 0.5 * squares[cluster]
        _shrink(lengths, labels, leads, moves, grown)
    return labels, centers


@compiled
def _measure(centers, squares):
    """Enter the squared lengths of `centers` into `squares`."""
    for cluster in range(len(centers)):
        squares[cluster] = 0.0
        for axis in range(centers.shape[1]):
            squares[cluster] += np.float64(centers[cluster, axis]) ** 2


@compiled
def _assign(rows, lengths, centers, squares, labels, leads, sums, sizes):
    """Score the rows whose lead is used up; returns how many changed sides."""
    m, p = rows.shape
    k = len(centers)
    across, half, longest = np.empty((p, k), np.float32), np.empty(k, np.float32), 0.0
    for cluster in range(k):
        longest = max(longest, squares[cluster])
        half[cluster] = 0.5 * squares[cluster]
        for axis in range(p):
            across[axis, cluster] = centers[cluster, axis]
    slack = np.float32(ROUNDING * np.sqrt(longest))
    block = np.empty((GATHERED, p), np.float32)
    scores = np.empty((GATHERED, k), np.float32)
    picked = np.empty(GATHERED, np.int64)
    changed = 0
    at = 0
    while at < m:
        count = 0
        while at < m and count < GATHERED:
            if not leads[at] > slack * lengths[at]:
                picked[count] = at
                for axis in range(p):
                    block[count, axis] = rows[at, axis]
                count += 1
            at += 1
        np.dot(block, across, scores)
        for place in range(count):
            number = picked[place]
            best, second, own = np.float32(-np.inf), np.float32(-np.inf), 0
            for cluster in range(k):
                score = scores[place, cluster] - half[cluster]
                if score > best:
                    second, best, own = best, score, cluster
                elif score > second:
                    second = score
            leads[number] = best - second
            before = labels[number]
            if before != own:
                changed += 1
                labels[number] = own
                sizes[own] += 1
                for axis in range(p):
                    sums[own, axis] += block[place, axis]
                if before >= 0:
                    sizes[before] -= 1
                    for axis in range(p):
                        sums[before, axis] -= block[place, axis]
    return changed


@compiled
def _shrink(lengths, labels, leads, moves, grown):
    """Lower the leads by what `moves` of the centers, half squares `grown` by, can take."""
    k = len(moves)
    if k < 2:
        return
    taken, given = np.empty(k), np.empty(k)
    for own in range(k):
        most, least = 0.0, np.inf
        for other in range(k):
            if other != own:
                most, least = max(most, moves[other]), min(least, grown[other])
        taken[own], given[own] = (1.0 + 1e-5) * (moves[own] + most), grown[own] - least
    for number in range(len(labels)):
        own = labels[number]
        leads[number] -= np.float32(lengths[number] * taken[own] + given[own])


@compiled
def _fill_empty(rows, lengths, centers, labels, leads, sums, sizes):
    """Give each cluster without rows the row farthest from its own center."""
    for cluster in range(len(sizes)):
        if sizes[cluster] > 0:
            continue
        farthest, number = 0.0, -1
        for at in range(len(rows)):
            if sizes[labels[at]] > 1:
                apart = -((NEGLIGIBLE * lengths[at]) ** 2)
                for axis in range(rows.shape[1]):
                    apart += np.float64(rows[at, axis] - centers[labels[at], axis]) ** 2
                if apart > farthest:
                    farthest, number = apart, at
        if number < 0:
            return
        before = labels[number]
        labels[number] = cluster
        sizes[before] -= 1
        sizes[cluster] = 1
        for axis in range(rows.shape[1]):
            sums[before, axis] -= rows[number, axis]
            sums[cluster, axis] = rows[number, axis]
        # Its new center is farther away than a bounded move: every row is scored again.
        leads[:] = -np.inf


@compiled
def _scatters(rows, labels, centers):
    """Of each cluster: scatter matrix [k, p, p], sum of squares [k] and number of rows [k]."""
    p = rows.shape[1]
    k = len(centers)
    scatters, squares, sizes = np.zeros((k, p, p)), np.zeros(k), np.zeros(k, np.int64)
    for number in range(len(rows)):
        sizes[labels[number]] += 1
    first = np.zeros(k, np.int64)
    for cluster in range(1, k):
        first[cluster] = first[cluster - 1] + sizes[cluster - 1]
    order = np.empty(len(rows), np.int64)
    for number in range(len(rows)):
        order[first[labels[number]]] = number
        first[labels[number]] += 1
    block, product = np.empty((GATHERED, p), np.float32), np.empty((p, p), np.float32)
    at = 0
    for cluster in range(k):
        left = sizes[cluster]
        while left > 0:
            count = min(GATHERED, left)
            for place in range(count):
                number = order[at + place]
                for axis in range(p):
                    value = rows[number, axis]
                    squares[cluster] += np.float64(value) * value
                    block[place, axis] = value - centers[cluster, axis]
            np.dot(block[:count].T, block[:count], product)
            for row in range(p):
                for axis in range(p):
                    scatters[cluster, row, axis] += product[row, axis]
            at += count
            left -= count
    return scatters, squares, sizes


@compiled
def _gathered_sums(rows, origin, labels, first):
    m, d = rows.shape
    count = first[len(first) - 1]
    sums, partial = np.zeros((count, d)), np.zeros((count, d), np.float32)
    for start in range(0, m, GATHERED):
        for number in range(start, min(start + GATHERED, m)):
            for partition in range(len(labels)):
                cluster = first[partition] + labels[partition, number]
                for axis in range(d):
                    partial[cluster, axis] += rows[number, axis] - origin[axis]
        for cluster in range(count):
            for axis in range(d):
                sums[cluster, axis] += partial[cluster, axis]
                partial[cluster, axis] = 0.0
    return sums
