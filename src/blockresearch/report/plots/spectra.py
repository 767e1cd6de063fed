"""Spectra of the first, middle and last layer, with the edge of noise."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from blockresearch.language.sentence import Sentence, declared, say
from blockresearch.report.blocks import ordered
from blockresearch.report.plots import style
from blockresearch.report.plots.style import (
    canvas,
    literal,
)

# Share of the largest singular value; smaller ones would compress the rest of the figure.
LOWEST = 1e-3


def with_spectra(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices of numbered layers that have singular values; of experts the first."""
    known = matrices[matrices["layer_index"].notna() & matrices["spectral_norm"].notna()]
    return known[known["expert_index"].isna() | (known["expert_index"] == 0)]


def spectra_shown(matrices: pd.DataFrame) -> list[str]:
    """The tensors whose singular values `spectra` shows."""
    known = with_spectra(matrices)
    return [] if known.empty else list(_first_middle_last(known)["param_name"].unique())


def chosen_for_spectra(data: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices of `spectra_shown` with `place` (first, middle, last) and their singular values,
    block types in the order in which data passes."""
    known = with_spectra(matrices)
    if known.empty:
        return known.assign(place=[], singular_values=[])
    chosen = _first_middle_last(known)
    table = chosen.merge(
        data, on=["param_name", "slice"], how="inner", suffixes=("", "_of_spectrum")
    )
    order = {block: place for place, block in enumerate(ordered(table["block_type"]))}
    return table.sort_values("block_type", key=lambda blocks: blocks.map(order), kind="stable")


def spectra(data: pd.DataFrame, matrices: pd.DataFrame) -> Figure | None:
    """Singular values of the first, middle and last layer on log axes, with the noise edge.

    `data` is the table spectra, of which the rows of `spectra_shown` suffice. One panel per block
    type; the dotted lines are the upper Marchenko-Pastur edges `matrices.mp_edge` of the same
    matrices.
    """
    table = chosen_for_spectra(data, matrices)
    blocks = ordered(table["block_type"])[:12]
    if not blocks:
        return None
    cols = min(4, len(blocks))
    rows = -(-len(blocks) // cols)
    figure, panels = canvas(max(6.6, 2.9 * cols + 0.6), 2.5 * rows + 0.7, rows, cols)
    hues = dict(zip(("first", "middle", "last"), ("#56b4e9", "#0072b2", "#d55e00"), strict=True))
    for panel, block in zip(panels, blocks, strict=False):
        for row in table[table["block_type"] == block].to_dict("records"):
            values = np.asarray(row["singular_values"], dtype=float)
            values = values[values > 0]
            panel.plot(
                np.arange(1, len(values) + 1), values, color=hues[row["place"]], linewidth=1.5
            )
            if pd.notna(row["mp_edge"]):
                panel.axhline(
                    row["mp_edge"], color=hues[row["place"]], linestyle=":", linewidth=1.1
                )
        panel.set_xscale("log")
        panel.set_yscale("log")
        low, high = panel.get_ylim()
        panel.set_ylim(max(low, high * LOWEST), high)
        style.plain_ticks(panel.xaxis)
        style.plain_ticks(panel.yaxis, True)
        panel.set_title(literal(block), fontsize=9.5)
    for panel in panels[len(blocks) :]:
        panel.axis("off")
    figure.supxlabel("number of the singular value (largest first)", fontsize=10)
    figure.supylabel("singular value σ", fontsize=10)
    several = with_spectra(matrices)["component"].nunique() > 1
    stack = str(table["component"].iloc[0]) if several else ""
    numbers = {str(place): own["layer_index"] for place, own in table.groupby("place")}
    handles = [
        Line2D([], [], color=hue, label=style.in_language(_layer(place, stack, numbers.get(place))))
        for place, hue in hues.items()
        if place in numbers
    ]
    handles.append(Line2D([], [], color="#555555", linestyle=":", label="noise edge"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def _first_middle_last(matrices: pd.DataFrame) -> pd.DataFrame:
    """The first matrix of each block type in its first, middle and last layer."""
    main = matrices.groupby("component").size().idxmax()
    known = matrices[matrices["component"] == main].sort_values("param_name", kind="stable")
    known = known.drop_duplicates(["block_type", "layer_index"]).sort_values("layer_index")
    picked = {
        rows[at]: place
        for rows in known.groupby("block_type").indices.values()
        for at, place in ((0, "first"), (-1, "last"), (len(rows) // 2, "middle"))[: len(rows)]
    }
    return known.iloc[list(picked)].assign(place=[*picked.values()]).reset_index(drop=True)


def _layer(place: str, stack: str, numbers: pd.Series | None) -> Sentence:
    """The name of the lines of one place in depth, with the numbers of their layers."""
    name = say("{place} layer", place=declared(place))
    if stack:
        name = say("{place} {component} layer", place=declared(place), component=stack)
    if numbers is None:
        return name
    low, high = int(numbers.min()), int(numbers.max())
    return say(
        "{name} ({low})" if low == high else "{name} ({low} to {high})",
        name=name,
        low=low,
        high=high,
    )
