"""A map of what changed as a table: layers down, kinds of matrices across, cells in nine shades.

A table, because it can be read aloud, copied and printed, and needs no script. The shade follows
the logarithm of the number; an unchanged cell has none, and one without a matrix is hatched.
Several matrices in a cell, such as experts, are shown by their median.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from blockresearch.report.blocks import ordered
from blockresearch.report.wording import by_component, integer

SHADES = 9

# The least factor between the lightest and the darkest shade, so that equal cells look equal.
LEAST_SPAN = 2.0


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the shade (None: unchanged), and the number of its matrices."""

    text: str
    shade: int | None
    matrices: int


@dataclass(frozen=True)
class Heat:
    """The map of one component: heads of the columns, and a row of cells for each layer.

    A cell without a matrix is None. `low` and `high` are the numbers of the first and last shade.
    """

    component: str
    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Cell | None, ...]], ...]
    low: str
    high: str


def heat_maps(
    differences: pd.DataFrame, column: str, text: Callable[[float], str], least: float = 0.0
) -> list[Heat]:
    """Maps of a column of the table differences, one for each component; `text` formats a cell.

    There is none if nothing changed. All components share one scale; what is below `least` has its
    first shade. Only matrices in numbered layers are on it.
    """
    known = differences[differences["layer_index"].notna() & differences[column].notna()]
    known = known[known["delta_spectral_norm"].notna()]
    if known.empty:
        return []
    keys = ["component", "layer_index", "label"]
    cells = known.assign(label=labels(known)).groupby(keys)[column].agg(["median", "size"])
    values = cells["median"].astype(float)
    if not (values > 0).any():
        return []
    low, high = _ends(values[values > 0].clip(lower=least))
    maps = []
    for component in by_component(known["component"].dropna()):
        own = cells.loc[component]
        heads = _in_order(known[known["component"] == component])
        layers = range(int(own.index.get_level_values(0).max()) + 1)
        rows = []
        for layer in layers:
            row: list[Cell | None] = []
            for head in heads:
                if (layer, head) not in own.index:
                    row.append(None)
                    continue
                value, count = own.loc[(layer, head)]
                row.append(Cell(text(value), _shade(float(value), low, high), int(count)))
            rows.append((layer, tuple(row)))
        maps.append(Heat(component, heads, tuple(rows), text(low), text(high)))
    return maps


def labels(rows: pd.DataFrame) -> pd.Series:
    """The columns of the maps: block types, with the role if it is not the usual one."""
    blocks = rows["block_type"].fillna("other").astype(str)
    roles = rows["role"].fillna("").astype(str)
    is_usual = roles.isin(["", "self", "routed"])
    return blocks.where(is_usual, roles + " " + blocks)


def _in_order(rows: pd.DataFrame) -> tuple[str, ...]:
    names = labels(rows)
    places = {name: place for place, name in enumerate(ordered(rows["block_type"]))}
    blocks = dict(zip(names, rows["block_type"], strict=True))
    return tuple(
        sorted(
            blocks,
            key=lambda name: (places.get(blocks[name], len(places)), name != blocks[name], name),
        )
    )


def _ends(values: pd.Series) -> tuple[float, float]:
    if values.empty:
        return 1.0, LEAST_SPAN
    low, high = float(values.min()), float(values.max())
    if high < LEAST_SPAN * low:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(LEAST_SPAN), middle * math.sqrt(LEAST_SPAN)
    return low, high


def _shade(value: float, low: float, high: float) -> int | None:
    if not value > 0:
        return None
    share = math.log(value / low) / math.log(high / low)
    return min(SHADES - 1, max(0, int(share * SHADES)))


def relative(value: float) -> str:
    """A relative change in three characters or a few more: 1.2 %, 0.03 %, 0."""
    if value == 0:
        return "0"
    if not 0.0001 <= value < 10:
        return f"{value:.1e}"
    return f"{100 * value:.2g} %" if value < 0.995 else f"{100 * value:.0f} %"


def rank(value: float) -> str:
    """A rank, or a median of ranks."""
    return integer(round(value))


def overlap(turned: float) -> str:
    """The share of directions that agree, from the share that does not."""
    return f"{100 * (1 - turned):.2f} %"
