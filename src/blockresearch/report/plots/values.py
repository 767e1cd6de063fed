"""Figures of all weights by block type: sizes, distributions, ranks, information."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from blockresearch.language.sentence import declared, say
from blockresearch.report.blocks import color, marker, ordered
from blockresearch.report.figures.rows import LINEAR_TAIL
from blockresearch.report.findings.formats import by_block
from blockresearch.report.plots import style
from blockresearch.report.plots.style import PALETTE, canvas, literal
from blockresearch.report.values import Measure, entropy_by_block, parameters_by_type
from blockresearch.report.wording import aligned
from blockresearch.safetensors.dtypes import DTYPES, code_values
from blockresearch.tables.value_columns import (
    QUANTILES,
)

BINS = 160

MANY = 4000

# Standard deviations beyond which a linear axis would flatten the other lines.
WIDE_TAILS = 3

# Columns of `values.entropy_by_block` that are parts of a code, and their colors.
FIELDS = {
    "sign": (say("sign"), PALETTE[3]),
    "exponent": (say("exponent"), PALETTE[1]),
    "mantissa": (say("mantissa"), PALETTE[4]),
}
STORED = PALETTE[5]


def parameters_by_block(params: pd.DataFrame) -> Figure | None:
    """Parameters per block type (bars, shares) and, if there are several, per stored type.

    None if no tensor was measured.
    """
    if params.empty:
        return None
    counts = parameters_by_type(params)
    unit, divisor = count_unit(float(counts.sum(axis=1).max()))
    by_type = counts.sum().sort_values(ascending=False)
    several = len(by_type) > 1
    rows = max(len(counts), len(by_type))
    height = 1.3 + 0.34 * rows
    figure, (left, *others) = canvas(
        10 if several else 7.6, height, cols=1 + several, width_ratios=[2.4, 1][: 1 + several]
    )
    totals = counts.sum(axis=1)
    left.barh(range(len(totals)), totals / divisor, color=[color(block) for block in totals.index])
    share = totals / max(totals.sum(), 1)
    for place, value in enumerate(totals):
        left.text(
            value / divisor, place, f"  {share_text(share.iloc[place])}", va="center", fontsize=9
        )
    left.set_yticks(range(len(totals)), [literal(block) for block in totals.index])
    left.set_ylim(rows - 0.5, -0.5)
    left.margins(x=0.14)
    left.set_xlabel(
        style.in_language(say("parameters ({unit})", unit=declared(unit)))
        if unit
        else say("parameters")
    )
    left.grid(axis="y", visible=False)  # it would strike the shares through
    title = say("By block type")
    if not several:
        title = say("By block type, all stored as {type}", type=literal(by_type.index[0]))
    left.set_title(style.in_language(title))
    for right in others:
        right.barh(range(len(by_type)), by_type / by_type.sum(), color="#777777", height=0.5)
        right.set_yticks(range(len(by_type)), [literal(name) for name in by_type.index])
        right.set_ylim(rows - 0.5, -0.5)
        right.set_xlim(0, 1)
        right.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        right.grid(axis="y", visible=False)
        right.set_xlabel("share of the parameters")
        right.set_title("By stored type")
    return figure


def distributions(pooled: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure | None:
    """Exact density of the weights per block type, over all its matrices, with a normal curve.

    `pooled` are the `pooled_values`, arrays [n]. None if no type of 16 bits or fewer is stored
    (wider types have no exact histogram).
    """
    if not pooled:
        return None
    # As few empty panels as possible.
    cols = min(len(pooled), min((4, 3), key=lambda cols: -len(pooled) % cols))
    rows = -(-len(pooled) // cols)
    width, height = (5.6, 3.2) if len(pooled) == 1 else (2.9 * cols, max(2.3 * rows + 0.4, 3.2))
    figure, panels = canvas(width, height, rows, cols)
    for panel, block in zip(panels, ordered(pooled), strict=False):
        values, counts = pooled[block]
        total = counts.sum()
        mean = float(values @ counts / total)
        std = float(np.sqrt(((values - mean) ** 2) @ counts / total))
        edges = _edges(values)
        inside, _ = np.histogram(values, edges, weights=counts)
        density = inside / total / np.diff(edges)
        panel.stairs(density, edges, fill=True, color=color(block), alpha=0.75, baseline=1e-300)
        floor = density[density > 0].min() / 3
        top = density.max() * 3
        if std > 0:
            x = np.linspace(edges[0], edges[-1], 400)
            peak = 1 / (std * np.sqrt(2 * np.pi))
            normal = peak * np.exp(-(((x - mean) / std) ** 2) / 2)
            panel.plot(x, normal, color="black", linewidth=1.1, linestyle="--")
            top = max(top, peak * 3)
        panel.set_yscale("log")
        panel.set_ylim(floor, top)
        style.plain_ticks(panel.yaxis)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_title(f"{literal(block)}: std {aligned(std)}", fontsize=9.5)
    for panel in panels[len(pooled) :]:
        panel.axis("off")
    figure.supxlabel("weight w", fontsize=10)
    figure.supylabel("density (share per unit of w), logarithmic", fontsize=10)
    return figure


def quantile_plot(matrices: pd.DataFrame) -> Figure | None:
    """Deviation of quantiles of the standardized weights from those of a normal distribution."""
    rows = matrices[matrices["std"].fillna(0) > 0]
    if rows.empty:
        return None
    figure, (axes,) = canvas(7.6, 4.6)
    x = np.array([NormalDist().inv_cdf(share) for share in QUANTILES.values()])
    blocks = rows["block_type"].fillna("other")
    for block in ordered(blocks):
        own = rows[blocks == block]
        standard = own[list(QUANTILES)].sub(own["mean"], axis=0).div(own["std"], axis=0)
        line = standard.astype(float).median() - x
        axes.plot(x, line, marker=marker(block), color=color(block), markersize=5, label=block)
    axes.axhline(0, linestyle="--", color="black", linewidth=1, label="normal")
    axes.set_xticks(x, [f"{share * 100:g} %" for share in QUANTILES.values()], rotation=40)
    axes.set_xlabel("cumulative share (normal-probability axis)")
    label = say("quantile minus normal quantile\n(standard deviations)")
    if max(map(abs, axes.get_ylim())) > WIDE_TAILS:
        axes.set_yscale("symlog", linthresh=1)
        axes.margins(y=0.08)
        style.plain_ticks(axes.yaxis)
        label = say("quantile minus normal quantile\n(standard deviations, logarithmic beyond ±1)")
    axes.set_ylabel(label)
    axes.set_title("Deviation of the quantiles from a normal distribution")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def strips(data: pd.DataFrame, measures: Sequence[Measure]) -> Figure | None:
    """One point per row of `data`, grouped by block type, bars at the medians; a panel per measure.

    A measure that no row has is left out; None if none remains. A logarithmic axis omits values of
    zero or less.
    """
    positive = {"log": 0.0}
    columns = {
        measure: data.loc[
            data[measure.column] > positive.get(measure.scale, -np.inf), measure.column
        ].dropna()
        for measure in measures
    }
    columns = {measure: values for measure, values in columns.items() if len(values)}
    if not columns:
        return None
    from seaborn import stripplot

    named = data["block_type"].fillna("other").astype(str)
    blocks = ordered(named[sorted(set().union(*(values.index for values in columns.values())))])
    wide = {1: 8.6, 2: 10.4}.get(len(columns), 11.5)
    figure, panels = canvas(wide, 1.3 + 0.34 * max(len(blocks), 2), cols=len(columns), sharey=True)
    for panel, (measure, values) in zip(panels, columns.items(), strict=True):
        values = values.astype(float)
        groups = values.groupby(named[values.index])
        medians = groups.median()[groups.size() > 1]
        shown = values.iloc[:: -(-len(values) // MANY)]
        stripplot(
            x=shown.to_numpy(),
            y=named[shown.index].to_numpy(),
            order=blocks,
            hue=named[shown.index].to_numpy(),
            hue_order=blocks,
            palette={block: color(block) for block in blocks},
            size=4.5,
            alpha=0.75 if len(shown) <= 30 * len(blocks) else 0.3,
            jitter=False,
            legend=False,
            ax=panel,
        )
        for place, block in enumerate(blocks):
            if block in medians:
                ends = [place - 0.34, place + 0.34]
                panel.plot([medians[block]] * 2, ends, color="black", linewidth=1.6)
        panel.set_xlabel(measure.label)
        _scale(panel, measure.scale, values)
        panel.set_ylabel("")
        panel.set_title(measure.title)
    panels[0].set_yticks(range(len(blocks)), [literal(block) for block in blocks])
    panels[0].set_ylim(len(blocks) - 0.5, -0.5)
    return figure


def _scale(panel: Axes, scale: str, values: pd.Series) -> None:
    if scale == "tails" and values.abs().max() <= LINEAR_TAIL:
        scale = "linear"
    if scale == "share":
        panel.set_xlim(-0.02, 1.02)
        # The numbers of four panels side by side would run together.
        panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    elif scale == "log":
        panel.set_xscale("log")
        style.plain_ticks(panel.xaxis, True)
    elif scale == "tails":
        panel.set_xscale("symlog", linthresh=1)
        label = declared(panel.get_xlabel())
        panel.set_xlabel(style.in_language(say("{label}, logarithmic beyond ±1", label=label)))
        style.plain_ticks(panel.xaxis)
    else:
        panel.xaxis.set_major_locator(MaxNLocator(5))


def rounding(matrices: pd.DataFrame) -> Figure | None:
    """Heat map of the signal-to-rounding-error ratio in decibel: block types by formats.

    A cell is the ratio of all weights of its block type together, by their energy.
    """
    grid = by_block(matrices)
    if grid.empty:
        return None
    figure, (axes,) = canvas(9.4, 1.7 + 0.32 * max(len(grid), 2))
    from seaborn import heatmap

    heatmap(
        grid,
        ax=axes,
        cmap=style.HEAT,
        annot=True,
        fmt=".1f",
        annot_kws={"size": 8.5},
        linewidths=0.6,
        cbar_kws={"label": "dB", "pad": 0.02},
        # To check whether they overlap, seaborn would keep an image of the figure for each label.
        xticklabels=False,
        yticklabels=False,
    )
    style.hatch(axes)
    axes.set_xlabel("")
    axes.set_ylabel("")
    axes.set_yticks(np.arange(len(grid.index)) + 0.5)
    axes.set_yticklabels([literal(name) for name in grid.index], rotation=0)
    axes.set_xticks(np.arange(len(grid.columns)) + 0.5)
    axes.set_xticklabels(grid.columns, rotation=25, ha="right")
    axes.set_title("Signal-to-rounding-error ratio in dB of all weights of a block type")
    return figure


def entropy(params: pd.DataFrame) -> Figure | None:
    """Entropy of the stored codes in bits per weight, by field, next to the stored bits."""
    table = entropy_by_block(params)
    if table.empty:
        return None
    blocks = table.index
    figure, (axes,) = canvas(8.6, 1.5 + 0.36 * max(len(blocks), 3))
    for place, bits in enumerate(table.to_dict("records")):
        left = 0.0
        for name, (_, hue) in FIELDS.items():
            if not math.isnan(bits[name]):
                axes.barh(place, bits[name], left=left, color=hue, height=0.62)
                left += bits[name]
        ends = [place - 0.4, place + 0.4]
        axes.plot([bits["whole"]] * 2, ends, color="black", linewidth=2)
        axes.plot([bits["stored"]] * 2, ends, color=STORED, linewidth=2)
    axes.set_xlim(0, table["stored"].max() * 1.05)
    axes.set_yticks(range(len(blocks)), [literal(block) for block in blocks])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("bits per weight")
    axes.set_title("Information in the stored codes")
    handles = [Line2D([], [], color=hue, linewidth=7, label=name) for name, hue in FIELDS.values()]
    handles += [
        Line2D([], [], color="black", linewidth=2, label="entropy of the whole code"),
        Line2D([], [], color=STORED, linewidth=2, label="bits stored"),
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def share_text(value: float) -> str:
    """A share in percent in few characters."""
    return "< 0.1 %" if 0 < value < 0.001 else f"{value * 100:.1f} %".replace("100.0", "100")


def count_unit(largest: float) -> tuple[str, float]:
    """The unit in which a count has few digits, and its size; empty and 1 for small counts."""
    units = ((say("billions"), 1e9), (say("millions"), 1e6), (say("thousands"), 1e3))
    for name, size in units:
        if largest >= size:
            return name, size
    return "", 1.0


def pooled_values(
    params: pd.DataFrame, histograms: Iterable[pd.DataFrame]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per block type: the finite values of its matrices, ascending [n], with their counts [n]."""
    wanted = params[(params["cols"].fillna(0) > 1) & (params["rows"].fillna(0) > 1)]
    blocks = dict(zip(wanted["param_name"], wanted["block_type"].fillna("other"), strict=True))
    totals: dict[tuple[str, str], np.ndarray] = {}
    for row in (row for piece in histograms for row in piece.to_dict("records")):
        if row["param_name"] in blocks:
            dtype = str(row["dtype"])
            size = 2 ** DTYPES[dtype].bits
            total = totals.setdefault(
                (blocks[row["param_name"]], dtype), np.zeros(size, dtype=np.int64)
            )
            total[np.asarray(row["codes"])] += np.asarray(row["counts"])
    pooled: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for block in ordered(block for block, _ in totals):
        values: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        for (name, dtype), count in totals.items():
            if name == block:
                value = code_values(dtype)
                present = (count > 0) & np.isfinite(value)
                values.append(value[present])
                counts.append(count[present])
        if sum(map(len, values)):
            merged, places = np.unique(np.concatenate(values), return_inverse=True)
            pooled[block] = merged, np.bincount(places, weights=np.concatenate(counts))
    return pooled


def _edges(values: np.ndarray) -> np.ndarray:
    """Bin edges: evenly spaced, or halfway between neighbors if there are few values."""
    if len(values) == 1:
        return values[0] + np.array([-0.5, 0.5])
    if len(values) <= BINS:
        middle = (values[1:] + values[:-1]) / 2
        return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.linspace(values[0], np.nextafter(values[-1], np.inf), BINS + 1)
