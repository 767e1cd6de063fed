"""Sentences and tables about tokens: samples, neighbors, geometry, undertrained tokens."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.report.findings.tokens import compared
from blockresearch.report.wording import (
    fixed,
    integer,
    percent,
    plural,
    with_spread,
)
from blockresearch.text import short


def cluster_samples(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """How the clusters were compared, with standard errors; None if they were not."""
    row = compared(elbow)
    if row is None:
        return None
    return (
        f"Shares are means of {integer(summary['samples'])} "
        f"samples of {integer(summary['sample_rows'])} rows, and of "
        f"{integer(summary['null_samples'])} samples of the normal distribution. Clusterings of "
        "two samples agree with an adjusted Rand index of "
        f"{with_spread(row['stability'], row['stability_error'])} (1: identical); in the normal "
        f"distribution it is {with_spread(row['null_stability'], row['null_stability_error'])} "
        "(± standard error)."
    )


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
        "rows without a token in the tokenizer": lambda s: integer(s["unnamed_rows"]),
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
