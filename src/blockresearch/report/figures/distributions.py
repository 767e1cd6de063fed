"""Charts of the values of weights by block type."""

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.blocks import color, ordered
from blockresearch.report.figures.charts import Axis, Chart, Panel, Series, numbers, positive
from blockresearch.tables.value_columns import (
    QUANTILES,
)

# Standard deviations that the axis reaches to, and the width of a bin.
REACH, BIN = 10, 0.2


def distribution_chart(pooled: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Chart | None:
    """Density of the weights of each block type in units of their standard deviation.

    `pooled`: block type -> values [n] and how often each occurs [n]. None without values.
    """
    edges = np.arange(-REACH, REACH + BIN / 2, BIN)
    middles = (edges[:-1] + edges[1:]) / 2
    series = []
    for block in ordered(pooled):
        values, counts = pooled[block]
        total = counts.sum()
        mean = float(values @ counts / total)
        std = float(np.sqrt(((values - mean) ** 2) @ counts / total))
        if std > 0:
            inside, _ = np.histogram((values - mean) / std, edges, weights=counts)
            density = positive(inside / total / BIN)
            series.append(Series(block, color(block), numbers(middles), density))
    if not series:
        return None
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi)
    least = min(min(value for value in one.y if value) for one in series)
    shown = normal >= least
    series.append(
        Series(
            say("normal distribution"),
            "#555555",
            numbers(middles[shown]),
            positive(normal[shown]),
            dash=True,
        )
    )
    panel = Panel(
        say("Distribution of the weights by block type"),
        Axis(say("standard deviations from the mean")),
        Axis(say("density"), log=True),
        tuple(series),
    )
    return Chart("distributions", (panel,), cols=1)


def quantile_chart(matrices: pd.DataFrame) -> Chart | None:
    """Deviation of quantiles of the standardized weights from those of a normal distribution."""
    rows = matrices[matrices["std"].fillna(0) > 0]
    if rows.empty:
        return None
    x = np.array([NormalDist().inv_cdf(share) for share in QUANTILES.values()])
    blocks = rows["block_type"].fillna("other")
    series = []
    for block in ordered(blocks):
        own = rows[blocks == block]
        standard = own[list(QUANTILES)].sub(own["mean"], axis=0).div(own["std"], axis=0)
        line = standard.astype(float).median() - x
        series.append(Series(block, color(block), numbers(x), numbers(line)))
    normal = say("normal distribution")
    series.append(Series(normal, "#555555", numbers(x), [0] * len(x), dash=True))
    panel = Panel(
        say("Deviation of the quantiles from a normal distribution"),
        Axis(say("normal quantile (0.1 % to 99.9 %)")),
        Axis(say("deviation in standard deviations")),
        tuple(series),
    )
    return Chart("quantiles", (panel,), cols=1)
