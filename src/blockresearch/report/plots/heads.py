"""Figures of report 25: maps of layers and heads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from blockresearch.report.plots import style
from blockresearch.report.plots.style import DIVERGING, HEAT, canvas, literal
from blockresearch.report.wording import by_component

# Column -> title, note below it, and the ends of the scale of colors.
MAPS = {
    "copying": ("Copying score", "1: writes what it reads", (-1.0, 1.0)),
    "qk_symmetry": ("QK symmetry", "1: symmetric", (-1.0, 1.0)),
    "slow_energy": ("Slow frequencies", "share of the scores", (0.0, 1.0)),
    "qk_share": ("QK effective rank", "share of the size of the head", (0.0, 1.0)),
    "ov_share": ("OV effective rank", "share of the size of the head", (0.0, 1.0)),
}

# Inches per layer of a map, if there is space, and of the tallest figure.
ROW, TALLEST = 0.21, 8.0


def head_maps(heads: pd.DataFrame, columns: Sequence[str]) -> Figure | None:
    """Heat maps of columns of MAPS: layers down, heads across, a row for each kind of attention.

    A column without values is left out. None if nothing is left.
    """
    rows = heads.assign(
        qk_share=heads["qk_effective_rank"] / heads["head_size"],
        ov_share=heads["ov_effective_rank"] / heads["head_size"],
    )
    columns = [name for name in columns if rows[name].notna().any()]
    if not columns:
        return None
    kinds = [
        (component, role, part)
        for component in by_component(rows["component"])
        for role, part in rows[rows["component"] == component].groupby("role", sort=True)
    ]
    depths = [part["layer_index"].nunique() for *_, part in kinds]
    height = min(max(ROW * sum(depths), 0.9), TALLEST)
    figure, panels = canvas(
        1.6 + 4.2 * len(columns),
        1.5 + 0.7 * len(kinds) + height,
        len(kinds),
        len(columns),
        height_ratios=[max(depth, 2) for depth in depths],
    )
    for place, name in enumerate(columns):
        title, about, (low, high) = MAPS[name]
        own = panels[place :: len(columns)]
        for panel, (component, role, part) in zip(own, kinds, strict=True):
            _map(panel, part, name, Normalize(low, high))
            panel.set_ylabel(literal(f"{component}, {role}") if len(kinds) > 1 else "layer")
            panel.set_xlabel("head")
        style.heading(own[0], title, about)
        bar = figure.colorbar(own[0].collections[0], ax=own, aspect=height / 0.16, pad=0.02)
        style.plain_ticks(bar.ax.yaxis)
    return figure


def _map(panel: Axes, part: pd.DataFrame, column: str, norm: Normalize) -> None:
    grid = part.pivot(index="layer_index", columns="head", values=column).astype(float)
    numbers = [int(number) for number in grid.index]
    panel.pcolormesh(
        np.ma.masked_invalid(grid.to_numpy()),
        cmap=DIVERGING if norm.vmin else HEAT,
        norm=norm,
        linewidths=0.4 if len(grid) <= 60 else 0,
        edgecolor="white",
    )
    panel.set(xlim=(0, grid.shape[1]), ylim=(grid.shape[0], 0))
    panel.spines[:].set_visible(False)
    style.hatch(panel)
    every = max(1, len(numbers) // 12)
    panel.set_yticks(np.arange(len(numbers))[::every] + 0.5, list(map(str, numbers[::every])))
    wide = max(1, grid.shape[1] // 12)
    heads = list(map(str, grid.columns))
    panel.set_xticks(np.arange(len(heads))[::wide] + 0.5, heads[::wide])
