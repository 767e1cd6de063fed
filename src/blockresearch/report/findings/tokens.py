"""Findings about the token embedding: clusters, directions, rows that are equal or have no name."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, declared, listed, say
from blockresearch.report.findings.record import Finding, Place
from blockresearch.report.wording import fixed, integer, number, percent, with_spread

# Metric of the clustering -> the vectors whose variance the clusters explain.
VARIANCES = {
    "spherical": "variance of the directions",
    "whitened": "variance of the whitened vectors",
}

# Key of the summary -> what is odd about so many rows.
ODD_ROWS = {
    "unnamed_rows": "{count} have no name in tokenizer.json",
    "duplicate_rows": "{count} equal an earlier row",
    "zero_rows": "{count} are all zero",
    "left_out_rows": "{count} are not finite and were left out",
}

# Mean silhouettes by Kaufman and Rousseeuw 1990, Finding Groups in Data, table 4: no substantial
# structure up to 0.25, a reasonable one from 0.5.
WEAK, REASONABLE = 0.25, 0.5

# Mean cosine of two rows from which they are said to share a direction.
COMMON = 0.1

# Adjusted Rand index between the clusters of two samples from which they are the same clusters.
STABLE = 0.8


def token_findings(
    manifest: Mapping[str, Any], summary: Mapping[str, Any], elbow: pd.DataFrame
) -> Iterator[Finding]:
    """The findings about the token embedding, most important first."""
    if "rows" not in summary:
        return
    place = Place(str(manifest["embedding"]))
    yield from clusters(summary, elbow, place)
    yield from odd_rows(summary, place)
    yield from directions(summary, place)


def compared(elbow: pd.DataFrame) -> pd.Series | None:
    """The row of the chosen number of clusters, if it was compared with one cloud."""
    rows = elbow[elbow["chosen"].fillna(False).astype(bool) & elbow["null_share"].notna()]
    return None if rows.empty else rows.iloc[0]


def verdict(silhouette: float, stability: float, is_beyond_null: bool) -> Sentence:
    """What the clusters are, decided by silhouette and agreement."""
    if stability >= STABLE and silhouette >= REASONABLE:
        return say("separate groups")
    if stability >= STABLE and silhouette > WEAK:
        return say("stable groups that overlap")
    return say(
        "not separate groups but slices of one cloud, which has more structure than a normal "
        "distribution"
        if is_beyond_null
        else "not separate groups but slices of one cloud"
    )


def clusters(summary: Mapping[str, Any], elbow: pd.DataFrame, place: Place) -> Iterator[Finding]:
    """Whether the clusters are separate."""
    row = compared(elbow)
    if row is None or summary["silhouette"] is None or pd.isna(row["stability"]):
        return
    silhouette, stability = float(summary["silhouette"]), float(row["stability"])
    found = verdict(silhouette, stability, bool(summary["beyond_null"]))
    yield Finding(
        "clusters",
        "tokens",
        "note",
        say(
            "The {k} clusters of tokens are {verdict}: mean silhouette {silhouette}, agreement of "
            "two samples (adjusted Rand index) {stability}. They explain {share} of the "
            "{variance}; {expected} is expected for a normal distribution of the same covariance.",
            k=integer(row["k"]),
            verdict=found,
            silhouette=fixed(silhouette),
            stability=fixed(stability),
            share=percent(row["sample_share"]),
            variance=declared(VARIANCES.get(summary["metric"], "variance")),
            expected=percent(row["null_share"]),
        ),
        (place,),
        "elbow.silhouette",
        silhouette,
        WEAK,
        why="Only separate clusters are groups of tokens; slices of one cloud change with the "
        "sample and with k.",
        action="Read the clusters as a rough map of the vocabulary."
        if found.startswith("not")
        else "Look at the typical tokens of each cluster.",
    )


def odd_rows(summary: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    """Rows that are equal, zero, without a name or not finite."""
    odd = [
        say(message, count=integer(summary[key]))
        for key, message in ODD_ROWS.items()
        if summary.get(key)
    ]
    if odd:
        yield Finding(
            "odd_rows",
            "tokens",
            "note",
            say(
                "Of {rows} rows of the token embedding, {odd}.",
                rows=integer(summary["rows"]),
                odd=listed(odd),
            ),
            (place,),
            None,
            float(sum(summary.get(key) or 0 for key in ODD_ROWS)),
            float(summary["rows"]),
            why="Rows without a name are padding, or tokens that the tokenizer adds in code."
            if summary.get("unnamed_rows")
            else "The model cannot distinguish equal rows. Most are tokens that no training text "
            "contains.",
            action="Compare the vocabulary sizes of config.json and of the tokenizer."
            if summary.get("unnamed_rows")
            else "Look for them among the tokens that look untrained.",
        )


def directions(summary: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    """The mean cosine of two rows, and their lengths."""
    cosine = summary["isotropy"]["mean_cosine"]
    if cosine is None:
        return
    yield Finding(
        "directions",
        "tokens",
        "note",
        say(
            "Token vectors have a mean cosine of {cosine} to one another (0: no common direction) "
            "and a length of {length} (mean ± std).",
            cosine=number(cosine, 2),
            length=with_spread(summary["mean_norm"], summary["std_norm"]),
        ),
        (place,),
        None,
        float(cosine),
        0.0,
        why="A common direction raises all cosines, so only differences between cosines count."
        if cosine >= COMMON
        else "Without a common direction, cosines of tokens can be compared directly.",
        action="Subtract the mean row before you compare tokens by cosine."
        if cosine >= COMMON
        else "",
    )
