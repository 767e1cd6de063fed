"""Charts with a point for each matrix: in rows of block types, or of layers for experts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from blockresearch.language.sentence import declared, say
from blockresearch.report.blocks import color, ordered
from blockresearch.report.figures.layer_map import labels
from blockresearch.report.figures.rows import (
    Amounts,
    RowChart,
    RowPanel,
    Span,
    amounts,
    log_span,
    points,
    share_span,
    tails_span,
)
from blockresearch.report.values import Measure, matrix_names

# Pixels of a row of the experts' chart: a model has more layers than block types.
LAYER_HEIGHT = 14


def strips_chart(name: str, data: pd.DataFrame, measures: Sequence[Measure]) -> RowChart | None:
    """One point per row of the table `data`, by block type, with medians; a panel per measure.

    A measure that no row has is left out; None if none remains. A logarithmic axis omits values of
    zero or less.
    """
    known = {measure: _known(data, measure) for measure in measures}
    known = {measure: values for measure, values in known.items() if len(values)}
    if not known:
        return None
    named = data["block_type"].fillna("other").astype(str)
    blocks = ordered(named[sorted(set().union(*(values.index for values in known.values())))])
    rows, names = named.map(dict(zip(blocks, range(len(blocks)), strict=True))), matrix_names(data)
    colors = tuple(map(color, blocks))
    panels = [
        _panel(measure.title, measure, values, rows, names, tuple(blocks), colors)
        for measure, values in known.items()
    ]
    return RowChart(name, tuple(panels))


def experts_chart(matrices: pd.DataFrame, measures: Sequence[Measure]) -> RowChart | None:
    """One point per matrix of a routed expert, a row for each layer.

    A panel for each measure and kind of matrix, because these differ. None without routed experts.
    """
    data = matrices[matrices["expert_index"].notna() & matrices["layer_index"].notna()]
    if data.empty:
        return None
    kinds = labels(data)
    if data["component"].nunique() > 1:
        kinds = data["component"].fillna("") + " " + kinds
    layers = sorted({int(layer) for layer in data["layer_index"]})
    rows = data["layer_index"].astype(int).map(layers.index)
    names, projections = matrix_names(data), data["projection"].fillna("moe").astype(str)
    panels = []
    for measure in measures:
        values = _known(data, measure)
        for kind in dict.fromkeys(kinds[values.index]):
            own = values[kinds[values.index] == kind]
            title = say("{title}, {kind}", title=declared(measure.title), kind=kind)
            colors = (color(projections[own.index[0]]),) * len(layers)
            texts = tuple(map(str, layers))
            panels.append(_panel(title, measure, own, rows, names, texts, colors))
    cols = max(1, len(panels) // len(measures))
    return RowChart("experts", tuple(panels), min(cols, 3), LAYER_HEIGHT) if panels else None


def _known(data: pd.DataFrame, measure: Measure) -> pd.Series:
    """The finite values of a measure that its axis can show, float64."""
    values = data[measure.column].dropna().astype(float)
    finite = values[np.isfinite(values)]
    return finite[finite > 0] if measure.scale == "log" else finite


def _panel(
    title: str,
    measure: Measure,
    values: pd.Series,
    rows: pd.Series,
    names: pd.Series,
    texts: tuple[str, ...],
    colors: tuple[str, ...],
) -> RowPanel:
    """A panel of `values`; `rows` and `names` have the row and the name of each of them."""
    own = rows[values.index].astype(int)
    groups = values.groupby(own)
    # The median of a single point would hide it.
    medians = groups.median()[groups.size() > 1].reindex(range(len(texts)))
    return RowPanel(
        title,
        _span(measure, values),
        texts,
        colors,
        strokes=(Amounts(say("median"), amounts(medians)),),
        points=points(own.tolist(), values.tolist(), names[values.index].tolist()),
    )


def _span(measure: Measure, values: pd.Series) -> Span:
    if measure.scale == "share":
        return share_span(measure.label)
    return (log_span if measure.scale == "log" else tails_span)(measure.label, values)
