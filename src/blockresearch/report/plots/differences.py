"""Figures of report 40: what changed between two checkpoints, over depth and in the spectra."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from blockresearch.report.blocks import color, marker, ordered
from blockresearch.report.plots.style import canvas, literal, plain_ticks
from blockresearch.report.wording import by_component
from blockresearch.text import short

# Matrices whose spectra of Δ are drawn, in this order of colors.
SPECTRA = 6


def change_over_depth(differences: pd.DataFrame) -> Figure | None:
    """Relative change of the matrices by layer, a line for each block type (medians).

    A panel for each component. None if no matrix in a numbered layer changed.
    """
    known = differences[
        differences["layer_index"].notna()
        & differences["delta_spectral_norm"].notna()
        & (differences["relative_change"] > 0)
    ]
    components = by_component(known["component"].dropna())
    if not components:
        return None
    figure, panels = canvas(9, 3.4 * len(components), len(components))
    for panel, component in zip(panels, components, strict=True):
        own = known[known["component"] == component]
        for block in ordered(own["block_type"]):
            line = own[own["block_type"] == block].groupby("layer_index")["relative_change"]
            medians = line.median().astype(float)
            panel.plot(
                medians.index.astype(int),
                medians.to_numpy(),
                color=color(block),
                marker=marker(block),
                markersize=4,
                label=literal(block),
            )
        panel.set(title=literal(component), xlabel="layer", ylabel="relative change", yscale="log")
        panel.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        plain_ticks(panel.xaxis)
        plain_ticks(panel.yaxis, logarithmic=True)
    return figure


def delta_spectra(differences: pd.DataFrame) -> Figure | None:
    """Singular values of Δ of the most changed matrices; a dot marks the storage-aware rank.

    None if no matrix changed.
    """
    known = differences[differences["delta_spectral_norm"].fillna(0) > 0]
    known = known.sort_values("relative_change", ascending=False, kind="stable").head(SPECTRA)
    if known.empty:
        return None
    figure, (panel,) = canvas(9, 4)
    for row in known.to_dict("records"):
        values = np.asarray(row["delta_singular_values"], dtype=float)
        values = values[values > 0]
        (line,) = panel.plot(
            np.arange(1, len(values) + 1), values, label=literal(short(row["param_name"]), 48)
        )
        rank = row["delta_storage_rank"]
        if not pd.isna(rank) and 0 < rank <= len(values):
            panel.plot([rank], [values[int(rank) - 1]], "o", color=line.get_color(), markersize=7)
    panel.set(
        title="Singular values of the change",
        xlabel="number of the singular value",
        ylabel="singular value of Δ [w]",
        xscale="log",
        yscale="log",
    )
    panel.legend(loc="lower left")
    plain_ticks(panel.xaxis, logarithmic=True)
    plain_ticks(panel.yaxis, logarithmic=True)
    return figure
