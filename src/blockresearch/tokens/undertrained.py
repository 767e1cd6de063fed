"""Token vectors that look as if they had hardly been trained.

Vectors of tokens that occur in no training text stay together: they all get the same gradient, or
none. So tokens are compared with reference rows that cannot be trained: entries named as unused and
bytes that UTF-8 never contains; else rows without a name in the tokenizer (which may be tokens that
its file leaves out); else, if they are alike, the control tokens, of which many models use few.
Rows of zeros without a name were filled in, not left untrained: they come last.

Two indicators are tried, modeled on Land and Bartolo 2024, arXiv:2405.05417, for tied and untied
models: the cosine to the mean reference row after the leading direction of all rows is removed, and
the distance to the mean reference row. The distance is used if it ranks references, held out in
turn, clearly higher above the other tokens: a few references cannot decide between indicators that
are nearly alike, and an output layer that agrees with the embedding is scored as the embedding.
Without references that differ from the other tokens it is the distance to the mean of all rows.

`magikarp_indicators` are those that Land and Bartolo published, exactly.

A high score means that a vector looks untrained, not that its token is broken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from blockresearch.tokens.vectors import blocks

POWER_STEPS = 100

SETTLED = 1e-7

# Control tokens are references if one that is held out ranks higher with at least this probability.
CONVINCING = 0.9

ENOUGH = 4

# Held-out probability by which the distance must beat the cosine.
CLEARLY_BETTER = 0.01

# Their cosine distances guard against rows of zeros like this.
LEAST_LENGTHS = 1e-6

# Names of their columns.
MAGIKARP = (
    "magikarp_cosine_distance",
    "magikarp_centered_cosine_distance",
    "magikarp_no_pc_cosine_distance",
    "magikarp_l2_distance",
)

IMPOSSIBLE = "rows that no text can train (named as unused, or bytes that UTF-8 never contains)"

UNNAMED = "rows without a name in the tokenizer"

FILLED = (
    "rows of zeros without a name in the tokenizer, so that short rows score high: a weak indicator"
)

CONTROL = "control tokens, the only rows likely to be untrained"

COSINE = (
    "cosine to the mean of {count} {what}, after the leading direction of all rows is removed from "
    "both"
)

DISTANCE = "1 - distance / median distance to the mean of {count} {what}"

CENTROID = (
    "1 - distance / median distance to the mean of all rows, because no row is known to be "
    "untrained: a weak indicator"
)

Indicator = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Untrained:
    """Score [m] of each row (higher: more like an untrained one), and how it was found.

    `reference` [m] marks the reference rows. `held_out` is the probability that a held-out
    reference row scores above another row (0.5: no better than guessing); None for fewer than four
    references and for rows of zeros, which are all the same. `indicator` is ``cosine`` or
    ``distance``.
    """

    scores: np.ndarray
    reference: np.ndarray
    method: str
    held_out: float | None
    indicator: str


def untrained_scores(
    rows: np.ndarray,
    impossible: np.ndarray,
    unnamed: np.ndarray,
    control: np.ndarray,
    indicator: str | None = None,
) -> Untrained:
    """Scores of `rows` [m, d].

    The masks [m] mark tokens that no text has, rows without a name in the tokenizer, and control
    tokens.
    `indicator` sets which one is used if there are references.
    """
    axis = leading_direction(rows)

    def scored(reference: np.ndarray, what: str) -> Untrained:
        return _by_references(rows, reference, axis, what, indicator)

    if impossible.sum() >= ENOUGH:
        return scored(impossible, IMPOSSIBLE)
    filled = unnamed & ~rows.any(axis=1)
    if (unnamed & ~filled).any():
        return scored(unnamed & ~filled, UNNAMED)
    if control.sum() >= ENOUGH:
        found = scored(control, CONTROL)
        if (found.held_out or 0.0) >= CONVINCING:
            return found
    if filled.any():
        return replace(scored(filled, FILLED), held_out=None)
    everything = np.ones(len(rows), bool)
    scores = _closeness(rows, _mean(rows, everything), axis)
    return Untrained(scores, ~everything, CENTROID, None, "distance")


def _by_references(
    rows: np.ndarray, reference: np.ndarray, axis: np.ndarray, what: str, wanted: str | None
) -> Untrained:
    count = int(reference.sum())
    mean = _mean(rows, reference)
    tried: dict[str, Untrained] = {}
    indicators = {"cosine": (COSINE, _cosines), "distance": (DISTANCE, _closeness)}
    for name, (method, indicator) in indicators.items():
        scores = indicator(rows, mean, axis)
        # A row of zeros has no direction, and so no cosine.
        if np.isfinite(scores[reference]).any():
            text = method.format(count=f"{count:,}", what=what)
            held_out = _held_out(rows, reference, axis, indicator)
            tried[name] = Untrained(scores, reference, text, held_out, name)
    if "cosine" not in tried or wanted == "distance":
        return tried["distance"]
    gain = (tried["distance"].held_out or 0.0) - (tried["cosine"].held_out or 0.0)
    return tried["distance" if wanted is None and gain > CLEARLY_BETTER else "cosine"]


def magikarp_indicators(rows: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """The indicators [m] of Land and Bartolo for `rows` [m, d], by the names in MAGIKARP; low
    values look untrained. `reference` [m] marks the unused tokens; without any, nothing.

    Cosine distance to the mean unused row: of the rows as stored, minus the mean of all rows, and
    without the first principal component of all rows; and the distance. The default of the tool is
    the first for tied embeddings and the norm of the input rows for untied ones. Source:
    magikarp/utils.py of cohere-ai/magikarp.
    """
    if not reference.any():
        return {}
    mean = _mean(rows, np.ones(len(rows), bool))
    unused = _mean(rows, reference)
    axis = leading_direction(rows, mean)
    targets = (unused, unused - mean, unused - (unused @ axis) * axis)
    found = {name: np.empty(len(rows)) for name in MAGIKARP}
    for part in blocks(rows):
        block = rows[part].astype(np.float64)
        kinds = (block, block - mean, block - np.outer(block @ axis, axis))
        for name, kind, target in zip(MAGIKARP, kinds, targets, strict=False):
            lengths = np.linalg.norm(kind, axis=1) * np.linalg.norm(target)
            found[name][part] = 1 - kind @ target / np.maximum(lengths, LEAST_LENGTHS)
        found[MAGIKARP[3]][part] = np.linalg.norm(block - unused, axis=1)
    return found


def _held_out(
    rows: np.ndarray, reference: np.ndarray, axis: np.ndarray, indicator: Indicator
) -> float | None:
    """Mean chance of a reference row to score above another row, by the other half of them."""
    places = np.flatnonzero(reference)
    if len(places) < ENOUGH:
        return None
    chances = []
    for start in (0, 1):
        half = np.zeros(len(reference), bool)
        half[places[start::2]] = True
        scores = indicator(rows, _mean(rows, half), axis)
        chances.append(_chance(scores, reference & ~half, ~reference))
    known = [chance for chance in chances if chance is not None]
    return float(np.mean(known)) if len(known) == 2 else None


def leading_direction(rows: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
    """The unit vector [d] along which Σ(x · v)² is largest, x: `rows` [m, d] less `origin` [d].

    By power iteration from the mean row, or from the widest column if there is an origin.
    """
    if origin is None:
        vector = _mean(rows, np.ones(len(rows), bool))
    else:
        vector = np.zeros(rows.shape[1])
        vector[int(np.argmax(rows.var(axis=0)))] = 1.0
    vector = vector / (np.linalg.norm(vector) or 1.0)
    for _ in range(POWER_STEPS):
        moved = np.zeros_like(vector)
        for part in blocks(rows):
            block = rows[part] if origin is None else rows[part] - origin.astype(np.float32)
            moved += (block @ vector.astype(np.float32)).astype(np.float64) @ block
        length = np.linalg.norm(moved)
        if length == 0:
            return vector
        moved /= length
        change = np.linalg.norm(moved - vector)
        vector = moved
        if change < SETTLED:
            break
    return vector


def _mean(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean [d] of the rows that `mask` marks, float64."""
    total = np.zeros(rows.shape[1])
    for part in blocks(rows):
        total += mask[part].astype(np.float32) @ rows[part]
    return total / max(int(mask.sum()), 1)


