"""Lloyd's iteration for K-means, compiled, without the work that cannot change anything.

The score of row x for center c is x·c - |c|²/2, and the nearest center has the highest. Each row
keeps a lower bound of its lead, its score for its center less the highest for another. When
centers move, the lead shrinks by at most

    |x| (|Δ_own| + max |Δ_other|) + (Δ|c_own|² - min Δ|c_other|²) / 2

so only rows whose bound is used up are scored again (after Hamerly 2010, with scores in place of
distances). Nothing else is approximated: labels are those of the plain iteration, but for ties
within float32's rounding.
"""

from functools import partial

import numpy as np

from blockresearch.compiled import compiled
from blockresearch.tokens import on_device
from blockresearch.tokens.vectors import PARTS, Table, blocks, pieces
from blockresearch.tokens.workers import SERIAL, Workers

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


def settle_table(
    rows: Table, start: np.ndarray, steps: int, workers: Workers = SERIAL
) -> tuple[np.ndarray, np.ndarray]:
    """Labels [m] (int32) of `rows` [m, d] and the means [k, d] of the clusters, float32.

    Like `settle`, for a table that is read block by block: at most `steps` of Lloyd's iteration
    from the centers `start` [k, d], fewer if no label changes.
    """
    m, d = rows.shape
    k = len(start)
    centers = np.array(start, np.float32, order="C")
    labels, leads = np.full(m, -1, np.int32), np.full(m, -np.inf, np.float32)
    lengths = np.zeros(m, np.float32)
    sums, sizes = np.zeros((k, d)), np.zeros(k, np.int64)
    squares, moves = np.zeros(k), np.zeros(k)
    _measure(centers, squares)
    parts = list(blocks(rows))
    for _ in range(steps):
        assign = partial(_assign_part, rows, centers, squares, labels, leads, lengths)
        changed = 0
        for part_changed, part_sums, part_sizes in workers.map(assign, parts, "final clusters"):
            changed += part_changed
            sums += part_sums
            sizes += part_sizes
        if changed == 0:
            break
        _fill_empty_of(rows, lengths, centers, labels, leads, sums, sizes)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centers).astype(
            np.float32
        )
        moves[:] = np.sqrt(((moved - centers).astype(np.float64) ** 2).sum(axis=1))
        grown = -0.5 * squares
        centers = moved
        _measure(centers, squares)
        _shrink(lengths, labels, leads, moves, grown + 0.5 * squares)
    return labels, centers


def _assign_part(
    rows: Table,
    centers: np.ndarray,
    squares: np.ndarray,
    labels: np.ndarray,
    leads: np.ndarray,
    lengths: np.ndarray,
    part: slice,
) -> tuple[int, np.ndarray, np.ndarray]:
    """Like `_assign`, for a part of a table: changed rows, and what they add to sums and sizes."""
    slack = np.float32(ROUNDING * np.sqrt(squares.max()))
    picked = np.flatnonzero(~(leads[part] > slack * lengths[part]))
    whole = len(picked) == part.stop - part.start
    block = np.ascontiguousarray(rows[part] if whole else rows[part.start + picked])
    if whole:  # as in the first step
        lengths[part] = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float32))
    sums, sizes = np.zeros(centers.shape), np.zeros(len(centers), np.int64)
    half = (0.5 * squares).astype(np.float32)
    scores = centers @ block.T
    changed = _enter(block, picked, scores, half, labels[part], leads[part], sums, sizes)
    return changed, sums, sizes


