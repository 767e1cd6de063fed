"""Tokens along directions: the highest and the lowest of a vocabulary, block by block.

A direction w gives each row x of a table of tokens the score (x - mean) · w. Scores are made for a
block of rows and a group of directions at a time, and only the ends stay, so that memory does not
grow with vocabulary × directions. A score is stated in standard deviations of all scores of its
direction.

Coherence is the mean cosine of the rows of an end, each without the mean row. The tokens of an end
are alike because they were chosen along one direction; so it is compared with the ends of random
directions, which were chosen in the same way.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from blockresearch.compiled import compiled

# Tokens of an end, and the fewest that have a coherence.
TOKENS, FEWEST = 10, 2

# Random directions of the null, each with two ends, and their seed.
RANDOM, SEED = 128, 0

# Directions whose scores with a block are in memory at once, for each thread.
AT_ONCE = 512

# Share of the length of the mean row below which scores do not differ.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Ends:
    """The tokens at both ends of n directions, k of each: the highest, then the lowest.

    ids         rows of the table, int64 [n, 2, k], the most extreme first
    scores      in standard deviations from the mean of all, float64 [n, 2, k]; NaN if tokens do
                not differ along the direction
    coherence   mean cosine of the rows of an end, float64 [n, 2]
    """

    ids: np.ndarray
    scores: np.ndarray
    coherence: np.ndarray


class Rows(Protocol):
    """The rows of a table of tokens, [rows, d]; `kept` [rows] marks those that count."""

    def finite(self) -> np.ndarray:
        """The rows with finite elements, bool [rows]."""

    def total(self, kept: np.ndarray) -> np.ndarray:
        """The sum of the kept rows, float64 [d]."""

    def extremes(
        self, directions: np.ndarray, kept: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the scores of the kept rows along `directions` [n, d] float32: the `count` highest and
        the `count` highest of the opposite direction, float32 [n, 2, count]; their rows, int64; sum
        and sum of squares of all, float64 [n, 2]."""

    def joined(self, ids: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Squared lengths, float64 [m], of the sums of the rows `ids` [m, k], each without the
        `mean` [d] float32 and scaled to length 1."""


class Lens:
    """The rows of a table of tokens through which directions are read.

    `kept` [rows] marks the tokens that may be shown. Raises ValueError if no row is kept and
    finite.
    """

    def __init__(self, rows: Rows, kept: np.ndarray):
        self._rows = rows
        self.kept = kept & rows.finite()
        self.count = int(self.kept.sum())
        if not self.count:
            raise ValueError("no token has finite values and is kept: nothing to read through.")
        self.mean = rows.total(self.kept) / self.count
        random = np.random.default_rng(SEED).standard_normal((RANDOM, len(self.mean)))
        known = self.ends(random / np.linalg.norm(random, axis=1, keepdims=True)).coherence
        self.null = float(known.mean()), float(known.std(ddof=1))

    def ends(self, directions: np.ndarray) -> Ends:
        """The ends of `directions` [n, d]."""
        directions = np.ascontiguousarray(directions, np.float32)
        best, ids, sums = self._rows.extremes(directions, self.kept, min(TOKENS, self.count))
        middle = sums[:, 0] / self.count
        spread = np.sqrt(np.maximum(sums[:, 1] / self.count - middle**2, 0.0))
        sizes = np.linalg.norm(directions, axis=1) * np.linalg.norm(self.mean)
        is_flat = spread <= NEGLIGIBLE * sizes
        spread[is_flat] = np.nan
        # The lowest are kept as the highest of the opposite direction.
        signs = np.array([1.0, -1.0])[:, None]
        scores = (signs * best - middle[:, None, None]) / spread[:, None, None]
        return Ends(ids, scores, self._coherence(ids))

    def _coherence(self, ids: np.ndarray) -> np.ndarray:
        """The mean cosine of the rows `ids` [n, 2, k] of each end, [n, 2]."""
        n, _, k = ids.shape
        if k < FEWEST:
            return np.full((n, 2), np.nan)
        squares = self._rows.joined(ids.reshape(-1, k), self.mean.astype(np.float32))
        return ((squares - k) / (k * (k - 1))).reshape(n, 2)


class RowsOnCpu:
    """Rows that are read again for each pass.

    `read()` yields blocks of consecutive rows, float32 [m, d]. `threads` change no number.
    """

    def __init__(self, read: Callable[[], Iterator[np.ndarray]], threads: int = 1):
        self._read, self._threads = read, threads

    def finite(self) -> np.ndarray:
        """The finite rows, bool [rows]; see `Rows`."""
        return np.concatenate([np.isfinite(block).all(axis=1) for block in self._read()])

    def total(self, kept: np.ndarray) -> np.ndarray:
        """The sum of rows, float64 [d]; see `Rows`."""
        sums = [block.sum(axis=0, dtype=np.float64) for _, block in self._blocks(kept)]
        return np.asarray(sum(sums))

    def extremes(
        self, directions: np.ndarray, kept: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores [n, 2, count], rows and sums; see `Rows`."""
        n = len(directions)
        best = np.full((n, 2, count), -np.inf, np.float32)
        ids = np.zeros((n, 2, count), np.int64)
        sums = np.zeros((n, 2))
        groups = [slice(at, at + AT_ONCE) for at in range(0, n, AT_ONCE)]
        with ThreadPoolExecutor(self._threads) as pool:
            for places, block in self._blocks(kept):

                def look(group: slice, places=places, block=block) -> None:
                    scores = directions[group] @ block.T
                    _enter(scores, places, best[group], ids[group], sums[group])

                for _ in pool.map(look, groups):
                    pass
        return best, ids, sums

    def joined(self, ids: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Squared lengths [m]; see `Rows`."""
        flat = ids.reshape(-1)
        order = np.argsort(flat, kind="stable")
        wanted = flat[order]
        totals = np.zeros((len(ids), len(mean)), np.float32)
        start = 0
        for block in self._read():
            first, last = np.searchsorted(wanted, [start, start + len(block)])
            used, at = np.unique(wanted[first:last], return_inverse=True)
            rows = block[used - start] - mean
            start += len(block)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            np.divide(rows, lengths, out=rows, where=lengths > 0)
            _add_rows(totals, order[first:last] // ids.shape[1], rows, at)
        return np.square(totals, dtype=np.float64).sum(axis=1)

    def _blocks(self, kept: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The kept rows in order: their numbers [m], and values float32 [m, d]."""
        start = 0
        for block in self._read():
            places = start + np.flatnonzero(kept[start : start + len(block)])
            rows = block if len(places) == len(block) else block[places - start]
            start += len(block)
            if len(places):
                yield places, np.ascontiguousarray(rows, np.float32)


@compiled
def _enter(scores, places, best, ids, sums):
    """Enter the scores [n, m] of the rows `places` [m] into the ends `best` and `ids` [n, 2, k] and
    into the sums and sums of squares [n, 2]. Of equal scores the first row stays."""
    k = best.shape[2]
    for i in range(scores.shape[0]):
        total, square = 0.0, 0.0
        for j in range(scores.shape[1]):
            score = scores[i, j]
            total += score
            square += np.float64(score) * score
            for end in range(2):
                value = -score if end else score
                if value > best[i, end, k - 1]:
                    at = k - 1
                    while at > 0 and value > best[i, end, at - 1]:
                        best[i, end, at] = best[i, end, at - 1]
                        ids[i, end, at] = ids[i, end, at - 1]
                        at -= 1
                    best[i, end, at] = value
                    ids[i, end, at] = places[j]
        sums[i, 0] += total
        sums[i, 1] += square


@compiled
def _add_rows(totals, owners, rows, at):
    """Add rows[at[p]] to totals[owners[p]] for each p."""
    for p in range(len(owners)):
        for axis in range(totals.shape[1]):
            totals[owners[p], axis] += rows[at[p], axis]
