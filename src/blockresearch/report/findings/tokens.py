"""Findings about the token embedding: clusters, directions, rows that are equal or have no name."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from blockresearch.language.sentence import listed
from blockresearch.report.findings.record import Finding, Place
from blockresearch.report.wording import fixed, integer, number, percent, with_spread

# Metric of the clustering -> the vectors whose variance the clusters explain.
SPACES = {"spherical": " of the directions", "whitened": " of the whitened vectors"}

# Mean silhouettes by Kaufman and Rousseeuw 1990, Finding Groups in Data, table 4: no substantial
# structure up to 0.25, a reasonable one from 0.5.
WEAK, REASONABLE = 0.25, 0.5

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


def verdict(silhouette: float, stability: float, is_beyond_null: bool) -> str:
    """What the clusters are, decided by silhouette and agreement."""
    if stability >= STABLE and silhouette >= REASONABLE:
        return "separate groups"
    if stability >= STABLE and silhouette > WEAK:
        return "stable groups that overlap"
    more = ", which has more structure than a normal distribution" if is_beyond_null else ""
    return f"not separate groups but slices of one cloud{more}"


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
        f"The {integer(row['k'])} clusters of tokens are {found}: mean silhouette "
        f"{fixed(silhouette)}, agreement of two samples (adjusted Rand index) "
        f"{fixed(stability)}. They explain {percent(row['sample_share'])} of the "
        f"variance{SPACES.get(summary['metric'], '')}; {percent(row['null_share'])} is expected "
        "for a normal distribution of the same covariance.",
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
    kinds = {
        "unnamed_rows": "have no name in tokenizer.json",
        "duplicate_rows": "equal an earlier row",
        "zero_rows": "are all zero",
        "left_out_rows": "are not finite and were left out",
    }
    odd = [f"{integer(summary[key])} {words}" for key, words in kinds.items() if summary.get(key)]
    if odd:
        yield Finding(
            "odd_rows",
            "tokens",
            "note",
            f"Of {integer(summary['rows'])} rows of the token embedding, {listed(odd)}.",
            (place,),
            None,
            float(sum(summary.get(key) or 0 for key in kinds)),
            float(summary["rows"]),
            why="Rows without a name are padding, or tokens that the tokenizer adds in code; equal "
            "rows cannot be told apart by the model.",
            action="Compare the vocabulary sizes of config.json and of the tokenizer.",
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
        f"Token vectors have a mean cosine of {number(cosine, 2)} to one another (0: isotropic) "
        f"and a length of {with_spread(summary['mean_norm'], summary['std_norm'])} (mean ± std).",
        (place,),
        None,
        float(cosine),
        0.0,
        why="A common direction raises all cosines, so only differences between cosines count.",
        action="Subtract the mean row before you compare tokens by cosine.",
    )
