"""The space in which token vectors are clustered, and the curve of K-means in it.

- euclidean: the rows as stored;
- spherical: rows scaled to length 1, so that only directions count;
- whitened: coordinates along the `WHITENED` leading principal components, each scaled to variance
  1, then rows scaled to length 1. The few directions of largest variance, which in token embeddings
  follow the frequency of tokens, then weigh no more than the others;
- auto: euclidean if its curve has a clear elbow, or if samples give nearly the same clusters at the
  elbow or one more while those of one cloud do not, or if there are too few rows or dimensions to
  whiten; else whitened.
"""

from concurrent.futures import Future
from dataclasses import dataclass, replace

from blockresearch.language.sentence import Sentence, say
from blockresearch.tokens.clustering import Fit, Space, Walk, space, start_path, warm_path
from blockresearch.tokens.elbow import elbow, is_clear
from blockresearch.tokens.stability import Check, checks, is_found_again
from blockresearch.tokens.vectors import as_rows, whitened
from blockresearch.tokens.workers import SERIAL, Workers

METRICS = ("auto", "euclidean", "spherical", "whitened")

WHITENED = 32

# In larger samples cuts along a few leading directions are reproduced, too.
TRIAL_ROWS = 4_096

# The choice is a property of the table: its samples are the same for every `random_state`.
TRIAL_SEED = 0

# With fewer rows per direction, whitening would give noise the weight of structure.
ROWS_PER_DIRECTION = 10

# Rows of length 1 along one direction are only signs, along two a circle.
MIN_DIRECTIONS = 3

RULE_CLEAR_ELBOW = say(
    "Tokens were clustered as stored (euclidean), because that curve has a clear elbow."
)

RULE_STABLE = say(
    "Tokens were clustered as stored (euclidean): in a trial, samples gave nearly the same "
    "clusters (adjusted Rand index of 0.8 or more at the elbow, or at one k more)."
)

RULE_TOO_SMALL = say(
    "Tokens were clustered as stored (euclidean): there are too few rows or dimensions to whiten."
)

RULE_FEW_K = say(
    "Tokens were clustered as stored (euclidean): there are too few k to judge the curve."
)


@dataclass(frozen=True)
class Curve:
    """K-means for a range of k in the `space` of a `metric`, with the reason for it (`rule`).

    `clear` is true for a clear elbow, None for too few k.
    """

    metric: str
    rule: str
    space: Space
    fits: list[Fit]
    checked: dict[int, Check]
    clear: bool | None


def find_curve(
    stored: Space,
    metric: str = "auto",
    k_min: int = 2,
    k_max: int = 30,
    n_clusters: int | None = None,
    random_state: int = 0,
    workers: Workers = SERIAL,
) -> Curve:
    """The curve of m rows for k from `k_min` to `k_max`; `stored` is their space as stored.

    The clusters are also checked at `n_clusters`.
    """
    rows = stored.rows
    most = max(k_max, n_clusters or 0)

    def path(place: Space, started: "Future[Walk] | None" = None) -> list[Fit]:
        return warm_path(place, k_min, k_max, random_state, workers, started)

    def curve(metric: str, rule: str, place: Space, fits: list[Fit] | None = None) -> Curve:
        # Beside the samples, because the path occupies one thread.
        started = None if fits else start_path(place, k_max, random_state, workers)
        unit_length = metric in ("spherical", "whitened")
        checked = checks(
            place.reduced, place.components, most, random_state, unit_length, workers=workers
        )
        fits = fits or path(place, started)
        clear = is_clear(fits, {k: 1.0 - check.null_share for k, check in checked.items()})
        return Curve(metric, rule, place, fits, checked, clear)

    count = max(1, min(WHITENED, rows.shape[1], len(rows) // ROWS_PER_DIRECTION))
    if metric == "auto":
        fits = path(stored)
        if is_clear(fits) is None:
            return curve("euclidean", RULE_FEW_K, stored, fits)
        k = elbow(fits)
        # One more than the elbow counts as well: a small cluster bends the curve too little.
        checked = checks(
            stored.reduced,
            stored.components,
            k + 1,
            TRIAL_SEED,
            sample_rows=TRIAL_ROWS,
            workers=workers,
        )
        again = any(is_found_again(checked[j]) for j in (k, k + 1) if j in checked)
        clear = is_clear(fits, {j: 1.0 - check.null_share for j, check in checked.items()})
        if again or clear:
            rule = RULE_CLEAR_ELBOW if clear else RULE_STABLE
            return replace(curve("euclidean", rule, stored, fits), clear=clear)
        if count < MIN_DIRECTIONS:
            return curve("euclidean", RULE_TOO_SMALL, stored, fits)
    if metric in ("auto", "whitened"):
        units = whitened(rows, stored.components.leading(count), stored.reduced)
        rule = _unclear(count) if metric == "auto" else _set(metric)
        return curve("whitened", rule, space(units, k_max, workers))
    if metric == "spherical":
        stored = space(as_rows(rows).of_length_one(), k_max, workers)
    return curve(metric, _set(metric), stored)


def _set(metric: str) -> Sentence:
    return say("The metric {metric} was set.", metric=metric)


def _unclear(count: int) -> Sentence:
    return say(
        "The rows as stored (euclidean) show no clear elbow, and samples give different clusters. "
        "Such clusters mostly follow the frequency of tokens. Tokens were therefore clustered by "
        "direction after whitening: {count} principal components, each scaled to the same "
        "variance.",
        count=count,
    )
