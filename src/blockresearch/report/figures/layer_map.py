"""The map of a model: layers down, kinds of matrices across, a color for each cell.

The page's script draws it from `layer_map`, for any of METRICS; `static` is the same for print and
for browsers without scripts. Colors show a cell relative to the median of its column, because block
types differ in more than layers do, or its value.

The colors are those of `scale.js` and `color_scales`.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence
from blockresearch.report.blocks import BLOCKS, ROLES, block_name, ordered
from blockresearch.report.figures.numbers import rounded
from blockresearch.report.values import passing_alpha
from blockresearch.report.wording import by_component
from blockresearch.text import visible

# Roles that are the usual ones of their block types: a label does not need them.
USUAL = ("self", "routed")


@dataclass(frozen=True)
class Metric:
    """A column of matrices on the map.

    scale  what a color relative to the median shows: `ratio` (base-2 logarithm of value / median)
           or `difference` (value − median)
    end    the deviation at the ends of the colors; None: found from the data
    span   what colors of values span at least, so that nearly equal cells look equal: a factor for
           a `ratio`, else a difference
    """

    key: str
    label: str
    unit: str
    scale: str
    end: float | None = None
    span: float | None = None


METRICS = (
    Metric("std", "standard deviation", "", "ratio", 1.5),
    Metric("kurtosis_excess", "excess kurtosis", "0: normal distribution", "difference"),
    Metric("max_over_rms", "largest weight / rms", "", "ratio", 1.5),
    Metric("zero_fraction", "exact zeros", "share", "difference"),
    Metric("stable_rank", "stable rank", "Σσ² / σ₁²", "ratio", 1.5),
    Metric("effective_share", "effective rank", "share of the smaller side", "ratio", 1.5),
    Metric("spectral_norm", "spectral norm", "σ₁", "ratio", 1.5),
    Metric("alpha", "power-law exponent α", "fits that pass their checks", "ratio", 1.5),
    Metric("int4_g128_sym_sqnr_db", "INT4 signal to error", "dB", "difference", 3.0),
    Metric("nf4_sqnr_db", "NF4 signal to error", "dB", "difference", 3.0),
    Metric("nvfp4_sqnr_db", "NVFP4 signal to error", "dB", "difference", 3.0),
)

KEYS = ["component", "label", "layer_index"]


def in_map_order(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices with `label`, the name of their column on the map; those of numbered layers
    first, in the order of the cells (component, column, layer, expert), then the others."""
    rows = matrices.assign(
        label=labels(matrices),
        component=matrices["component"].fillna(""),
        is_outside=matrices["layer_index"].isna(),
    )
    orders = {
        "component": by_component(rows["component"]),
        "label": ordered_labels(rows),
    }

    def place(column: pd.Series) -> pd.Series:
        order = orders.get(str(column.name))
        return column.map(dict(zip(order, itertools.count(), strict=False))) if order else column

    by = ["is_outside", *KEYS, "expert_index", "param_name", "slice"]
    return rows.sort_values(by, key=place, kind="stable").reset_index(drop=True)


def labels(matrices: pd.DataFrame) -> pd.Series:
    """The column of each matrix: its block type (of an expert the projection), with the role in
    front if the model has several roles of it."""
    block = matrices["block_type"].fillna("other").astype(str)
    projection = matrices["projection"].fillna("").astype(str).str.removeprefix("shared_")
    named = block.mask((block == "moe") & (projection != ""), projection)
    role = matrices["role"].fillna("").astype(str)
    several = role.groupby(named).transform("nunique") > 1
    return named.where(~several | (role == ""), role + " " + named)


def ordered_labels(rows: pd.DataFrame) -> list[str]:
    """The distinct labels in the order in which data passes through a layer."""
    blocks = dict(zip(ordered(rows["block_type"].fillna("other")), itertools.count(), strict=False))
    order = list(BLOCKS)
    found = rows.drop_duplicates("label")
    places = {
        str(row["label"]): (
            blocks[str(row["block_type"])] if pd.notna(row["block_type"]) else len(blocks),
            # Of the matrices of an expert: gate, up, down.
            order.index(row["projection"])
            if row["block_type"] == "moe" and row["projection"] in order
            else -1,
            ROLES.index(row["role"]) if row["role"] in ROLES else -1,
            str(row["label"]),
        )
        for row in found[["label", "block_type", "role", "projection"]].to_dict("records")
    }
    return sorted(places, key=lambda label: places[label])


def with_metrics(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices with the columns of METRICS: α only if its fit passes, the effective rank as a
    share of the smaller side."""
    side = matrices[["rows", "cols"]].min(axis=1).astype("Float64")
    return matrices.assign(
        alpha=passing_alpha(matrices), effective_share=matrices["effective_rank_sigma"] / side
    )


def layer_map(rows: pd.DataFrame) -> dict[str, Any] | None:
    """The map of METRICS, from matrices `in_map_order`; None without numbered layers."""
    return map_of(with_metrics(rows), METRICS)


def map_of(
    rows: pd.DataFrame,
    metrics: Iterable[Metric],
    named: Callable[[str], Sentence] = block_name,
) -> dict[str, Any] | None:
    """What the page's script draws of columns of matrices `in_map_order`; None without numbered
    layers. `named` gives the text of a label for readers.

    Cells are lists of equal length: `component` and `column` (indices), `layer`, `first` and
    `count` (its matrices in the order of `rows`). `middle` is the median over a cell's matrices;
    `low` and `high` are present if a cell has several.
    """
    inside = rows[rows["layer_index"].notna()]
    if inside.empty:
        return None
    grouped = inside.groupby(KEYS, sort=False)
    cells = grouped.size().rename("count").reset_index()
    first = cells["count"].cumsum() - cells["count"]
    metrics = [each for each in metrics if inside[each.key].notna().any()]
    keys = [each.key for each in metrics]
    middle = grouped[keys].median().reset_index()
    components = list(dict.fromkeys(cells["component"]))
    columns = [
        {"component": components.index(component), "label": label}
        for component, label in dict.fromkeys(zip(cells["component"], cells["label"], strict=True))
    ]
    places = {
        (components[each["component"]], each["label"]): place for place, each in enumerate(columns)
    }
    result: dict[str, Any] = {
        "components": [visible(name) for name in components],
        "columns": [{**each, "label": named(each["label"])} for each in columns],
        "metrics": [
            {
                "key": each.key,
                "label": each.label,
                "unit": each.unit,
                "scale": each.scale,
                "end": each.end or _end(middle, each.key),
                **({"span": each.span} if each.span else {}),
            }
            for each in metrics
        ],
        "cells": {
            "column": [places[key] for key in zip(cells["component"], cells["label"], strict=True)],
            "layer": [int(layer) for layer in cells["layer_index"]],
            "first": [int(place) for place in first],
            "count": [int(count) for count in cells["count"]],
        },
        "middle": {key: [rounded(value) for value in middle[key]] for key in keys},
    }
    if (cells["count"] > 1).any():
        for name, frame in (("low", grouped[keys].min()), ("high", grouped[keys].max())):
            result[name] = {key: [rounded(value) for value in frame[key]] for key in keys}
    return result


def _end(middle: pd.DataFrame, key: str) -> float:
    """A round deviation from the column's median that 95 % of the cells stay within."""
    medians = middle.groupby(["component", "label"])[key].transform("median")
    deviations = (middle[key] - medians).abs().dropna().astype(float)
    largest = float(np.quantile(deviations, 0.95)) if len(deviations) else 0.0
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest * 0.999)
