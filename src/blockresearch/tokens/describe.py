"""The table tokens and facts about it, from a matrix with a row for each token.

Used for the token embedding and for an untied output layer.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.tables.io import typed
from blockresearch.tokens.near_duplicates import NEAR_DUPLICATE, near_duplicates
from blockresearch.tokens.neighbors import nearest
from blockresearch.tokens.tokenizer import Token
from blockresearch.tokens.traits import Traits, is_impossible
from blockresearch.tokens.undertrained import (
    MAGIKARP,
    Untrained,
    magikarp_indicators,
    untrained_scores,
)
from blockresearch.tokens.vectors import blocks, usable_rows

SEARCHED_TOKENS = 1_024

LISTED = 100

# Decimal places of a score that rounding in float32 leaves certain.
TIED = 5


def describe_rows(
    rows: np.ndarray,
    tokens: list[Token],
    traits: list[Traits],
    wanted: Sequence[int] = (),
    searched_tokens: int = SEARCHED_TOKENS,
    random_state: int = 0,
    device: str = "cpu",
    indicator: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table tokens of `rows` [n, d] (float32), and facts for a summary.

    Rows that are not finite have no numbers. Neighbors are exact, among all rows, and searched for
    the `wanted` rows, those of highest score, and `searched_tokens` others drawn with
    `random_state`, or for all rows if there are no more. `indicator` sets that of untrained rows
    (see `undertrained`).
    """
    values, mask = usable_rows(rows)
    places = np.flatnonzero(mask)
    norms = np.full(len(rows), np.nan)
    norms[mask] = row_norms(values)
    mean = values.mean(axis=0, dtype=np.float64) if len(values) else np.zeros(rows.shape[1])
    distances = np.full(len(rows), np.nan)
    distances[mask] = row_norms(values, mean)
    first = first_equal(values)
    duplicate = first < np.arange(len(values))
    impossible = np.array([is_impossible(token) for token in tokens])
    unnamed = np.array([token.kind == "unnamed" for token in tokens])
    untrained = untrained_scores(
        values,
        impossible[mask],
        unnamed[mask],
        np.array([token.kind == "special" for token in tokens])[mask],
        indicator,
    )
    ranks = _ranks(untrained, (impossible | unnamed)[mask])
    suspects = np.argsort(np.where(ranks > 0, ranks, np.inf), kind="stable")[:LISTED]
    inside = np.isin(np.asarray(wanted, np.int64), places)
    asked = np.searchsorted(places, np.asarray(wanted, np.int64)[inside])
    generator = np.random.default_rng(random_state)
    drawn = generator.choice(len(values), min(searched_tokens, len(values)), replace=False)
    queries = np.unique(np.concatenate([asked, suspects, drawn]))
    found = nearest(values, norms[mask], queries, device)

    neighbors: list[list[int] | None] = [None] * len(rows)
    for query, near in zip(queries, found.places, strict=True):
        if near[0] >= 0:
            neighbors[places[query]] = places[near[near >= 0]].tolist()
    cosines = np.full(len(rows), np.nan)
    cosines[places[queries]] = found.cosines[:, 0]
    table = pd.DataFrame(
        {
            "token_id": np.arange(len(rows)),
            "token": [token.text for token in tokens],
            "kind": [token.kind for token in tokens],
            "category": [trait.category for trait in traits],
            "script": [trait.script for trait in traits],
            "leading_space": [trait.leading_space for trait in traits],
            "length": pd.array([trait.length for trait in traits], dtype="Int64"),
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
    for name, found_values in magikarp_indicators(values, untrained.reference).items():
        table.loc[mask, name] = found_values
    close = near_duplicates(values, norms[mask], random_state)
    close_drawn = int((cosines[places[drawn]] >= NEAR_DUPLICATE).sum())
    lowest = untrained.scores[untrained.reference].min(initial=np.inf)
    facts = {
        "mean_norm": _number(norms[mask].mean()) if len(values) else None,
        "std_norm": _number(norms[mask].std()) if len(values) else None,
        "isotropy": {
            "mean_cosine": mean_cosine(values),
            "mean_cosine_centred": mean_cosine(values, mean),
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


def row_norms(rows: np.ndarray, origin: np.ndarray | None = None) -> np.ndarray:
    """Lengths [m] of `rows` [m, d], seen from `origin` [d], float64."""
    norms = np.empty(len(rows))
    for part in blocks(rows):
        block = rows[part].astype(np.float64)
        norms[part] = np.linalg.norm(block if origin is None else block - origin, axis=1)
    return norms


def paired_cosines(rows: np.ndarray, panels: Iterable[np.ndarray]) -> np.ndarray:
    """Cosine [n] of each of `rows` [n, d] to the row of the same number in `panels`.

    NaN if one is zero, not finite or missing, and everywhere if the widths differ.
    """
    cosines = np.full(len(rows), np.nan)
    start = 0
    for panel in panels:
        own = rows[start : start + len(panel)].astype(np.float64)
        if panel.shape[1] != rows.shape[1]:
            break
        other = panel[: len(own)].astype(np.float64)
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
            found = (own * other).sum(axis=1) / lengths
        cosines[start : start + len(own)] = np.where(np.isfinite(found), found, np.nan)
        start += len(panel)
    return cosines


def mean_cosine(rows: np.ndarray, origin: np.ndarray | None = None) -> float | None:
    """Mean cosine over all pairs of different rows of `rows` [m, d], seen from `origin` [d].

    0 for directions spread evenly, toward 1 for rows in a narrow cone. Exact: the sum over all
    pairs of unit vectors u is |Σu|² - m. Rows at the origin are left out; None for fewer than two.
    """
    count, total = 0, np.zeros(rows.shape[1])
    for part in blocks(rows):
        block = rows[part].astype(np.float64)
        if origin is not None:
            block -= origin
        lengths = np.linalg.norm(block, axis=1)
        count += int((lengths > 0).sum())
        total += (1.0 / lengths[lengths > 0]) @ block[lengths > 0]
    return float((total @ total - count) / (count * (count - 1))) if count > 1 else None


def first_equal(rows: np.ndarray) -> np.ndarray:
    """For each of `rows` [m, d] the number of the first row that equals it (0 and -0 are equal)."""
    seen: dict[bytes, int] = {}
    found = np.empty(len(rows), np.int64)
    for part in blocks(rows):
        for at, row in enumerate(rows[part] + np.float32(0), part.start):
            found[at] = seen.setdefault(hashlib.blake2b(row, digest_size=16).digest(), at)
    return found


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
