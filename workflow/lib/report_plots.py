"""Pictures that only the notebooks show: distributions, ranks, entropy, depth, spectra, experts."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import norm as normal

from workflow.lib import style
from workflow.lib.dtypes import DTYPES, code_values
from workflow.lib.style import PALETTE, canvas, colour, literal, marker, ordered

QUANTILES = {
    "q001": 0.001,
    "q01": 0.01,
    "q05": 0.05,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q95": 0.95,
    "q99": 0.99,
    "q999": 0.999,
}
BINS = 160
MANY = 4000


def parameters_by_block(params: pd.DataFrame) -> Figure:
    """Parameters per block type (bars, shares) and per stored type."""
    data = params.assign(block_type=params["block_type"].fillna("other"))
    counts = data.pivot_table(index="block_type", columns="dtype", values="numel", aggfunc="sum")
    counts = counts.fillna(0).astype(float).reindex(ordered(data["block_type"]))
    unit, divisor = _unit(float(counts.sum(axis=1).max()))
    figure, (left, right) = canvas(
        10, 1.5 + 0.34 * max(len(counts), 4), cols=2, width_ratios=[2.4, 1]
    )
    totals = counts.sum(axis=1)
    left.barh(range(len(totals)), totals / divisor, color=[colour(block) for block in totals.index])
    share = totals / max(totals.sum(), 1)
    for place, value in enumerate(totals):
        left.text(value / divisor, place, f"  {_share(share.iloc[place])}", va="center", fontsize=9)
    left.set_yticks(range(len(totals)), [literal(block) for block in totals.index])
    left.invert_yaxis()
    left.margins(x=0.14)
    left.set_xlabel(f"parameters ({unit})")
    left.set_title("By block type")
    by_type = counts.sum().sort_values(ascending=False)
    right.barh(range(len(by_type)), by_type / by_type.sum(), color="#777777", height=0.5)
    right.set_yticks(range(len(by_type)), [literal(name) for name in by_type.index])
    right.set_ylim(max(len(by_type), 3) - 0.5, -0.5)
    right.set_xlim(0, 1)
    right.xaxis.set_major_formatter(PercentFormatter(1))
    right.set_xlabel("share of the parameters")
    right.set_title("By stored type")
    return figure


def distributions(params: pd.DataFrame, histograms: pd.DataFrame) -> Figure | None:
    """Exact density of the weights per block type, over all its matrices, with a normal curve.

    None where no type of 16 bits or fewer is stored (wider types have no exact histogram).
    """
    pooled = _pooled_values(params, histograms)
    if not pooled:
        return None
    cols = min(4, len(pooled))
    rows = -(-len(pooled) // cols)
    figure, panels = canvas(2.9 * cols, 2.3 * rows + 0.4, rows, cols)
    for panel, block in zip(panels, ordered(pooled), strict=False):
        values, counts = pooled[block]
        total = counts.sum()
        mean = float(values @ counts / total)
        std = float(np.sqrt(((values - mean) ** 2) @ counts / total))
        edges = _edges(values)
        inside, _ = np.histogram(values, edges, weights=counts)
        density = inside / total / np.diff(edges)
        panel.stairs(density, edges, fill=True, color=colour(block), alpha=0.75, baseline=1e-300)
        floor = density[density > 0].min() / 3
        top = density.max() * 3
        if std > 0:
            x = np.linspace(edges[0], edges[-1], 400)
            panel.plot(x, normal.pdf(x, mean, std), color="black", linewidth=1.1, linestyle="--")
            top = max(top, normal.pdf(mean, mean, std) * 3)
        panel.set_yscale("log")
        panel.set_ylim(floor, top)
        style.plain_ticks(panel.yaxis)
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.set_title(f"{literal(block)}: std {style.compact(std)}", fontsize=9.5)
    for panel in panels[len(pooled) :]:
        panel.axis("off")
    figure.supxlabel("weight w", fontsize=10)
    figure.supylabel("density (share per unit of w), logarithmic", fontsize=10)
    return figure


def quantile_plot(matrices: pd.DataFrame) -> Figure | None:
    """Quantiles of the standardised weights against those of a normal distribution."""
    rows = matrices[matrices["std"].fillna(0) > 0]
    if rows.empty:
        return None
    figure, (axes,) = canvas(7.6, 4.6)
    x = normal.ppf(list(QUANTILES.values()))
    blocks = rows["block_type"].fillna("other")
    for block in ordered(blocks):
        own = rows[blocks == block]
        standard = own[list(QUANTILES)].sub(own["mean"], axis=0).div(own["std"], axis=0)
        line = standard.astype(float).median()
        axes.plot(x, line, marker=marker(block), color=colour(block), markersize=5, label=block)
    axes.plot(x, x, "--", color="black", linewidth=1, label="normal")
    axes.set_xlabel("quantile of a normal distribution (standard deviations)")
    axes.set_ylabel("quantile of the weights (standard deviations)")
    axes.set_title("Heavier tails than normal: steeper than the dashed line at the ends")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def strip(
    data: pd.DataFrame,
    column: str,
    label: str,
    title: str,
    logarithmic: bool = False,
    share: bool = False,
) -> Figure | None:
    """One point per row of `data`, grouped by block type; None where nothing is defined.

    A logarithmic axis leaves values of zero or less out; the axis of a `share` ends at 1 and does
    not blow up a difference of less than 0.1.
    """
    rows = data[data[column].notna()]
    if logarithmic:
        rows = rows[rows[column] > 0]
    if rows.empty:
        return None
    rows = rows.iloc[:: -(-len(rows) // MANY)]
    frame = pd.DataFrame(
        {
            "block": rows["block_type"].fillna("other").astype(str).to_numpy(),
            "value": rows[column].astype(float).to_numpy(),
        }
    )
    blocks = ordered(frame["block"])
    figure, (axes,) = canvas(8.6, 1.4 + 0.36 * max(len(blocks), 3))
    sns.stripplot(
        frame,
        x="value",
        y="block",
        order=blocks,
        hue="block",
        hue_order=blocks,
        palette={block: colour(block) for block in blocks},
        size=4.5,
        alpha=0.75,
        jitter=False,
        legend=False,
        ax=axes,
    )
    medians = frame.groupby("block")["value"].median()
    for place, block in enumerate(blocks):
        axes.plot([medians[block]] * 2, [place - 0.36, place + 0.36], color="black", linewidth=1.6)
    if logarithmic:
        axes.set_xscale("log")
        style.plain_ticks(axes.xaxis, True)
    elif share:
        axes.set_xlim(min(0.9, float(frame["value"].min()) - 0.02), 1.005)
    axes.set_yticks(range(len(blocks)), [literal(block) for block in blocks])
    axes.set_ylabel("")
    axes.set_xlabel(label)
    axes.set_title(title)
    return figure


def entropy(params: pd.DataFrame) -> Figure | None:
    """Bits per weight that the stored codes really carry, by field, beside the stored bits."""
    rows = params[params["entropy_bits"].notna() & (params["numel"] > 0)]
    if rows.empty:
        return None
    fields = {
        "entropy_sign_bits": ("sign", PALETTE[3]),
        "entropy_exponent_bits": ("exponent", PALETTE[1]),
        "entropy_mantissa_bits": ("mantissa", PALETTE[4]),
    }
    named = rows["block_type"].fillna("other")
    blocks = ordered(named)
    figure, (axes,) = canvas(8.6, 1.5 + 0.36 * max(len(blocks), 3))
    stored = 0.0
    for place, block in enumerate(blocks):
        own = rows[named == block]
        weight = own["numel"].astype(float)
        left = 0.0
        for column, (_, hue) in fields.items():
            known = own[column].notna()
            if known.any():
                value = float(np.average(own[column][known].astype(float), weights=weight[known]))
                axes.barh(place, value, left=left, color=hue, height=0.62)
                left += value
        whole = float(np.average(own["entropy_bits"].astype(float), weights=weight))
        axes.plot([whole] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
        bits = own["dtype"].map(lambda name: DTYPES[name].bits).astype(float)
        held = float(np.average(bits, weights=weight))
        stored = max(stored, held)
        axes.plot([held] * 2, [place - 0.4, place + 0.4], color=PALETTE[5], linewidth=2)
    axes.set_xlim(0, stored * 1.05)
    axes.set_yticks(range(len(blocks)), [literal(block) for block in blocks])
    axes.invert_yaxis()
    axes.set_xlabel("bits per weight")
    axes.set_title("Information in the stored codes")
    handles = [Line2D([], [], color=hue, linewidth=7, label=name) for name, hue in fields.values()]
    handles += [
        Line2D([], [], color="black", linewidth=2, label="entropy of the whole code"),
        Line2D([], [], color=PALETTE[5], linewidth=2, label="bits stored"),
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def depth_curves(layers: pd.DataFrame, metrics: dict[str, tuple[str, bool]]) -> Figure | None:
    """Columns of the table layers over depth; `metrics`: column -> (label, logarithmic)."""
    rows = layers[layers["layer_index"].notna() & (layers["matrices"] > 0)]
    metrics = {name: how for name, how in metrics.items() if rows[name].notna().any()}
    if rows.empty or not metrics or rows["layer_index"].nunique() < 2:
        return None
    figure, panels = canvas(10.4, 2.7 * len(metrics) + 0.3, rows=len(metrics), sharex=True)
    seen: dict[str, Line2D] = {}
    several = rows["component"].nunique() > 1
    groups = [
        ((str(component), str(block)), own)
        for (component, block), own in rows.groupby(["component", "block_type"], sort=True)
    ]
    for panel, (column, (label, logarithmic)) in zip(panels, metrics.items(), strict=True):
        for (component, block), line in groups:
            line = line[line[column].notna()].sort_values("layer_index")
            name = f"{block} ({component})" if several else block
            (drawn,) = panel.plot(
                line["layer_index"].astype(float),
                line[column].astype(float),
                marker=marker(block),
                markersize=4 if len(line) <= 60 else 2,
                linewidth=1.3,
                linestyle="-" if component in ("text", "decoder") else "--",
                color=colour(block),
            )
            seen.setdefault(name, drawn)
        if logarithmic:
            panel.set_yscale("log")
        style.plain_ticks(panel.yaxis, logarithmic)
        panel.set_ylabel(label)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("layer (0 is next to the input)")
    places = ordered(rows["block_type"])
    names = sorted(seen, key=lambda name: places.index(name.split(" (")[0]))
    handles = [seen[name] for name in names]
    figure.legend(handles, [literal(name) for name in names], loc="outside right upper")
    return figure


def spectra(data: pd.DataFrame, matrices: pd.DataFrame) -> Figure | None:
    """Singular values of the first, middle and last layer on log axes, with the noise edge.

    `data` is the table spectra. One panel per block type; the dotted lines are the upper
    Marchenko-Pastur edges that `matrices.mp_edge` gives for the same matrices.
    """
    keys = ["param_name", "slice"]
    known = matrices[matrices["layer_index"].notna() & matrices["spectral_norm"].notna()]
    known = known[known["expert_index"].isna() | (known["expert_index"] == 0)]
    if known.empty:
        return None
    chosen = _first_middle_last(known)
    table = chosen.merge(data, on=keys, how="inner", suffixes=("", "_of_spectrum"))
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
            values = values[values > values.max(initial=0) * 1e-7]
            panel.plot(
                np.arange(1, len(values) + 1), values, color=hues[row["place"]], linewidth=1.5
            )
            if pd.notna(row["mp_edge"]):
                panel.axhline(
                    row["mp_edge"], color=hues[row["place"]], linestyle=":", linewidth=1.1
                )
        panel.set_xscale("log")
        panel.set_yscale("log")
        style.plain_ticks(panel.xaxis)
        style.plain_ticks(panel.yaxis, True)
        panel.set_title(literal(block), fontsize=9.5)
    for panel in panels[len(blocks) :]:
        panel.axis("off")
    figure.supxlabel("number of the singular value (largest first)", fontsize=10)
    figure.supylabel("singular value σ", fontsize=10)
    stack = f"{chosen['component'].iloc[0]} " if known["component"].nunique() > 1 else ""
    numbers = {str(place): own["layer_index"] for place, own in chosen.groupby("place")}
    handles = [
        Line2D([], [], color=hue, label=f"{place} {stack}layer{_span(numbers.get(place))}")
        for place, hue in hues.items()
        if place in numbers
    ]
    handles.append(Line2D([], [], color="#555555", linestyle=":", label="noise edge"))
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    return figure


def norm_scales(params: pd.DataFrame) -> Figure | None:
    """Normalisation scales γ over depth: median and 5 to 95 % range per kind of norm."""
    rows = params[
        (params["block_type"] == "norm")
        & params["layer_index"].notna()
        & ~params["is_bias"].fillna(False)
        & params["q50"].notna()
    ]
    if rows.empty or rows["layer_index"].nunique() < 2:
        return None
    figure, (axes,) = canvas(10.4, 3.8)
    kinds = rows["component"].fillna("") + ": " + rows["projection"].fillna("norm")
    several = rows["component"].nunique() > 1
    for place, (kind, own) in enumerate(rows.groupby(kinds, sort=True)):
        own = own.sort_values("layer_index")
        x = own["layer_index"].astype(float)
        hue = PALETTE[place % len(PALETTE)]
        name = str(kind) if several else str(kind).split(": ", 1)[1]
        axes.plot(x, own["q50"].astype(float), color=hue, label=literal(name, 40), linewidth=1.6)
        low, high = own["q05"].astype(float), own["q95"].astype(float)
        axes.fill_between(x, low, high, color=hue, alpha=0.18, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("layer (0 is next to the input)")
    axes.set_ylabel("scale γ (as stored)")
    axes.set_title("Normalisation scales: median, and range of 90 % of the channels")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def experts(matrices: pd.DataFrame, column: str, label: str) -> Figure | None:
    """Heat map of experts by layers for a column of the table matrices; None without experts."""
    rows = matrices[matrices["expert_index"].notna() & matrices["layer_index"].notna()]
    rows = rows[rows[column].notna()]
    if rows.empty:
        return None
    grid = rows.pivot_table(
        index="layer_index", columns="expert_index", values=column, aggfunc="mean"
    ).astype(float)
    figure, (axes,) = canvas(9.5, 1.8 + min(max(0.2 * len(grid), 1.2), 9))
    picture = axes.pcolormesh(
        np.arange(grid.shape[1] + 1), np.arange(len(grid) + 1), grid, cmap=style.HEAT
    )
    axes.set_xticks(_thinned(grid.columns) + 0.5, grid.columns[_thinned(grid.columns)])
    axes.set_yticks(_thinned(grid.index) + 0.5, grid.index[_thinned(grid.index)])
    axes.invert_yaxis()
    axes.grid(False)
    axes.set_xlabel("expert")
    axes.set_ylabel("layer")
    axes.set_title(f"{label}: mean over the matrices of each expert")
    figure.colorbar(picture, ax=axes, label=label)
    return figure


def token_norms(clusters: pd.DataFrame) -> Figure | None:
    """Histogram of the L2 norms of the embedding's rows, one outline per kind of token."""
    rows = clusters[clusters["norm"].notna()]
    rows = rows[np.isfinite(rows["norm"].astype(float))]
    if rows.empty:
        return None
    values = rows["norm"].astype(float)
    edges = np.linspace(values.min(), values.max() or 1.0, 81)
    if edges[-1] <= edges[0]:
        edges = np.linspace(edges[0] - 0.5, edges[0] + 0.5, 3)
    figure, (axes,) = canvas(8.6, 3.6)
    for place, (kind, own) in enumerate(values.groupby(rows["kind"].fillna("normal"))):
        counts, _ = np.histogram(own, edges)
        hue = PALETTE[place % len(PALETTE)]
        axes.stairs(counts, edges, color=hue, linewidth=1.6, label=f"{kind} ({len(own):,})")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0)
    style.plain_ticks(axes.yaxis)
    axes.set_xlabel("L2 norm of the token's vector")
    axes.set_ylabel("tokens per bin (logarithmic above 1)")
    axes.set_title("Lengths of the token vectors by kind of token")
    axes.legend()
    return figure


