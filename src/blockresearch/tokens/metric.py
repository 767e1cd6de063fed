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

from dataclasses import dataclass, replace

import numpy as np

from blockresearch.tokens.clustering import Fit, Progress, subspace, warm_path
from blockresearch.tokens.elbow import elbow, is_clear
from blockresearch.tokens.stability import Check, checks, is_found_again
from blockresearch.tokens.vectors import Components, principal_components, to_unit_length, whitened

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

RULE_SET = "The metric {metric} was set."

RULE_CLEAR_ELBOW = (
    "Tokens were clustered as stored (euclidean), because that curve has a clear elbow."
)

RULE_STABLE = (
    "Tokens were clustered as stored (euclidean): in a trial, samples gave nearly the same "
    "clusters (adjusted Rand index of 0.8 or more at the elbow, or at one k more)."
)

RULE_TOO_SMALL = (
    "Tokens were clustered as stored (euclidean): there are too few rows or dimensions to whiten."
)

RULE_FEW_K = "Tokens were clustered as stored (euclidean): there are too few k to judge the curve."

RULE_UNCLEAR = (
    "The rows as stored (euclidean) show no clear elbow, and samples give different clusters. Such "
    "clusters mostly follow the frequency of tokens. Tokens were therefore clustered by direction "
    "after whitening: {count} principal components, each scaled to the same variance."
)


@dataclass(frozen=True)
class Curve:
    """K-means for a range of k in the space of a `metric`, with the reason for it (`rule`).

    `rows` [m, p] are the rows there, `components` their principal components and `reduced` their
    coordinates along them. `clear` is true for a clear elbow, None for too few k.
    """

    metric: str
    rule: str
    rows: np.ndarray
    components: Components
    reduced: np.ndarray
    fits: list[Fit]
    checked: dict[int, Check]
    clear: bool | None


def find_curve(
    rows: np.ndarray,
    metric: str = "auto",
    k_min: int = 2,
    k_max: int = 30,
    n_clusters: int | None = None,
    random_state: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    threads: int = 1,
) -> Curve:
    """The curve of usable `rows` [m, d] (float32) for k from `k_min` to `k_max`.

    The clusters are also checked at `n_clusters`. ``spherical`` scales `rows` in place.
    """

    def path(rows: np.ndarray) -> tuple[Components, list[Fit]]:
        components = principal_components(rows, subspace(rows.shape[1], k_max))
        fits = warm_path(rows, k_min, k_max, random_state, progress, components, device)
        return components, fits

    def curve(
        metric: str, rule: str, rows: np.ndarray, components: Components, fits: list[Fit]
    ) -> Curve:
        reduced = components.project(rows)
        most = max(k_max, n_clusters or 0)
        unit_length = metric in ("spherical", "whitened")
        checked = checks(reduced, components, most, random_state, unit_length, threads=threads)
        clear = is_clear(fits, {k: 1.0 - check.null_share for k, check in checked.items()})
        return Curve(metric, rule, rows, components, reduced, fits, checked, clear)

    count = max(1, min(WHITENED, rows.shape[1], len(rows) // ROWS_PER_DIRECTION))
    if metric == "auto":
        components, fits = path(rows)
        if is_clear(fits) is None:
            return curve("euclidean", RULE_FEW_K, rows, components, fits)
        k = elbow(fits)
        # One more than the elbow counts as well: a small cluster bends the curve too little.
        checked = checks(
            components.project(rows),
            components,
            k + 1,
            TRIAL_SEED,
            sample_rows=TRIAL_ROWS,
            threads=threads,
        )
        again = any(is_found_again(checked[j]) for j in (k, k + 1) if j in checked)
        clear = is_clear(fits, {j: 1.0 - check.null_share for j, check in checked.items()})
        if again or clear:
            rule = RULE_CLEAR_ELBOW if clear else RULE_STABLE
            return replace(curve("euclidean", rule, rows, components, fits), clear=clear)
        if count < MIN_DIRECTIONS:
            return curve("euclidean", RULE_TOO_SMALL, rows, components, fits)
    if metric in ("auto", "whitened"):
        if metric == "whitened":
            components = principal_components(rows, count)
        rows = whitened(rows, components.leading(count))
        rule = (
            RULE_UNCLEAR.format(count=count) if metric == "auto" else RULE_SET.format(metric=metric)
        )
        return curve("whitened", rule, rows, *path(rows))
    if metric == "spherical":
        to_unit_length(rows)
    return curve(metric, RULE_SET.format(metric=metric), rows, *path(rows))