def nearest_centers(rows: np.ndarray, centers: list[np.ndarray]) -> np.ndarray:
    """Number [sets, m] (int32) of the nearest to each of `rows` [m, p] of several sets of centers.

    `rows` are float32, each of `centers` [k, p].
    """
    every = np.ascontiguousarray(np.concatenate(centers), np.float32)
    half = (0.5 * (every.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
    first = np.cumsum([0, *map(len, centers)])
    labels = np.empty((len(centers), len(rows)), np.int32)
    for start in range(0, len(rows), GATHERED):
        part = slice(start, start + GATHERED)
        _nearest(every @ rows[part].T, half, first, labels[:, part])
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
    rows: Table,
    origin: np.ndarray,
    labels: np.ndarray,
    counts: np.ndarray,
    workers: Workers = SERIAL,
) -> np.ndarray:
    """Sums [sum(counts), d] of `rows` [m, d] - `origin` [d] in the clusters of several partitions.

    `labels` [partitions, m] are the clusters, `counts` [partitions] their numbers; the clusters of
    a partition follow those of the one before. One pass over the rows, sums in float64.
    """
    if not workers.on_cpu:
        return on_device.gathered_sums(rows, origin, labels, counts, workers.device)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    shift = origin.astype(np.float32)
    m, d = rows.shape

    def gather(part: slice) -> np.ndarray:
        sums = np.zeros((first[-1], d))
        for piece in pieces(part.start, part.stop, GATHERED):
            _gather(np.ascontiguousarray(rows[piece]), shift, labels[:, piece], first, sums)
        return sums

    total = np.zeros((first[-1], d))
    size = max(-(-m // PARTS), GATHERED)
    for sums in workers.map(gather, pieces(0, m, size), "sums of clusters"):
        total += sums
    return total


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
    half, longest = np.empty(k, np.float32), 0.0
    for cluster in range(k):
        longest = max(longest, squares[cluster])
        half[cluster] = 0.5 * squares[cluster]
    slack = np.float32(ROUNDING * np.sqrt(longest))
    block = np.zeros((GATHERED, p), np.float32)
    room = np.empty(k * GATHERED, np.float32)
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
        scores = room[: k * count].reshape(k, count)
        np.dot(centers, block[:count].T, scores)
        changed += _enter(block[:count], picked[:count], scores, half, labels, leads, sums, sizes)
    return changed


@compiled
def _enter(block, picked, scores, half, labels, leads, sums, sizes):
    """Give the `picked` rows, which are in `block`, their best center; returns how many changed."""
    count, p = block.shape
    best, second = np.empty(count, np.float32), np.empty(count, np.float32)
    nearest = np.empty(count, np.int32)
    _best_two(scores, half, best, second, nearest)
    changed = 0
    for place in range(count):
        number, own = picked[place], nearest[place]
        leads[number] = best[place] - second[place]
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
def _best_two(scores, half, best, second, nearest):
    """Enter the two highest of `scores` [k, m] - `half` [k], and the place of the first.

    Row by row of the scores, without branches, so that the compiler vectorizes it.
    """
    k, m = scores.shape
    best[:m], second[:m], nearest[:m] = -np.inf, -np.inf, 0
    for cluster in range(k):
        own, less = scores[cluster], half[cluster]
        for place in range(m):
            score = own[place] - less
            high = best[place]
            second[place] = max(second[place], min(high, score))
            nearest[place] = cluster if score > high else nearest[place]
            best[place] = max(high, score)


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


def _fill_empty_of(rows, lengths, centers, labels, leads, sums, sizes):
    """Like `_fill_empty`, for a table that is read block by block."""
    for cluster in np.flatnonzero(sizes == 0):
        farthest, number = 0.0, -1
        for part in blocks(rows):
            apart = rows[part] - centers[labels[part]]
            squares = np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
            squares -= (NEGLIGIBLE * lengths[part].astype(np.float64)) ** 2
            squares[sizes[labels[part]] <= 1] = 0.0
            if squares.max() > farthest:
                farthest, number = float(squares.max()), part.start + int(squares.argmax())
        if number < 0:
            return
        before, row = labels[number], rows[np.array([number])][0]
        labels[number] = cluster
        sizes[before] -= 1
        sizes[cluster] = 1
        sums[before] -= row
        sums[cluster] = row
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
def _gather(rows, origin, labels, first, sums):
    m, d = rows.shape
    count = first[len(first) - 1]
    partial = np.zeros((count, d), np.float32)
    for number in range(m):
        for partition in range(len(labels)):
            cluster = first[partition] + labels[partition, number]
            for axis in range(d):
                partial[cluster, axis] += rows[number, axis] - origin[axis]
    for cluster in range(count):
        for axis in range(d):
            sums[cluster, axis] += partial[cluster, axis]


@compiled
def _nearest(scores, half, first, labels):
    """Enter the place of the highest of `scores` [k, m] - `half` [k] in each range of rows."""
    m = scores.shape[1]
    best = np.empty(m, np.float32)
    for number in range(len(labels)):
        best[:] = -np.inf
        for cluster in range(first[number], first[number + 1]):
            for place in range(m):
                score = scores[cluster, place] - half[cluster]
                own = cluster - first[number]
                labels[number, place] = own if score > best[place] else labels[number, place]
                best[place] = max(best[place], score)
