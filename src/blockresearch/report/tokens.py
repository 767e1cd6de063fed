"""Sentences about tokens: clusters, neighbors, geometry, undertrained tokens."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.report.model import as_sentence
from blockresearch.report.wording import (
    fixed,
    integer,
    listed,
    number,
    percent,
    plural,
    with_spread,
)
from blockresearch.text import short

# Metric of the clustering -> the vectors whose variance the clusters explain.
SPACES = {"spherical": " of the directions", "whitened": " of the whitened vectors"}


def cluster_finding(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """One sentence that compares the clusters with those of one cloud of the same covariance.

    `elbow` is the table. None if this was not measured.
    """
    row = _compared(elbow)
    if row is None:
        return None
    verdict = (
        "the rows have more structure than that, but not necessarily separate clusters"
        if summary["beyond_null"]
        else "by this measure the clusters only divide a single cloud"
    )
    return (
        f"{integer(row['k'])} clusters explain {percent(row['sample_share'])} of the variance"
        f"{SPACES.get(summary['metric'], '')}, compared with {percent(row['null_share'])} in a "
        f"normal distribution of the same covariance: {verdict}."
    )


def cluster_worth(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """`cluster_finding`, its samples, and the stability of the clusters."""
    row = _compared(elbow)
    if row is None:
        return None
    return (
        f"{cluster_finding(summary, elbow)} These are means of {integer(summary['samples'])} "
        f"samples of {integer(summary['sample_rows'])} rows, and of "
        f"{integer(summary['null_samples'])} samples of the normal distribution. Clusterings of "
        "two samples agree with an adjusted Rand index of "
        f"{with_spread(row['stability'], row['stability_error'])} (1: identical); in the normal "
        f"distribution it is {with_spread(row['null_stability'], row['null_stability_error'])} "
        "(± standard error)."
    )


def _compared(elbow: pd.DataFrame) -> pd.Series | None:
    """The row of the chosen number of clusters, if it was compared with one cloud."""
    rows = elbow[elbow["chosen"].fillna(False).astype(bool) & elbow["null_share"].notna()]
    return None if rows.empty else rows.iloc[0]


def geometry(summary: Mapping[str, Any]) -> pd.DataFrame:
    """Facts about the rows of the embedding and of an untied output layer, as texts.

    Columns what, embedding and, if there is such a layer, output.
    """
    sides = {"embedding": summary, "output": summary.get("output")}
    sides = {name: side for name, side in sides.items() if side and "rows" in side}
    if "embedding" not in sides:
        return pd.DataFrame(columns=["what", "embedding"])
    facts = {
        "rows × dimensions": lambda s: f"{integer(s['rows'])} × {integer(s['dimensions'])}",
        "length of a row, mean ± std": lambda s: with_spread(s["mean_norm"], s["std_norm"]),
        "mean cosine of two rows": lambda s: fixed(s["isotropy"]["mean_cosine"], 3),
        "the same after subtracting the mean row": lambda s: fixed(
            s["isotropy"]["mean_cosine_centred"], 3
        ),
        "rows equal to an earlier one": lambda s: integer(s["duplicate_rows"]),
        "rows found with a neighbor at a cosine of 0.99 or more": lambda s: integer(
            s["near_duplicate_rows"]
        ),
        "share of such rows, from a random sample": lambda s: (
            f"{_with_error(s)} of {integer(s['near_duplicate_sample'])} rows"
        ),
        "rows of zeros": lambda s: integer(s["zero_rows"]),
        "rows without a token in the tokenizer": lambda s: integer(s["padding_rows"]),
        "rows that are not finite": lambda s: integer(s["left_out_rows"]),
    }
    texts = [
        {"what": label, **{name: text(side) for name, side in sides.items()}}
        for label, text in facts.items()
    ]
    return pd.DataFrame(texts)


def _with_error(facts: Mapping[str, Any]) -> str:
    share, error = facts["near_duplicate_share"], facts["near_duplicate_share_error"]
    return f"{percent(share)} ± {percent(error)}" if error else percent(share)


def neighbors_note(summary: Mapping[str, Any]) -> str:
    """Which tokens have neighbors, and which probe tokens do not exist in the model."""
    if "rows" not in summary:
        return ""
    searched, rows = summary["neighbours_searched"], summary["rows"]
    note = "tokens.csv contains the nearest tokens of every token."
    if searched < rows - summary["left_out_rows"]:
        note = (
            f"Nearest tokens were computed for {integer(searched)} of {integer(rows)} tokens: the "
            "probe tokens, those that look most untrained, and a random sample. Each was compared "
            "with all tokens; a larger clustering.searched_tokens covers more."
        )
    unknown = [short(probe) for probe in summary["unknown_probes"]]
    return f"{note} Not in the vocabulary of this model: {', '.join(unknown)}." if unknown else note


def undertrained_finding(tokens: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """How many tokens look untrained, and by which measure; `facts` are those of the summary."""
    method = f"Score: {facts['method']}."
    check = facts["held_out_auc"]
    if check is not None:
        method += (
            f" Check: a held-out reference row scores above another token in "
            f"{percent(check)} of the pairs (chance: 50 %)."
        )
    reference = tokens["reference"].fillna(False).astype(bool)
    if not reference.any():
        return method
    middle = tokens["undertrained_score"][reference].median()
    alike = tokens[tokens["undertrained_rank"].notna() & (tokens["undertrained_score"] >= middle)]
    return (
        f"{method} {plural(len(alike), 'other token')} reach{'es' * (len(alike) == 1)} the median "
        f"score of the reference rows and {integer(facts['above_lowest_reference'])} the lowest. "
        "Tokens with equal scores share a rank."
    )


def embedding_findings(
    summary: Mapping[str, Any], overview: pd.DataFrame, elbow: pd.DataFrame
) -> list[str]:
    """The main findings about the token embedding."""
    if overview.empty:
        return [as_sentence(summary.get("reason") or "this model has no token embedding")]
    worth = cluster_finding(summary, elbow)
    found = [worth] if worth else []
    cosine = summary["isotropy"]["mean_cosine"]
    if cosine is not None:
        cone = (
            "the vectors share a common direction"
            if cosine > 0.2
            else "the vectors share no strong common direction"
        )
        found.append(
            f"The mean cosine between two different tokens is {fixed(cosine)}: {cone}. Their "
            f"length is {with_spread(summary['mean_norm'], summary['std_norm'])} (mean ± std)."
        )
    odd = [
        f"{integer(summary[key])} {label}"
        for key, label in (
            ("duplicate_rows", "equal an earlier row"),
            ("zero_rows", "are all zero"),
            ("padding_rows", "have no token in the tokenizer"),
            ("left_out_rows", "are not finite and were left out"),
        )
        if summary.get(key)
    ]
    if odd:
        found.append(f"Of {integer(summary['rows'])} rows, {listed(odd)}.")
    largest = overview.loc[overview["size"].idxmax()]
    return [
        *found,
        f"Over all rows the clusters explain {percent(summary['explained_share'])} of the "
        f"variance{SPACES.get(summary['metric'], '')}, with a mean silhouette of "
        f"{_silhouette(summary)}; the largest has {percent(largest['share'])} of the "
        "rows.",
    ]


def _silhouette(summary: Mapping[str, Any]) -> str:
    value, error = summary["silhouette"], summary["silhouette_error"]
    return with_spread(value, error) if error else number(value)
