"""Charts with a row for each block type: parameters, and the entropy of the stored codes."""

import pandas as pd

from blockresearch.language.sentence import declared, say
from blockresearch.report.blocks import color
from blockresearch.report.figures.rows import Amounts, RowChart, RowPanel, amount_span, amounts
from blockresearch.report.plots.values import FIELDS, STORED, count_unit, share_text
from blockresearch.report.values import entropy_by_block, parameters_by_type

GRAY = "#777777"


def parameters_chart(params: pd.DataFrame) -> RowChart | None:
    """Parameters per block type and, if there are several, per stored type.

    None if no tensor was measured.
    """
    if params.empty:
        return None
    counts = parameters_by_type(params)
    by_type = counts.sum().sort_values(ascending=False)
    unit, divisor = count_unit(float(counts.sum(axis=1).max()))
    name = say("parameters ({unit})", unit=declared(unit)) if unit else say("parameters")
    title = say("By block type")
    if len(by_type) == 1:
        title = say("By block type, all stored as {type}", type=str(by_type.index[0]))
    panels = [_sizes(title, name, counts.sum(axis=1) / divisor, [*map(color, counts.index)])]
    if len(by_type) > 1:
        panels.append(_sizes(say("By stored type"), name, by_type / divisor, [GRAY] * len(by_type)))
    return RowChart("parameters", tuple(panels), cols=len(panels))


def _sizes(title: str, name: str, sizes: pd.Series, colors: list[str]) -> RowPanel:
    shares = sizes / max(float(sizes.sum()), 1e-9)
    return RowPanel(
        title,
        amount_span(name, float(sizes.max())),
        tuple(map(str, sizes.index)),
        tuple(colors),
        bars=(Amounts(name, amounts(sizes)),),
        notes=tuple(map(share_text, shares)),
    )


def entropy_chart(params: pd.DataFrame) -> RowChart | None:
    """Entropy of the stored codes in bits per weight, by field, next to the stored bits."""
    table = entropy_by_block(params)
    if table.empty:
        return None

    def column(name: str, label: str, hue: str = "") -> Amounts:
        return Amounts(label, amounts(table[name]), hue)

    panel = RowPanel(
        say("Information in the stored codes"),
        amount_span(say("bits per weight"), float(table["stored"].max())),
        tuple(table.index),
        tuple(map(color, table.index)),
        bars=tuple(column(name, label, hue) for name, (label, hue) in FIELDS.items()),
        strokes=(
            column("whole", say("entropy of the whole code")),
            column("stored", say("bits stored"), STORED),
        ),
    )
    return RowChart("entropy", (panel,), cols=1)
