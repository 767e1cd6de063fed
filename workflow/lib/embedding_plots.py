"""Pictures of single tokens that the notebook shows: lengths, scores, embedding beside output."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from workflow.lib import style
from workflow.lib.style import PALETTE, canvas

BINS = 100
WINDOW_SHARE = 100
HUES = {"embedding": PALETTE[2], "output layer": PALETTE[5]}


def norms_by_id(tokens: pd.DataFrame, output_tokens: pd.DataFrame) -> Figure | None:
    """L2 norm of each token's row against its id, with the running median.

    One panel for the embedding, one for an output layer of its own; both are the table tokens.
    """
    parts = {
        title: part.dropna(subset=["norm"])
        for title, part in (("embedding", tokens), ("output layer", output_tokens))
    }
    parts = {title: part for title, part in parts.items() if len(part)}
    if not parts:
        return None
    figure, panels = canvas(10, 3.9, cols=len(parts))
    for panel, (title, part) in zip(panels, parts.items(), strict=True):
        ids = part["token_id"].to_numpy(dtype=float)
        norms = part["norm"].to_numpy(dtype=float)
        size = 2 if len(part) > 10_000 else 5
        panel.scatter(
            ids, norms, s=size, color=HUES[title], alpha=0.25, linewidths=0, rasterized=True
        )
        window = max(1, len(part) // WINDOW_SHARE)
        median = part["norm"].astype(float).rolling(window, center=True, min_periods=1).median()
        panel.plot(ids, median, color="#222222", linewidth=1.4, label="running median")
        reference = part["reference"].fillna(False).to_numpy(dtype=bool)
        if reference.any():
            panel.scatter(
                ids[reference],
                norms[reference],
                s=8,
                color=PALETTE[3],
                linewidths=0,
                rasterized=True,
                label="reference rows",
            )
        panel.set_xlabel("token id (small: frequent in most vocabularies)")
        panel.set_ylabel("L2 norm of the token's row")
        panel.set_ylim(0, 1.06 * float(norms.max()) or 1.0)
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.set_title(f"{title[0].upper()}{title[1:]}: {len(part):,} rows")
        panel.legend(markerscale=2)
    return figure


def scores(tokens: pd.DataFrame) -> Figure | None:
    """Histogram of the similarity to untrained rows, reference rows apart from the others."""
    known = tokens.dropna(subset=["undertrained_score"])
    if known.empty:
        return None
    values = known["undertrained_score"].to_numpy(dtype=float)
    reference = known["reference"].fillna(False).to_numpy(dtype=bool)
    edges = _edges(values)
    figure, (axes,) = canvas(8.6, 3.4)
    for label, mask, hue in (
        ("other tokens" if reference.any() else "tokens", ~reference, PALETTE[0]),
        ("reference rows", reference, PALETTE[3]),
    ):
        if mask.any():
            counts, _ = np.histogram(values[mask], edges)
            axes.stairs(counts, edges, color=hue, linewidth=1.6, label=f"{label} ({mask.sum():,})")
    _counts_axis(axes)
    axes.set_xlabel("score: similarity to untrained rows")
    axes.set_title("Which tokens look untrained")
    axes.legend()
    return figure


def output_cosines(tokens: pd.DataFrame) -> Figure | None:
    """Histogram of the cosine between the two rows of each token, embedding and output layer."""
    values = tokens["output_cosine"].dropna().to_numpy(dtype=float)
    if not values.size:
        return None
    figure, (axes,) = canvas(8.6, 3.4)
    counts, edges = np.histogram(values, _edges(values))
    axes.stairs(counts, edges, color=PALETTE[0], linewidth=1.6)
    axes.axvline(0, color="#999999", linewidth=0.8)
    _counts_axis(axes)
    axes.set_xlabel("cosine between a token's rows in the embedding and in the output layer")
    axes.set_title(f"The two rows of {len(values):,} tokens: median cosine {np.median(values):.3f}")
    return figure


def spectra_pair(spectra: pd.DataFrame, embedding: str | None, output: str | None) -> Figure | None:
    """Singular values of the embedding and, where it is a matrix of its own, the output layer.

    Left as they are, right as shares of σ², summed up from the largest. `spectra` is the table.
    """
    found = {}
    for title, name in (("embedding", embedding), ("output layer", output)):
        own = spectra[spectra["param_name"] == name]
        values = np.asarray(own["singular_values"].iloc[0] if len(own) else [], dtype=float)
        if (values > 0).any():
            found[title] = values
    if not found:
        return None
    figure, (left, right) = canvas(10, 3.7, cols=2)
    for title, values in found.items():
        numbers = np.arange(1, len(values) + 1)
        positive = values > values.max() * 1e-7
        left.plot(numbers[positive], values[positive], color=HUES[title], label=title)
        energy = np.cumsum(values**2) / (values**2).sum()
        right.plot(numbers, energy, color=HUES[title], label=title)
    left.set_xscale("log")
    left.set_yscale("log")
    style.plain_ticks(left.xaxis)
    style.plain_ticks(left.yaxis, True)
    left.set_xlabel("number of the singular value (largest first)")
    left.set_ylabel("singular value σ")
    left.set_title("Singular values")
    right.set_xlabel("number of directions")
    right.set_ylabel("share of Σσ² in them")
    right.set_ylim(0, 1.02)
    right.set_title("How many directions hold the energy")
    for panel in (left, right):
        panel.legend()
    return figure


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _counts_axis(axes) -> None:
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0)
    style.plain_ticks(axes.yaxis)
    axes.set_ylabel("tokens per bin (logarithmic above 1)")
