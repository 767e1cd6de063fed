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

from dataclasses import dataclass, replace

import numpy as np

from blockresearch.language.sentence import Sentence, say
from blockresearch.tokens.geometry import Geometry, Views, seen_from

# Control tokens are references if one that is held out ranks higher with at least this probability.
CONVINCING = 0.9

ENOUGH = 4

# Held-out probability by which the distance must beat the cosine.
CLEARLY_BETTER = 0.01

# Their cosine distances guard against rows of zeros like this.
LEAST_LENGTHS = 1e-6

# Rows that are read at once.
GATHERED = 4_096

# Names of their columns.
MAGIKARP = (
    "magikarp_cosine_distance",
    "magikarp_centered_cosine_distance",
    "magikarp_no_pc_cosine_distance",
    "magikarp_l2_distance",
)

IMPOSSIBLE = say(
    "rows that no text can train (named as unused, or bytes that UTF-8 never contains)"
)

UNNAMED = say("rows without a name in the tokenizer")

FILLED = say(
    "rows of zeros without a name in the tokenizer, so that short rows score high: a weak indicator"
)

CONTROL = say("control tokens, the only rows likely to be untrained")

CENTROID = say(
    "1 - distance / median distance to the mean of all rows, because no row is known to be "
    "untrained: a weak indicator"
)


@dataclass(frozen=True)
class Untrained:
    """Score [m] of each row (higher: more like an untrained one), and how it was found.

    `reference` [m] marks the reference rows. `held_out` is the probability that a held-out
    reference row scores above another row (0.5: no better than guessing); None for fewer than four
    references and for rows of zeros, which are all the same. `indicator` is ``cosine`` or
    ``distance``. `mean` [d] is the mean reference row, `products` and `distances` [m] are those of
    the rows with it and to it; None without references.
    """

    scores: np.ndarray
    reference: np.ndarray
    method: Sentence
    held_out: float | None
    indicator: str
    mean: np.ndarray | None = None
    products: np.ndarray | None = None
    distances: np.ndarray | None = None


def untrained_scores(
    seen: Geometry,
    impossible: np.ndarray,
    unnamed: np.ndarray,
    control: np.ndarray,
    indicator: str | None = None,
) -> Untrained:
    """Scores of the m rows whose geometry is `seen`.

    The masks [m] mark tokens that no text has, rows without a name in the tokenizer, and control
    tokens.
    `indicator` sets which one is used if there are references.
    """

    def scored(reference: np.ndarray, what: Sentence) -> Untrained:
        return _by_references(seen, reference, what, indicator)

    if impossible.sum() >= ENOUGH:
        return scored(impossible, IMPOSSIBLE)
    filled = unnamed & (seen.norms == 0)
    if (unnamed & ~filled).any():
        return scored(unnamed & ~filled, UNNAMED)
    if control.sum() >= ENOUGH:
        found = scored(control, CONTROL)
        if (found.held_out or 0.0) >= CONVINCING:
            return found
    if filled.any():
        return replace(scored(filled, FILLED), held_out=None)
    everything = np.ones(len(seen.norms), bool)
    scores = _closeness(seen.distances)
    return Untrained(scores, ~everything, CENTROID, None, "distance")


def _by_references(
    seen: Geometry, reference: np.ndarray, what: Sentence, wanted: str | None
) -> Untrained:
    places = np.flatnonzero(reference)
    groups = [places]
    if len(places) >= ENOUGH:
        groups += [places[0::2], places[1::2]]
    means = np.stack([_mean(seen, group) for group in groups])
    views = seen_from(seen.rows, means, seen.workers)
    tried: dict[str, Untrained] = {}
    for name in ("cosine", "distance"):
        scores = _scores(seen, views, means, 0, name)
        # A row of zeros has no direction, and so no cosine.
        if np.isfinite(scores[reference]).any():
            text = say(
                "cosine to the mean of {count} {rows}, after the leading direction of all rows is "
                "removed from both"
                if name == "cosine"
                else "1 - distance / median distance to the mean of {count} {rows}",
                count=f"{len(places):,}",
                rows=what,
            )
            chances = [
                _chance(
                    _scores(seen, views, means, number, name),
                    np.setdiff1d(places, groups[number], assume_unique=True),
                    ~reference,
                )
                for number in range(1, len(groups))
            ]
            known = [chance for chance in chances if chance is not None]
            held_out = float(np.mean(known)) if len(known) == 2 else None
            tried[name] = Untrained(
                scores,
                reference,
                text,
                held_out,
                name,
                means[0],
                views.products[0],
                views.distances[0],
            )
    if "cosine" not in tried or wanted == "distance":
        return tried["distance"]
    gain = (tried["distance"].held_out or 0.0) - (tried["cosine"].held_out or 0.0)
    return tried["distance" if wanted is None and gain > CLEARLY_BETTER else "cosine"]


