"""The table tokens and facts about it, from a matrix with a row for each token.

Used for the token embedding and for an untied output layer.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.tables.io import typed
from blockresearch.tokens.clustering import Space, space
from blockresearch.tokens.geometry import first_equal, geometry
from blockresearch.tokens.near_duplicates import NEAR_DUPLICATE, near_duplicates
from blockresearch.tokens.neighbors import nearest
from blockresearch.tokens.tokenizer import Tokens
from blockresearch.tokens.traits import TraitColumns
from blockresearch.tokens.undertrained import (
    MAGIKARP,
    Untrained,
    magikarp_indicators,
    untrained_scores,
)
from blockresearch.tokens.vectors import Survey, Table, as_rows, survey
from blockresearch.tokens.workers import SERIAL, Workers

SEARCHED_TOKENS = 1_024

LISTED = 100

# Decimal places of a score that rounding in float32 leaves certain.
TIED = 5


def describe_rows(
    rows: Table,
    tokens: Tokens,
    traits: TraitColumns,
    wanted: Sequence[int] = (),
    searched_tokens: int = SEARCHED_TOKENS,
    random_state: int = 0,
    indicator: str | None = None,
    workers: Workers = SERIAL,
    found: Survey | None = None,
    stored: Space | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table tokens of `rows` [n, d], and facts for a summary.

    Rows that are not finite have no numbers. Neighbors are exact, among all rows, and searched for
    the `wanted` rows, those of highest score, and `searched_tokens` others drawn with
    `random_state`, or for all rows if there are no more. `indicator` sets that of untrained rows
    (see `undertrained`). The survey of the rows that was `found` and the space in which the usable
    ones are `stored` are made here if they were not before.
    """
    rows = as_rows(rows)
    found = found or survey(rows, workers)
    mask = found.usable
    places = np.flatnonzero(mask)
    stored = stored or space(rows.chosen(mask), 0, workers, found)
    values = stored.rows
    seen = geometry(values, workers, found, stored.components)
    norms, distances = np.full((2, len(rows)), np.nan)
    norms[mask], distances[mask] = seen.norms, seen.distances
    first = first_equal(values, found.hashes[mask])
    duplicate = first < np.arange(len(values))
    impossible = traits.is_impossible
    unnamed = np.array([kind == "unnamed" for kind in tokens.kinds], bool)
    special = np.array([kind == "special" for kind in tokens.kinds], bool)
    untrained = untrained_scores(seen, impossible[mask], unnamed[mask], special[mask], indicator)
    ranks = _ranks(untrained, (impossible | unnamed)[mask])
    suspects = np.argsort(np.where(ranks > 0, ranks, np.inf), kind="stable")[:LISTED]
    inside = np.isin(np.asarray(wanted, np.int64), places)
    asked = np.searchsorted(places, np.asarray(wanted, np.int64)[inside])
    generator = np.random.default_rng(random_state)
    drawn = generator.choice(len(values), min(searched_tokens, len(values)), replace=False)
    queries = np.unique(np.concatenate([asked, suspects, drawn]))
    near = nearest(values, seen.norms, queries, workers)

    neighbors: list[list[int] | None] = [None] * len(rows)
    for query, own in zip(queries, near.places, strict=True):
        if own[0] >= 0:
            neighbors[places[query]] = places[own[own >= 0]].tolist()
    cosines = np.full(len(rows), np.nan)
    cosines[places[queries]] = near.cosines[:, 0]
    table = pd.DataFrame(
        {
            "token_id": np.arange(len(rows)),
            "token": tokens.texts,
            "kind": tokens.kinds,
            "category": traits.category,
            "script": traits.script,
            "leading_space": traits.leading_space.astype(bool),
            "length": pd.arrays.IntegerArray(traits.length, traits.length < 0),
            "norm": norms,
            "centroid_distance": distances,
            "neighbours": pd.Series(neighbors, dtype=object),
            "nearest_cosine": cosines,
            "duplicate_of": _spread(places[first], duplicate, mask),
            "output_cosine": np.full(len(rows), np.nan),
            "reference": _spread(untrained.reference, np.ones(len(values), bool), mask, "boolean"),
            "undertrained_score": np.nan,
            "undertrained_rank": _spread(ranks, ranks > 0, mask),
            **dict.fromkeys(MAGIKARP, np.nan),
        }
    )
    table.loc[mask, "undertrained_score"] = untrained.scores
    for name, indicators in magikarp_indicators(seen, untrained).items():
        table.loc[mask, name] = indicators
    close = near_duplicates(seen, found.units, stored, random_state)
    close_drawn = int((cosines[places[drawn]] >= NEAR_DUPLICATE).sum())
    lowest = untrained.scores[untrained.reference].min(initial=np.inf)
    facts = {
        "mean_norm": _number(norms[mask].mean()) if len(values) else None,
        "std_norm": _number(norms[mask].std()) if len(values) else None,
        "isotropy": {
            "mean_cosine": seen.mean_cosine,
            "mean_cosine_centred": seen.mean_cosine_centered,
        },
        "unnamed_rows": int(unnamed.sum()),
        "duplicate_rows": int(duplicate.sum()),
        "near_duplicate_rows": int(close.sum()),
        "near_duplicate_sample": len(drawn),
        **_near_duplicate_share(close_drawn, len(drawn), len(values)),
        "neighbours_searched": len(queries),
        "zero_rows": int((norms == 0).sum()),
        "left_out_rows": int(len(rows) - len(values)),
        "undertrained": {
            "method": untrained.method,
            "reference_rows": int(untrained.reference.sum()),
            "held_out_auc": untrained.held_out,
            "indicator": untrained.indicator,
            "lowest_reference": _number(float(lowest)),
            "above_lowest_reference": int((untrained.scores[ranks > 0] >= lowest).sum()),
        },
    }
    return typed(table, "tokens"), facts


def _near_duplicate_share(close: int, sample: int, rows: int) -> dict[str, float | None]:
    """The share of near-duplicates in a random sample, and its standard error for all `rows`."""
    if not sample:
        return {"near_duplicate_share": None, "near_duplicate_share_error": None}
    share = close / sample
    # Nothing is left to chance if every row was searched.
    variance = share * (1 - share) / sample * (1 - sample / rows)
    return {"near_duplicate_share": share, "near_duplicate_share_error": math.sqrt(variance)}


def _ranks(untrained: Untrained, known: np.ndarray) -> np.ndarray:
    """Ranks [m] of the scores from 1, the highest; scores equal to `TIED` places share the first.

    0 without a score, for references and for other `known` untrained rows: they are no discovery.
    """
    ranked = np.isfinite(untrained.scores) & ~untrained.reference & ~known
    scores = np.round(untrained.scores[ranked], TIED)
    ranks = np.zeros(len(untrained.scores), np.int64)
    ranks[ranked] = 1 + np.searchsorted(np.sort(-scores), -scores, side="left")
    return ranks


def _spread(values: np.ndarray, known: np.ndarray, mask: np.ndarray, dtype: str = "Int64"):
    """`values` [m] of the usable rows as a column of all rows, missing where not `known`."""
    column = pd.array([pd.NA] * len(mask), dtype=dtype)
    column[np.flatnonzero(mask)[known]] = values[known]
    return column


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
