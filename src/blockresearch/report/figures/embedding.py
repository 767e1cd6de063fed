"""Charts of the token embedding: number of clusters, lengths, untrained tokens, output layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.figures.charts import Axis, Chart, Mark, Panel, Series, numbers, positive
from blockresearch.report.figures.details import positions
from blockresearch.report.plots.style import PALETTE
from blockresearch.report.wording import integer

GRAY = "#777777"

BINS = 100

# Places at which the norms over the ids are shown.
PLACES = 400

HUES = {"embedding": PALETTE[2], "output": PALETTE[5]}


def elbow_chart(table: pd.DataFrame) -> Chart | None:
    """What clusters explain, and how stable they are, by their number; the chosen one marked."""
    if table.empty:
        return None
    k = numbers(table["k"])
    chosen = [value for value, is_it in zip(k, table["chosen"].fillna(False), strict=True) if is_it]
    marks = tuple(Mark(PALETTE[5], say("chosen number"), x=value) for value in chosen[:1])
    clusters = Axis(say("number of clusters k"))
    lines = {
        "explained_share": (say("all tokens"), PALETTE[0], False),
        "null_share": (say("reference: a normal distribution"), GRAY, True),
    }
    indices = {
        "stability": (say("stability (adjusted Rand)"), PALETTE[0], False),
        "null_stability": (say("stability of the reference"), GRAY, True),
        "silhouette": (say("silhouette"), PALETTE[2], False),
    }
    panels = [
        Panel(title, clusters, Axis(unit), series, marks)
        for title, unit, named in (
            (say("Variance that the clusters explain"), say("share of the variance"), lines),
            (say("Silhouette and stability"), say("index (1 is best)"), indices),
        )
        if (series := _columns(table, k, named))
    ]
    return Chart("elbow", tuple(panels)) if panels else None


def _columns(
    table: pd.DataFrame, k: list[Any], named: Mapping[str, tuple[str, str, bool]]
) -> tuple[Series, ...]:
    return tuple(
        Series(label, hue, k, numbers(table[name]), dash=dash)
        for name, (label, hue, dash) in named.items()
        if table[name].notna().any()
    )


def length_chart(clusters: pd.DataFrame) -> Chart | None:
    """Histogram of the L2 norms of the embedding's rows, one curve per kind of token."""
    rows = clusters[clusters["norm"].notna()]
    kinds = rows["kind"].fillna("normal")
    groups = {str(kind): rows["norm"][kinds == kind] for kind in sorted(kinds.unique())}
    return _histograms(
        "lengths",
        say("Lengths of the token vectors by kind of token"),
        say("L2 norm of the token's vector"),
        groups,
    )


def score_chart(tokens: pd.DataFrame) -> Chart | None:
    """Histogram of the similarity to untrained rows, reference rows apart from the others."""
    known = tokens[tokens["undertrained_score"].notna()]
    reference = known["reference"].fillna(False).astype(bool)
    groups = {
        say("other tokens") if reference.any() else say("tokens"): known[~reference],
        say("reference rows"): known[reference],
    }
    return _histograms(
        "untrained",
        say("Which tokens look untrained"),
        say("score: similarity to untrained rows"),
        {name: own["undertrained_score"] for name, own in groups.items()},
    )


def cosine_chart(tokens: pd.DataFrame) -> Chart | None:
    """Histogram of the cosine between the two rows of each token, embedding and output layer."""
    return _histograms(
        "cosines",
        say("Rows of a token in the embedding and in the output layer"),
        say("cosine between the two rows"),
        {say("tokens"): tokens["output_cosine"]},
    )


def _histograms(name: str, title: str, unit: str, groups: Mapping[str, pd.Series]) -> Chart | None:
    """Histograms of several groups over the same bins; None without values."""
    found = {}
    for label, values in groups.items():
        known = values.dropna().to_numpy(dtype=float)
        known = known[np.isfinite(known)]
        if len(known):
            found[label] = known
    if not found:
        return None
    low, high = min(map(np.min, found.values())), max(map(np.max, found.values()))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    series = []
    for place, (label, values) in enumerate(found.items()):
        counts, _ = np.histogram(values, edges)
        named = say("{group} ({count})", group=label, count=integer(len(values)))
        # Each count from the left to the right edge of its bin.
        heights = positive([*counts, counts[-1]])
        hue = PALETTE[place % len(PALETTE)]
        series.append(Series(named, hue, numbers(edges), heights, kind="steps"))
    y = Axis(say("tokens per bin"), log=True, least=0.7)
    return Chart(name, (Panel(title, Axis(unit), y, tuple(series)),), cols=1)


def norm_by_id_chart(tokens: pd.DataFrame, output_tokens: pd.DataFrame) -> Chart | None:
    """Norms of the rows over the token ids: median, and the range of 90 % of the rows nearby."""
    panels = []
    for side, title, part in (
        ("embedding", say("Embedding"), tokens),
        ("output", say("Output layer"), output_tokens),
    ):
        part = part.dropna(subset=["norm"])
        if part.empty:
            continue
        groups = np.array_split(np.arange(len(part)), min(PLACES, len(part)))
        ids = part["token_id"].to_numpy(dtype=float)
        norms = part["norm"].to_numpy(dtype=float)
        x = numbers(float(ids[group].mean()) for group in groups)
        quantiles = np.array([np.quantile(norms[group], [0.05, 0.5, 0.95]) for group in groups])
        labels = (say("5 %"), say("median"), say("95 %"))
        hues = ("#999999", HUES[side], "#999999")
        panels.append(
            Panel(
                title,
                Axis(say("token id (small: frequent in most vocabularies)")),
                Axis(say("L2 norm of the token's row")),
                tuple(
                    Series(label, hue, x, numbers(quantiles[:, place]), dash=place != 1)
                    for place, (label, hue) in enumerate(zip(labels, hues, strict=True))
                ),
            )
        )
    return Chart("norms-by-id", tuple(panels), cols=len(panels)) if panels else None


def spectra_pair_chart(
    spectra: pd.DataFrame, embedding: str | None, output: str | None
) -> Chart | None:
    """Singular values of the embedding and of an untied output layer, and their energy."""
    values_of, shares_of = [], []
    for label, hue, name in (
        (say("embedding"), HUES["embedding"], embedding),
        (say("output layer"), HUES["output"], output),
    ):
        own = spectra[spectra["param_name"] == name]
        values = np.asarray(own["singular_values"].iloc[0] if len(own) else [], dtype=float)
        if not (values > 0).any():
            continue
        at = positions(len(values))
        energy = np.cumsum(values**2) / (values**2).sum()
        values_of.append(Series(label, hue, at.tolist(), positive(values[at - 1])))
        evenly = np.unique(np.linspace(1, len(values), 200).astype(int))
        shares_of.append(Series(label, hue, evenly.tolist(), numbers(energy[evenly - 1])))
    if not values_of:
        return None
    number = Axis(say("number of the singular value"), log=True)
    sigma = Axis(say("singular value σ"), log=True, least=1e-7)
    directions, share = Axis(say("number of directions")), Axis(say("share of Σσ² in them"))
    return Chart(
        "spectra-of-tokens",
        (
            Panel(say("Singular values"), number, sigma, tuple(values_of)),
            Panel(say("Energy in the leading directions"), directions, share, tuple(shares_of)),
        ),
    )
