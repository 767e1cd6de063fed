"""Charts of a training run: curves over its steps, by kind of matrix and by layer."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.blocks import color, ordered
from blockresearch.report.figures.charts import Axis, Chart, Panel, Series, numbers, positive
from blockresearch.report.wording import by_component, integer
from blockresearch.tables.training_steps import counted_by
from blockresearch.text import short

# Layers of one panel; of more, so many that are evenly spaced.
MOST_LAYERS = 8

# Colors of layers from the first to the last.
DEPTH = (
    *("#fde725", "#a0da39", "#4ac16d", "#1fa187"),
    *("#277f8e", "#365c8d", "#46327e", "#440154"),
)

# What identifies a head.
HEAD = ("component", "layer_index", "role", "head")

# Colors of the heads that moved most, and of the median.
HEADS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377")
MIDDLE = "#888888"


@dataclass(frozen=True)
class Metric:
    """A column that is drawn, its title, and whether kinds of matrices differ in it by factors."""

    column: str
    title: Sentence
    log: bool = False


METRICS = (
    Metric("frobenius_norm", say("Frobenius norm"), log=True),
    Metric("stable_rank", say("stable rank"), log=True),
    Metric("alpha", say("power-law exponent α")),
    Metric("delta_storage_rank", say("rank of the change of a step")),
    Metric("change_from_first", say("change from the first step")),
    Metric("change_from_previous", say("change from the step before")),
)


KINDS_CAPTION = say("Medians over the layers of each kind of matrix, by step.")

HEADS_CAPTION = say(
    "Change of the heads that moved most until the last step, in the mean of q, k, v and o; "
    "dashed, the median of all heads. Heads of a group share k and v."
)

NO_HEADS = say("No attention head moved, or the config states no heads that fit the shapes.")


def layers_caption(metric: Metric) -> Sentence:
    """What the chart of a metric by layer shows."""
    return say(
        "{metric} by step: light curves are near the input. Of more than {most} "
        "layers, {most} that are evenly spaced are drawn.",
        metric=metric.title,
        most=MOST_LAYERS,
    )


def axis_of(matrices: pd.DataFrame) -> tuple[str, Axis]:
    """The column that counts the steps, and its axis."""
    column = counted_by(matrices)
    is_number = column == "step_number"
    return column, Axis(say("training step") if is_number else say("step (0 is the first)"))


def kinds_chart(matrices: pd.DataFrame) -> Chart:
    """Medians over the layers, a curve for each kind of matrix and a panel for each metric."""
    across, axis = axis_of(matrices)
    panels = []
    for metric in METRICS:
        series = []
        for label, own in _by_kind(matrices):
            line = own.groupby(across)[metric.column].median()
            if line.notna().any():
                block = str(own["block_type"].iloc[0])
                series.append(_curve(label, color(block), line, metric.log, label != block))
        if series:
            panels.append(Panel(metric.title, axis, Axis(metric.title, metric.log), tuple(series)))
    return Chart("kinds", tuple(panels), cols=3)


def layers_charts(matrices: pd.DataFrame) -> list[tuple[Metric, Chart]]:
    """For each metric a chart with a panel for each kind of matrix and a curve for each layer."""
    across, axis = axis_of(matrices)
    rows = matrices[matrices["layer_index"].notna()]
    charts = []
    for metric in METRICS:
        panels = []
        for label, own in _by_kind(rows):
            table = own.pivot_table(metric.column, across, "layer_index", "median", observed=True)
            series = []
            for place, layer in enumerate(chosen := _spaced(sorted(table.columns))):
                hue = DEPTH[round(place * (len(DEPTH) - 1) / max(len(chosen) - 1, 1))]
                name = say("layer {layer}", layer=int(layer))
                series.append(_curve(name, hue, table[layer]))
            if series:
                panels.append(Panel(label, axis, Axis(metric.title), tuple(series)))
        if panels:
            charts.append((metric, Chart(f"layers-{metric.column}", tuple(panels), cols=3)))
    return charts


def heads_chart(heads: pd.DataFrame) -> Chart | None:
    """The heads that moved most until the last step, in the mean of their q, k, v and o, a panel
    for each of these, with the median of all heads; None if no head moved."""
    changes = [f"{letter}_change_from_first" for letter in "qkvo"]
    last = heads[heads["position"] == heads["position"].max()].set_index(list(HEAD))
    means = last[changes].astype(float).mean(axis=1)
    means = means[means > 0].sort_values(ascending=False, kind="stable")
    if means.empty:
        return None
    across, axis = axis_of(heads)
    title = say("change from the first step")
    own = dict(list(heads.groupby(list(HEAD), dropna=False, sort=False)))
    panels = []
    for column in changes:
        series = []
        for hue, (component, layer, role, head) in zip(HEADS, means.index, strict=False):
            line = own[component, layer, role, head].set_index(across)[column]
            name = say("layer {layer}, head {head}", layer=integer(layer), head=integer(head))
            series.append(_curve(name, hue, line))
        middle = heads.groupby(across)[column].median()
        series.append(_curve(say("median of all heads"), MIDDLE, middle, is_dashed=True))
        panels.append(Panel(f"{column[0]}_proj", axis, Axis(title), tuple(series)))
    return Chart("heads", tuple(panels), cols=2)


def _by_kind(matrices: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The matrices by component and kind, in the order of the model."""
    components = by_component(matrices["component"].dropna())
    for component in components:
        own = matrices[matrices["component"] == component]
        for block in ordered(own["block_type"]):
            same = own[own["block_type"] == block]
            for label in sorted(same["label"].unique(), key=lambda name: (name != block, name)):
                name = short(label) if len(components) == 1 else f"{short(component)} {label}"
                yield name, same[same["label"] == label]


def _spaced(layers: list[float]) -> list[float]:
    if len(layers) <= MOST_LAYERS:
        return layers
    places = np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int)
    return [layers[place] for place in places]


def _curve(
    label: str, hue: str, line: pd.Series, log: bool = False, is_dashed: bool = False
) -> Series:
    line = line.astype(float)
    values = positive(line) if log else numbers(line)
    return Series(label, hue, numbers(line.index), values, dash=is_dashed)