def _cosines(rows: np.ndarray, target: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Cosines [m] to `target` after `axis` is removed from both; NaN if one is zero."""
    target = target - (target @ axis) * axis
    result = np.full(len(rows), np.nan)
    for part in blocks(rows):
        block = rows[part].astype(np.float64)
        lengths = np.sqrt(np.maximum((block**2).sum(axis=1) - (block @ axis) ** 2, 0.0))
        scale = lengths * np.linalg.norm(target)
        np.divide(block @ target, scale, out=result[part], where=scale > 1e-12)
    return result


def _closeness(rows: np.ndarray, target: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """1 - distance to `target` / median distance: 1 at the target, 0 for a typical row."""
    distances = np.empty(len(rows))
    for part in blocks(rows):
        distances[part] = np.linalg.norm(rows[part] - target, axis=1)
    median = float(np.median(distances))
    return 1.0 - distances / median if median > 0 else np.ones(len(rows))


def _chance(scores: np.ndarray, held_out: np.ndarray, others: np.ndarray) -> float | None:
    """Chance that a held-out row scores above one of the others; ties count half."""
    own, rest = scores[held_out], scores[others]
    own, rest = own[np.isfinite(own)], rest[np.isfinite(rest)]
    if not own.size or not rest.size:
        return None
    rest.sort()
    below, not_above = (np.searchsorted(rest, own, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(rest)))
