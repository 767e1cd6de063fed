"""Sentences and tables about tokens: samples, neighbors, geometry, undertrained tokens."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, enumerated, joined, say
from blockresearch.report.findings.tokens import compared
from blockresearch.report.findings.training import (
    ALIKE,
    REFERENCE_QUANTILE,
    are_control_tokens,
    least_score,
    looks_untrained,
)
from blockresearch.report.wording import (
    fixed,
    integer,
    percent,
    plural,
    with_spread,
)
from blockresearch.text import short


def rules(summary: Mapping[str, Any]) -> Sentence:
    """Why the tokens were clustered in that space, and how the number of clusters was chosen."""
    seed = say("Random seed: {seed}.", seed=summary["random_state"])
    return joined(summary["metric_rule"], summary["k_rule"], seed)


def cluster_samples(summary: Mapping[str, Any], elbow: pd.DataFrame) -> str | None:
    """How the clusters were compared, with standard errors; None if they were not."""
    row = compared(elbow)
    if row is None:
        return None
    return say(
        "Shares are means of {samples} samples of {rows} rows, and of {reference_samples} samples "
        "of the normal distribution. Clusterings of two samples agree with an adjusted Rand index "
        "of {stability} (1: identical); in the normal distribution it is {expected} (± standard "
        "error).",
        samples=integer(summary["samples"]),
        rows=integer(summary["sample_rows"]),
        reference_samples=integer(summary["null_samples"]),
        stability=with_spread(row["stability"], row["stability_error"]),
        expected=with_spread(row["null_stability"], row["null_stability_error"]),
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
        say("rows × dimensions"): lambda s: f"{integer(s['rows'])} × {integer(s['dimensions'])}",
        say("length of a row, mean ± std"): lambda s: with_spread(s["mean_norm"], s["std_norm"]),
        say("mean cosine of two rows"): lambda s: fixed(s["isotropy"]["mean_cosine"], 3),
        say("the same after subtracting the mean row"): lambda s: fixed(
            s["isotropy"]["mean_cosine_centred"], 3
        ),
        say("rows equal to an earlier one"): lambda s: integer(s["duplicate_rows"]),
        say("rows found with a neighbor at a cosine of 0.99 or more"): lambda s: integer(
            s["near_duplicate_rows"]
        ),
        say("share of such rows, from a random sample"): lambda s: say(
            "{share} of {sample} rows",
            share=_with_error(s),
            sample=integer(s["near_duplicate_sample"]),
        ),
        say("rows of zeros"): lambda s: integer(s["zero_rows"]),
        say("rows without a token in the tokenizer"): lambda s: integer(s["unnamed_rows"]),
        say("rows that are not finite"): lambda s: integer(s["left_out_rows"]),
    }
    texts = [
        {"what": label, **{name: text(side) for name, side in sides.items()}}
        for label, text in facts.items()
    ]
    return pd.DataFrame(texts, dtype=object)


def _with_error(facts: Mapping[str, Any]) -> str:
    share, error = facts["near_duplicate_share"], facts["near_duplicate_share_error"]
    return f"{percent(share)} ± {percent(error)}" if error else percent(share)


def neighbors_note(summary: Mapping[str, Any]) -> str:
    """Which tokens have neighbors, and which probe tokens do not exist in the model."""
    if "rows" not in summary:
        return ""
    searched, rows = summary["neighbours_searched"], summary["rows"]
    note = say("tokens.csv contains the nearest tokens of every token.")
    if searched < rows - summary["left_out_rows"]:
        note = say(
            "Nearest tokens were computed for {searched} of {rows} tokens: the probe tokens, those "
            "that look most untrained, and a random sample. Each was compared with all tokens; a "
            "larger clustering.searched_tokens covers more.",
            searched=integer(searched),
            rows=integer(rows),
        )
    unknown = [short(probe) for probe in summary["unknown_probes"]]
    if not unknown:
        return note
    absent = say("Not in the vocabulary of this model: {words}.", words=enumerated(unknown))
    return joined(note, absent)


def undertrained_finding(tokens: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """How many tokens look untrained, and by which measure; `facts` are those of the summary."""
    method = say("Score: {method}.", method=facts["method"])
    check = facts["held_out_auc"]
    if check is not None:
        checked = say(
            "Check: a held-out reference row scores above another token in {share} of the pairs "
            "(chance: 50 %).",
            share=percent(check),
        )
        method = joined(method, checked)
    reference = tokens["reference"].fillna(False).astype(bool)
    if not reference.any():
        return method
    middle = tokens["undertrained_score"][reference].median()
    alike = tokens[tokens["undertrained_rank"].notna() & (tokens["undertrained_score"] >= middle)]
    reached = say(
        "{tokens} reaches the median score of the reference rows and {lowest} the lowest. Tokens "
        "with equal scores share a rank."
        if len(alike) == 1
        else "{tokens} reach the median score of the reference rows and {lowest} the lowest. "
        "Tokens with equal scores share a rank.",
        tokens=plural(len(alike), "other token"),
        lowest=integer(facts["above_lowest_reference"]),
    )
    return joined(method, reached, _limit(tokens, facts))


def _limit(tokens: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """From which score findings call a token untrained; empty if the score cannot tell."""
    if looks_untrained(tokens, facts) is None:
        return ""
    score = f"{least_score(tokens):.4f}"
    if are_control_tokens(tokens):
        return say(
            "The findings above count tokens from a score of {score} on: {margin} below that "
            "median, because rows that training left alike differ by up to that much.",
            score=score,
            margin=f"{ALIKE:g}",
        )
    return say(
        "The findings above count tokens from a score of {score} on, which {share} of the "
        "reference rows reach.",
        score=score,
        share=percent(1 - REFERENCE_QUANTILE),
    )