def _share(value: float) -> str:
    return "< 0.1 %" if 0 < value < 0.001 else f"{value * 100:.1f} %"


def _unit(largest: float) -> tuple[str, float]:
    for name, size in (("billions", 1e9), ("millions", 1e6), ("thousands", 1e3)):
        if largest >= size:
            return name, size
    return "single", 1.0


def _pooled_values(
    params: pd.DataFrame, histograms: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per block type: the finite values that its matrices hold, ascending, and how often."""
    wanted = params[(params["cols"].fillna(0) > 1) & (params["rows"].fillna(0) > 1)]
    blocks = dict(zip(wanted["param_name"], wanted["block_type"].fillna("other"), strict=True))
    totals: dict[tuple[str, str], np.ndarray] = {}
    for row in histograms.to_dict("records"):
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
    """Bin edges: even ones, or, where few values exist, halfway between neighbours."""
    if len(values) == 1:
        return values[0] + np.array([-0.5, 0.5])
    if len(values) <= BINS:
        middle = (values[1:] + values[:-1]) / 2
        return np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.linspace(values[0], np.nextafter(values[-1], np.inf), BINS + 1)


def _first_middle_last(matrices: pd.DataFrame) -> pd.DataFrame:
    """The first matrix of each block type in its first, middle and last layer."""
    main = matrices.groupby("component").size().idxmax()
    picked = []
    for _, own in matrices[matrices["component"] == main].groupby("block_type"):
        layers = sorted(own["layer_index"].unique())
        places = {"first": layers[0], "last": layers[-1], "middle": layers[len(layers) // 2]}
        if len(layers) < 3:
            places.pop("middle")
        if len(layers) < 2:
            places.pop("last")
        for place, layer in places.items():
            row = own[own["layer_index"] == layer].sort_values("param_name").head(1)
            picked.append(row.assign(place=place))
    return pd.concat(picked, ignore_index=True)


def _span(numbers: pd.Series | None) -> str:
    if numbers is None:
        return ""
    low, high = int(numbers.min()), int(numbers.max())
    return f" ({low})" if low == high else f" ({low} to {high})"


def _thinned(labels: pd.Index) -> np.ndarray:
    return np.arange(0, len(labels), -(-len(labels) // 20))
