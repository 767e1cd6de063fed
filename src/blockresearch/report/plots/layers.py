"""Figures over the depth of a model: layer maps, curves, normalization, experts."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from blockresearch.language.sentence import say
from blockresearch.report.blocks import ROLES, color, marker, ordered
from blockresearch.report.plots import style
from blockresearch.report.plots.style import (
    DIVERGING,
    HEAT,
    PALETTE,
    canvas,
    literal,
    message,
)
from blockresearch.report.wording import by_component, fixed
from blockresearch.tables.column import (
    SHARE,
    Column,
)
from blockresearch.tables.columns import (
    find_column,
)

# The effective rank of a matrix as a share of its smaller side; see `by_block`.
EFFECTIVE_SHARE = Column(
    "effective_share",
    "number",
    "mean effective rank as a share of the smaller side",
    SHARE,
    label="effective rank",
)


# Column -> note below its title, scale of the colors: `ratio` and `decibel` are relative to the
# median of the column of the map, because block types differ in more than layers do; `symlog` has
# the values themselves, is linear within ±1 and exaggerates no difference below 1.
MAPS = {
    "std": ("of the weights", "ratio"),
    "kurtosis_excess": ("0 for a normal distribution", "symlog"),
    "spectral_norm": ("largest singular value σ₁", "ratio"),
    "stable_rank": ("Σσ² / σ₁²", "ratio"),
    "effective_share": ("share of the smaller side", "ratio"),
    "alpha": ("of the power law fitted to the tail of σ²", "ratio"),
    "int4_g128_sym_sqnr_db": ("groups of 128", "decibel"),
    "nvfp4_sqnr_db": ("blocks of 16", "decibel"),
}


# Deviations from the median at the ends of the scale: a factor of 2^1.5, 3 dB.
DEVIATIONS = {"ratio": 1.5, "decibel": 3.0}


DEVIATION_TICKS: dict[str, dict[float, str]] = {
    "ratio": dict(
        zip(
            (-1.5, -1, -0.5, 0, 0.5, 1, 1.5),
            ("÷ 2.8", "÷ 2", "÷ 1.4", "median", "× 1.4", "× 2", "× 2.8"),
            strict=True,
        )
    ),
    "decibel": {-3: "−3 dB", -2: "−2", -1: "−1", 0: "median", 1: "+1", 2: "+2", 3: "+3 dB"},
}


# Ticks at round numbers.
ROUND: dict[str, Any] = {"nbins": 6, "steps": [1, 2, 5, 10]}


KEYS = ["component", "layer_index", "block_type", "role"]


# Inches per layer of a map, if there is space.
ROW = 0.21


TALLEST = 7.0


ANNOTATED_LAYERS = 16


# Rows of a map with a row for each layer number.
MOST_LAYERS = 2000


def layer_figures(layers: pd.DataFrame) -> dict[str, Figure]:
    """The layer maps that are separate files: `layers_std` and `layers_stable_rank`."""
    nothing = "This model has no numbered layers, so there is no map over depth."
    return {
        f"layers_{column}": layer_maps(layers, [column]) or message(nothing)
        for column in ("std", "stable_rank")
    }


def by_block(layers: pd.DataFrame, matrices: pd.DataFrame) -> pd.DataFrame:
    """The table layers with means over the matrices of each block that it does not have itself:
    the effective rank as a share of the smaller side, and rounding errors in decibel."""
    side = matrices[["rows", "cols"]].min(axis=1).astype("Float64")
    rounding = [name for name in MAPS if name.endswith("_sqnr_db")]
    own = matrices.assign(effective_share=matrices["effective_rank_sigma"] / side)
    means = own.groupby(KEYS, dropna=False)[["effective_share", *rounding]].mean().reset_index()
    return layers.merge(means, on=KEYS, how="left")


def with_labels(layers: pd.DataFrame) -> pd.DataFrame:
    """Blocks with matrices in numbered layers, and `label`: the block type, with its role in front
    if the model has several of the type."""
    rows = layers[layers["layer_index"].notna() & (layers["matrices"] > 0)]
    roles = rows["role"].fillna("")
    several = roles.groupby(rows["block_type"]).transform("nunique") > 1
    named = roles.where(roles == "", roles + " ") + rows["block_type"].astype(str)
    return rows.assign(label=named.where(several, rows["block_type"]))


def ordered_labels(rows: pd.DataFrame) -> list[str]:
    """The distinct labels of `with_labels` in the order in which data passes, the usual role
    first."""
    blocks = dict(zip(ordered(rows["block_type"]), itertools.count()))
    roles = dict(zip(ROLES, itertools.count()))
    found = rows.drop_duplicates("label")
    places = {
        label: (blocks[str(block)], roles.get(role, -1))
        for label, block, role in zip(
            found["label"], found["block_type"], found["role"], strict=True
        )
    }
    return sorted(places, key=lambda label: places[label])


def layer_maps(layers: pd.DataFrame, columns: Sequence[str]) -> Figure | None:
    """Heat maps of columns of the table layers (or `by_block`): layers down, blocks across.

    A map per column, side by side, and a row of them per component. Only blocks with matrices are
    shown; a column that no block has is left out. None if nothing is left.
    """
    rows = with_labels(layers)
    columns = [name for name in columns if rows[name].notna().any()]
    if rows.empty or not columns:
        return None
    parts = {name: rows[rows["component"] == name] for name in by_component(rows["component"])}
    depths = [len(_layer_numbers(part)) for part in parts.values()]
    blocks = max(part["label"].nunique() for part in parts.values())
    height = min(max(ROW * sum(depths), 0.9), TALLEST)
    width = max(3.4, 1.5 + 0.6 * blocks) if len(columns) == 1 else 4.9
    figure, panels = canvas(
        1.6 + width * len(columns),
        1.5 + 0.7 * len(parts) + height,
        len(parts),
        len(columns),
        height_ratios=[max(depth, 2) for depth in depths],
    )
    annotated = sum(depths) <= ANNOTATED_LAYERS and blocks * 0.45 <= width
    for place, column in enumerate(columns):
        about, scale = MAPS[column]
        norm = _color_scale(rows, column)
        own = panels[place :: len(columns)]
        for panel, (component, part), depth in zip(own, parts.items(), depths, strict=True):
            _map(panel, part, column, norm, annotated)
            _thin_rows(panel, part, height * depth / sum(depths))
            axis = say("layer")
            if len(parts) > 1:
                axis = say("{component} layer", component=literal(component))
            panel.set_ylabel(style.in_language(axis) if place == 0 else "")
        style.heading(own[0], _title(column), about)
        picture = own[0].collections[0]
        bar = figure.colorbar(picture, ax=own, aspect=height / 0.16, pad=0.02, extend="both")
        _bar_ticks(bar, norm, scale)
    return figure


def _title(name: str) -> str:
    """The title of a column, with a capital."""
    column = EFFECTIVE_SHARE if name == EFFECTIVE_SHARE.name else find_column("matrices", name)
    title = style.in_language(column.title)
    return title[0].upper() + title[1:]


def _bar_ticks(bar: Any, norm: Normalize, scale: str = "") -> None:
    """Ticks of a color bar at round numbers."""
    bar.outline.set_visible(False)
    if scale in DEVIATION_TICKS:
        bar.set_ticks(list(DEVIATION_TICKS[scale]), labels=list(DEVIATION_TICKS[scale].values()))
        return
    if type(norm) is Normalize:
        bar.locator = MaxNLocator(**ROUND)
    style.plain_ticks(bar.ax.yaxis, isinstance(norm, LogNorm))


def _color_scale(rows: pd.DataFrame, column: str) -> Normalize:
    """The scale of the colors of a map: that of `_deviations`, or of the values."""
    scale = MAPS[column][1]
    if scale in DEVIATIONS:
        return Normalize(-DEVIATIONS[scale], DEVIATIONS[scale])
    return _norm(rows[column].dropna().to_numpy(dtype=float), scale)


def _deviations(grid: pd.DataFrame, scale: str) -> pd.DataFrame:
    """What the colors of a map show: deviations from the median of each column, or the values."""
    if scale == "ratio":
        return np.log2((grid / grid.median()).where(grid > 0))
    return grid - grid.median() if scale == "decibel" else grid


def _map(panel: Axes, part: pd.DataFrame, column: str, norm: Normalize, annotated: bool) -> None:
    grid = part.pivot(index="layer_index", columns="label", values=column)
    grid = grid.reindex(_layer_numbers(part))[ordered_labels(part)].astype(float)
    scale = MAPS[column][1]
    text = fixed if scale == "symlog" else _short
    mesh = panel.pcolormesh(
        np.ma.masked_invalid(_deviations(grid, scale)),
        cmap=DIVERGING if scale in DEVIATIONS else HEAT,
        norm=norm,
        linewidths=0.4 if len(grid) <= 60 else 0,
        edgecolor="white",
    )
    panel.set(xlim=(0, grid.shape[1]), ylim=(grid.shape[0], 0))
    panel.spines[:].set_visible(False)
    if annotated:
        _write_cells(panel, mesh, _cell_texts(grid, text))
    style.hatch(panel)
    labels = [literal(label) for label in grid.columns]
    panel.set_xticks(np.arange(len(labels)) + 0.5, labels, rotation=40, ha="right")


def _layer_numbers(part: pd.DataFrame) -> list[int]:
    """All layers from the first to the last, so that a gap in the numbers shows as a gap."""
    first, last = int(part["layer_index"].min()), int(part["layer_index"].max())
    if last - first < MOST_LAYERS:
        return list(range(first, last + 1))
    return sorted(int(number) for number in part["layer_index"].unique())


def _norm(values: np.ndarray, scale: str) -> Normalize:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if scale == "symlog" and high - low < 1:
        middle = (low + high) / 2
        return Normalize(middle - 0.5, middle + 0.5)
    if scale == "log" and low > 0:
        if high < 1.2 * low:
            low, high = (low + high) / 2.2, (low + high) / 2 * 1.1
        elif high > 1.5 * low:
            return LogNorm(low, high)
    if scale == "symlog" and high > 20 * max(abs(low), 1):
        return SymLogNorm(1.0, vmin=low, vmax=high)
    if high <= low:
        margin = abs(low) / 10 or 1.0
        return Normalize(low - margin, high + margin)
    return Normalize(low, high)


def _write_cells(panel: Axes, mesh: QuadMesh, texts: np.ndarray) -> None:
    """Write `texts` [rows, cols] into the cells of a map, black on light ones and white on dark.

    Source: seaborn's `heatmap`, which takes longer to import than to draw all maps of a report.
    """
    mesh.update_scalarmappable()
    shares = np.asarray(mesh.get_facecolor(), float)[:, :3]
    linear = np.where(shares <= 0.03928, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    is_light = (linear @ [0.2126, 0.7152, 0.0722] > 0.408).reshape(texts.shape)
    for (row, col), text in np.ndenumerate(texts):
        shade = ".15" if is_light[row, col] else "w"
        panel.text(col + 0.5, row + 0.5, text, color=shade, ha="center", va="center", size=7)


def _cell_texts(grid: pd.DataFrame, text: Callable[[float], str]) -> np.ndarray:
    return np.array(
        [["" if np.isnan(value) else text(value) for value in row] for row in grid.to_numpy()]
    )


def _short(value: float) -> str:
    if 100 <= abs(value) < 1e4:
        return f"{value:.0f}"
    return f"{value:.1f}" if 1 <= abs(value) < 100 else f"{value:#.2g}"


def _thin_rows(panel: Axes, part: pd.DataFrame, inches: float) -> None:
    """Labels at every n-th layer of a map that is about `inches` high."""
    numbers = _layer_numbers(part)
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    step = next(step for step in steps if len(numbers) / step <= max(inches / 0.17, 2))
    places = range(0, len(numbers), step)
    panel.set_yticks([place + 0.5 for place in places])
    panel.set_yticklabels([str(numbers[place]) for place in places], rotation=0)


def depth_curves(layers: pd.DataFrame, metrics: Mapping[str, tuple[str, bool]]) -> Figure | None:
    """Columns of the table layers over depth; `metrics`: column -> (label, logarithmic).

    A row of panels per metric, a column of them per component.
    """
    rows = with_labels(layers)
    metrics = {name: how for name, how in metrics.items() if rows[name].notna().any()}
    if rows.empty or not metrics or rows["layer_index"].nunique() < 2:
        return None
    components = by_component(rows["component"])
    cols = len(components)
    figure, panels = canvas(
        10.4 if cols < 3 else 3.6 * cols,
        2.7 * len(metrics) + 0.3,
        len(metrics),
        cols,
        sharex="col",
        sharey="row",
    )
    seen: dict[str, Line2D] = {}
    for place, panel in enumerate(panels):
        component = components[place % cols]
        column, (label, logarithmic) = list(metrics.items())[place // cols]
        own = rows[rows["component"] == component]
        for label, line in own.groupby("label", sort=True):
            line = line[line[column].notna()].sort_values("layer_index")
            if line.empty:
                continue
            block, role = str(line["block_type"].iloc[0]), line["role"].iloc[0]
            (drawn,) = panel.plot(
                line["layer_index"].astype(float),
                line[column].astype(float),
                marker=marker(block),
                markersize=4 if len(line) <= 60 else 2,
                linewidth=1.3,
                linestyle="--" if label != block and role not in ("self", "routed") else "-",
                color=color(block),
            )
            seen.setdefault(str(label), drawn)
        if logarithmic:
            panel.set_yscale("log")
        panel.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
        if place % cols == 0:
            panel.set_ylabel(label)
        if place < cols and cols > 1:
            panel.set_title(literal(component))
        if place >= len(panels) - cols:
            panel.set_xlabel("layer (0 is next to the input)")
    for panel, (_, logarithmic) in zip(panels[::cols], metrics.values(), strict=True):
        style.plain_ticks(panel.yaxis, logarithmic)
    names = [label for label in ordered_labels(rows) if label in seen]
    figure.legend([seen[name] for name in names], names, loc="outside right upper")
    return figure


def norm_scales(params: pd.DataFrame, adds_one: bool = False) -> Figure | None:
    """Normalization scales γ over depth: median and 5 to 95 % range per kind of norm.

    One panel per component. If the model `adds_one`, a second axis shows 1 + γ, as applied.
    """
    rows = params[
        (params["block_type"] == "norm")
        & params["layer_index"].notna()
        & ~params["is_bias"].fillna(False)
        & params["q50"].notna()
    ]
    if rows.empty or rows["layer_index"].nunique() < 2:
        return None
    rows = rows.assign(kind=rows["projection"].fillna("norm"))
    components = by_component(rows["component"].fillna(""))
    hues = dict(zip(sorted(rows["kind"].unique()), itertools.cycle(PALETTE), strict=False))
    figure, panels = canvas(10.4, 3.8, cols=len(components))
    for panel, component in zip(panels, components, strict=True):
        for kind, own in rows[rows["component"].fillna("") == component].groupby("kind"):
            own = own.sort_values("layer_index")
            x, hue = own["layer_index"].astype(float), hues[kind]
            panel.plot(x, own["q50"].astype(float), color=hue, linewidth=1.6)
            low, high = own["q05"].astype(float), own["q95"].astype(float)
            panel.fill_between(x, low, high, color=hue, alpha=0.18, linewidth=0)
        panel.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
        panel.set_xlabel("layer (0 is next to the input)")
        if len(components) > 1:
            panel.set_title(literal(component))
    panels[0].set_ylabel("scale γ (as stored)")
    if adds_one:
        # The two axes belong to the same curves.
        applied = panels[-1].secondary_yaxis("right", functions=(_plus_one, _minus_one))
        applied.set_ylabel("1 + γ (as applied)")
    handles = [Line2D([], [], color=hue, label=literal(kind, 40)) for kind, hue in hues.items()]
    figure.legend(handles=handles, loc="outside right upper")
    return figure


def _plus_one(values: Any) -> Any:
    return values + 1


def _minus_one(values: Any) -> Any:
    return values - 1


def in_order(layers: pd.DataFrame) -> pd.DataFrame:
    """Blocks with matrices in numbered layers, in the order in which data passes through them."""
    rows = layers[layers["layer_index"].notna() & (layers["matrices"] > 0)]
    names = {
        "component": by_component(rows["component"]),
        "block_type": ordered(rows["block_type"]),
        "role": list(ROLES),
    }

    def place(column: pd.Series) -> pd.Series:
        order = names.get(str(column.name))
        return column.map(dict(zip(order, itertools.count()))) if order else column

    return rows.sort_values(KEYS, key=place)


def experts(matrices: pd.DataFrame, metrics: Mapping[str, str]) -> Figure | None:
    """Heat maps of layers by experts for columns of the table matrices (column -> label).

    A cell is the mean over the matrices of one expert. None without routed experts.
    """
    rows = matrices[matrices["expert_index"].notna() & matrices["layer_index"].notna()]
    metrics = {name: label for name, label in metrics.items() if rows[name].notna().any()}
    if rows.empty or not metrics:
        return None
    means = rows.groupby(["layer_index", "expert_index"])[list(metrics)].mean()
    layers, several = rows["layer_index"].nunique(), len(metrics) > 1
    width, height = 5.6 if several else 9.5, 1.9 + min(max(ROW * layers, 1.2), 9)
    figure, panels = canvas(width * len(metrics), height, cols=len(metrics), sharey=True)
    for panel, (column, label) in zip(panels, metrics.items(), strict=True):
        grid = means[column].unstack().astype(float)
        style.hatch(panel)
        norm = _norm(grid.to_numpy(), "log")
        picture = panel.pcolormesh(grid.to_numpy(), cmap=HEAT, norm=norm)
        across, down = _thinned(grid.columns), _thinned(grid.index)
        panel.set_xticks(across + 0.5, [str(number) for number in grid.columns[across]])
        panel.set_yticks(down + 0.5, [str(number) for number in grid.index[down]])
        panel.grid(False)
        panel.set_xlabel("expert")
        panel.set_title(label)
        panel.spines[:].set_visible(False)
        bar = figure.colorbar(picture, ax=panel, aspect=30, pad=0.02)
        _bar_ticks(bar, norm)
    panels[0].invert_yaxis()
    panels[0].set_ylabel("layer")
    return figure


def _thinned(labels: pd.Index) -> np.ndarray:
    return np.arange(0, len(labels), -(-len(labels) // 20))