def _scores(
    seen: Geometry, views: Views, means: np.ndarray, number: int, indicator: str
) -> np.ndarray:
    """Scores [m] by one of the `means` [t, d] from which the rows have `views`."""
    if indicator == "distance":
        return _closeness(views.distances[number])
    own = float(means[number] @ seen.leading)
    length = np.sqrt(max(float(means[number] @ means[number]) - own**2, 0.0))
    lengths = np.sqrt(np.maximum(seen.norms**2 - seen.along_leading**2, 0.0))
    scale = lengths * length
    scores = np.full(len(lengths), np.nan)
    product = views.products[number] - own * seen.along_leading
    return np.divide(product, scale, out=scores, where=scale > 1e-12)


def magikarp_indicators(seen: Geometry, found: Untrained) -> dict[str, np.ndarray]:
    """The indicators [m] of Land and Bartolo for rows whose geometry is `seen`, by the names in
    MAGIKARP; low values look untrained. Without reference rows in what was `found`, nothing.

    Cosine distance to the mean unused row: of the rows as stored, minus the mean of all rows, and
    without the first principal component of all rows; and the distance. The default of the tool is
    the first for tied embeddings and the norm of the input rows for untied ones. Source:
    magikarp/utils.py of cohere-ai/magikarp.
    """
    if found.mean is None or found.products is None or found.distances is None:
        return {}
    unused, mean, axis = found.mean, seen.mean, seen.widest
    along = float(unused @ axis)
    shifted = unused - mean
    kinds = (
        (found.products, seen.norms, float(unused @ unused)),
        (
            found.products - seen.to_mean - float(mean @ shifted),
            seen.distances,
            float(shifted @ shifted),
        ),
        (
            found.products - along * seen.along_widest,
            np.sqrt(np.maximum(seen.norms**2 - seen.along_widest**2, 0.0)),
            float(unused @ unused) - along**2,
        ),
    )
    result = {}
    for name, (products, lengths, square) in zip(MAGIKARP, kinds, strict=False):
        scale = np.maximum(lengths * np.sqrt(max(square, 0.0)), LEAST_LENGTHS)
        result[name] = 1 - products / scale
    result[MAGIKARP[3]] = found.distances
    return result


def _mean(seen: Geometry, places: np.ndarray) -> np.ndarray:
    """Mean [d] of the rows numbered `places`, float64."""
    total = np.zeros(seen.rows.shape[1])
    for at in range(0, len(places), GATHERED):
        total += seen.rows[places[at : at + GATHERED]].sum(axis=0, dtype=np.float64)
    return total / max(len(places), 1)


def _closeness(distances: np.ndarray) -> np.ndarray:
    """1 - distance / median distance: 1 at the target, 0 for a typical row."""
    median = float(np.median(distances))
    return 1.0 - distances / median if median > 0 else np.ones(len(distances))


def _chance(scores: np.ndarray, held_out: np.ndarray, others: np.ndarray) -> float | None:
    """Chance that a held-out row scores above one of the others; ties count half."""
    own, rest = scores[held_out], scores[others]
    own, rest = own[np.isfinite(own)], rest[np.isfinite(rest)]
    if not own.size or not rest.size:
        return None
    rest.sort()
    below, not_above = (np.searchsorted(rest, own, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(rest)))
