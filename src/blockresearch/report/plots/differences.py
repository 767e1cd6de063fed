"""Figures of report 40: what changed between two checkpoints, over depth and in the spectra."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from blockresearch.language.sentence import say
from blockresearch.report.blocks import color, marker, ordered
from blockresearch.report.differences.heat import LEAST_SPAN
from blockresearch.report.figures.change_map import changes_by_layer
from blockresearch.report.figures.color_scales import ends
from blockresearch.report.plots.style import (
    HEAT,
    canvas,
    hatch,
    in_language,
    literal,
    plain_ticks,
)
from blockresearch.report.wording import by_component
from blockresearch.text import short

# Matrices whose spectra of Δ are drawn, in this order of colors.
SPECTRA = 6


# Metric -> title of its map.
MAPS = {"relative_change": say("Relative change"), "delta_storage_rank": say("Rank of the change")}


def change_maps(differences: pd.DataFrame, subspaces: pd.DataFrame) -> Figure | None:
    """Maps of relative change and rank of the change: layers down, kinds of matrices across.

    A row of maps for each component. None if no matrix in a numbered layer changed.
    """
    drawn = changes_by_layer(differences, subspaces)
    if drawn is None:
        return None
    shown = [metric for metric in MAPS if any(value for value in drawn["middle"].get(metric, ()))]
    columns = pd.DataFrame(drawn["columns"])
    cells = pd.DataFrame({name: drawn["cells"][name] for name in ("column", "layer")})
    cells = cells.join(columns, on="column")
    depths = cells.groupby("component")["layer"].agg(lambda layers: layers.max() - layers.min() + 1)
    tall = min(max(0.21 * depths.sum(), 0.9), 7.0)
    figure, panels = canvas(
        11.4,
        1.5 + 0.7 * len(depths) + tall,
        len(depths),
        len(shown),
        height_ratios=list(depths + 1),
    )
    for place, metric in enumerate(shown):
        cells["value"] = pd.Series(drawn["middle"][metric], dtype=float)
        low, high = ends(cells["value"][cells["value"] > 0].tolist(), True, LEAST_SPAN)
        own = panels[place :: len(shown)]
        for panel, (component, part) in zip(own, cells.groupby("component"), strict=True):
            grid = part.pivot(index="layer", columns="column", values="value")
            grid = grid.reindex(range(grid.index.min(), grid.index.max() + 1))
            mesh = panel.pcolormesh(
                np.arange(grid.shape[1] + 1),
                np.arange(grid.index[0], grid.index[-1] + 2) - 0.5,
                np.ma.masked_where(~(grid.to_numpy() > 0), grid.to_numpy()),
                cmap=HEAT,
                norm=LogNorm(low, high),
            )
            panel.invert_yaxis()
            hatch(panel)
            names = [literal(label) for label in columns["label"][grid.columns]]
            panel.set_xticks(np.arange(len(names)) + 0.5, names, rotation=40, ha="right")
            name = literal(drawn["components"][component])
            axis = say("{component} layer", component=name) if len(own) > 1 else say("layer")
            panel.set_ylabel(in_language(axis))
        own[0].set_title(in_language(MAPS[metric]))
        bar = figure.colorbar(mesh, ax=own, aspect=30, pad=0.02)
        plain_ticks(bar.ax.yaxis, logarithmic=True)
    return figure


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
