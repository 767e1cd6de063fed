"""Findings about depth: extremes within a kind of matrix, changes over layers, norms, experts."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.language.sentence import Sentence, declared, in_series, joined, listed, say
from blockresearch.report.findings.kinds import against_kind, by_layer, in_layers, named
from blockresearch.report.findings.record import Finding, Place, place_of
from blockresearch.report.wording import aligned, integer, number, percent
from blockresearch.tables.columns import (
    find_column,
)

# A smaller ratio is reported as a small difference.
NOTABLE = 1.25

# A matrix this far from its kind is named even if another is farther.
FAR = 2.0

# Layers below which a step over depth is not looked for; two layers on each side at least.
STEP_LAYERS, STEP_SIDE = 6, 2

# A step is a factor of two.
STEP_RATIO = 2.0

# Of the squares that a line leaves, a step over n layers may leave STEP_SLOPE · ln n - STEP_OFFSET.
# Simulated trends with correlated noise pass for a step in about one of 100 series at this limit,
# for 6 to 80 layers; see docs/findings.md.
STEP_SLOPE, STEP_OFFSET = 0.14, 0.12

# Growth of the median scale of a norm from the first to the last third of the layers.
GROWTH = 4.0

# Spread (std / mean) over the layers below which a scale is constant. Initialization leaves
# 1 / √(2 N), 0.1 % for half a million weights, training usually several percent.
CONSTANT = 0.005

CONSTANT_LAYERS = 4


def depth_findings(
    params: pd.DataFrame, matrices: pd.DataFrame, summary: Mapping[str, Any], adds_one: bool
) -> Iterator[Finding]:
    """The findings about depth, most important first."""
    rows = in_layers(matrices)
    if rows.empty:
        return
    constant = list(constant_norms(rows, summary))
    yield from constant
    yield from change_points(rows)
    yield from norm_growth(params, adds_one)
    yield from farthest(rows, "stable_rank", below=True)
    yield from farthest(rows, "spectral_norm", below=False)
    if not constant:
        yield from scale_change(rows)
    yield from odd_expert(rows)


def farthest(matrices: pd.DataFrame, column: str, below: bool) -> Iterator[Finding]:
    """The matrices whose `column` is farthest below or above the median of their kind."""
    rows = against_kind(matrices, column)
    if rows.empty:
        return
    rows = rows if below else rows.iloc[::-1]
    distance = 1 / rows["ratio"] if below else rows["ratio"]
    shown = rows[(distance >= FAR) | (distance.index == rows.index[0])].head(3)
    title = declared(find_column("matrices", column).title)
    places = tuple(place_of(row) for _, row in shown.iterrows())
    first = shown.iloc[0]
    is_far = float(distance.iloc[0]) >= NOTABLE

    def with_median(place: Place, row: pd.Series) -> Sentence:
        return say(
            "{matrix} with {value} (median of {kind}: {median})",
            matrix=place.matrix,
            value=aligned(row[column]),
            kind=named(row, matrices),
            median=aligned(row["median"]),
        )

    matrix = with_median(places[0], first)
    text = (
        say("Lowest {column} for its kind: {matrix}.", column=title, matrix=matrix)
        if below
        else say("Highest {column} for its kind: {matrix}.", column=title, matrix=matrix)
    )
    if not is_far:
        text = (
            say("No outlying {column}; lowest for its kind: {matrix}.", column=title, matrix=matrix)
            if below
            else say(
                "No outlying {column}; highest for its kind: {matrix}.", column=title, matrix=matrix
            )
        )
    if len(places) > 1:
        others = [
            with_median(place, row)
            for place, (_, row) in zip(places[1:], list(shown.iterrows())[1:], strict=True)
        ]
        text = joined(text, say("Next: {matrices}.", matrices=listed(others)))
    yield Finding(
        f"{column}_{'lowest' if below else 'highest'}",
        "depth",
        "notable" if float(distance.iloc[0]) >= FAR else "note",
        text,
        places,
        f"matrices.{column}",
        float(first[column]),
        float(first["median"]),
        why=say(
            "The first singular direction of the lowest has {share} of its energy (1 / stable "
            "rank).",
            share=percent(1 / float(first[column])),
        )
        if below
        else "The spectral norm is the largest factor by which a matrix stretches a vector. A norm "
        "before the matrix can scale its input down in turn.",
        action="Compare its spectrum and its largest weights with the layers next to it.",
    )


def change_points(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The clearest step over depth, for each of three columns the clearest."""
    found = []
    for column in ("stable_rank", "spectral_norm", "std"):
        steps = [
            (step, own)
            for own, values in by_layer(matrices, column)
            if (step := largest_step(np.log(values))) is not None
        ]
        if steps:
            (at, size), own = max(steps, key=lambda pair: abs(pair[0][1]))
            found.append((abs(size), column, at, own))
    if not found:
        return
    found.sort(key=lambda entry: -entry[0])
    texts, places = [], []
    for _, column, at, own in found:
        before, after = own.iloc[:at], own.iloc[at:]
        title = declared(find_column("matrices", column).title)
        layers = own["layer_index"]
        low, high = (
            float(np.exp(np.log(part[column].astype(float)).mean())) for part in (before, after)
        )
        texts.append(
            say(
                "the {column} of {kind} rises from {low} (layers {first} to {before}) to {high} "
                "(layers {after} to {last})"
                if high > low
                else "the {column} of {kind} falls from {low} (layers {first} to {before}) to "
                "{high} (layers {after} to {last})",
                column=title,
                kind=named(own.iloc[0], matrices),
                low=aligned(low),
                high=aligned(high),
                first=integer(layers.iloc[0]),
                before=integer(layers.iloc[at - 1]),
                after=integer(layers.iloc[at]),
                last=integer(layers.iloc[-1]),
            )
        )
        places.append(place_of(after.iloc[0]))
        if len(texts) == 1:
            value, reference, metric = high, low, f"matrices.{column}"
    yield Finding(
        "change_points",
        "depth",
        "notable",
        say("A step over depth: {steps}. Values are geometric means.", steps=in_series(texts)),
        tuple(dict.fromkeys(places)),
        metric,
        value,
        reference,
        why="A step instead of a trend suggests that layers before and after it do different work, "
        "or were trained or initialized differently.",
        action="Choose ranks, bits or learning rates for the two groups separately.",
    )


def largest_step(logs: np.ndarray) -> tuple[int, float] | None:
    """The split of `logs` [n] with the smallest squares, and the difference of the means.

    Source: the least squares change point of Bai 1994, J. Time Series Analysis 15(5), 453–472.

    None if there are fewer than STEP_LAYERS values, if the means differ by less than a factor of
    STEP_RATIO, if the values before and after overlap, or if a line fits about as well.
    """
    if len(logs) < STEP_LAYERS:
        return None
    splits = range(STEP_SIDE, len(logs) - STEP_SIDE + 1)
    at = min(splits, key=lambda k: _squares(logs[:k]) + _squares(logs[k:]))
    before, after = logs[:at], logs[at:]
    size = float(after.mean() - before.mean())
    apart = before.max() < after.min() or before.min() > after.max()
    if abs(size) < math.log(STEP_RATIO) or not apart:
        return None
    depth = np.arange(len(logs))
    line = np.polyval(np.polyfit(depth, logs, 1), depth)
    left = _squares(before) + _squares(after)
    limit = STEP_SLOPE * math.log(len(logs)) - STEP_OFFSET
    return (at, size) if left <= limit * float(((logs - line) ** 2).sum()) else None


def _squares(values: np.ndarray) -> float:
    return float(((values - values.mean()) ** 2).sum())


def norm_growth(params: pd.DataFrame, adds_one: bool) -> Iterator[Finding]:
    """The kind of norm whose scale grows most over the depth."""
    rows = params[
        (params["block_type"] == "norm")
        & params["layer_index"].notna()
        & ~params["is_bias"].fillna(False).astype(bool)
        & params["q50"].notna()
    ]
    best: tuple[float, Sentence, pd.DataFrame, float, float] | None = None
    for (component, _, kind), own in rows.groupby(
        ["component", "role", "projection"], dropna=False, sort=True
    ):
        own = own.sort_values("layer_index", kind="stable")
        third = len(own) // 3
        if not third or own["layer_index"].duplicated().any():
            continue
        scales = np.abs(own["q50"].to_numpy(dtype=float) + float(adds_one))
        first, last = float(np.median(scales[:third])), float(np.median(scales[-third:]))
        if first > 0 and last / first >= GROWTH and (best is None or last / first > best[0]):
            name = say("{name}", name=kind)
            if rows["component"].nunique() > 1:
                name = say("{kind} of the {component}", kind=name, component=component)
            best = last / first, name, own, first, last
    if best is None:
        return
    ratio, name, own, first, last = best
    yield Finding(
        "norm_growth",
        "depth",
        "notable",
        say(
            "{name} grows {ratio}-fold over the depth: the median scale (1 + γ, as applied) is "
            "{first} in the first third of the layers and {last} in the last."
            if adds_one
            else "{name} grows {ratio}-fold over the depth: the median scale is {first} in the "
            "first third of the layers and {last} in the last.",
            name=name,
            ratio=number(ratio, 2),
            first=aligned(first),
            last=aligned(last),
        ),
        (place_of(own.iloc[-1]), place_of(own.iloc[0])),
        "params.q50",
        last,
        first,
        why="Each normalized vector is multiplied by this scale, so activations after these norms "
        "grow with the depth.",
        action="Measure activations layer by layer before you quantize them, and check that they "
        "stay below 65,504 before you run the model in float16.",
    )


def constant_norms(matrices: pd.DataFrame, summary: Mapping[str, Any]) -> Iterator[Finding]:
    """Kinds of matrices with the same scale in every layer. Source: arXiv:2410.01131, nGPT."""
    kinds = [
        (own, values)
        for own, values in by_layer(matrices, "std")
        if len(values) >= CONSTANT_LAYERS and own["rows"].gt(1).all() and own["cols"].gt(1).all()
    ]
    constant = [(own, values) for own, values in kinds if values.std() <= CONSTANT * values.mean()]
    if not constant or 2 * len(constant) < len(kinds):
        return
    names = listed([named(own.iloc[0], matrices) for own, _ in constant[:6]])
    rejected = pd.concat([own["mp_rejected"] for own, _ in constant]).dropna().astype(bool)
    is_noise = len(rejected) > 0 and not rejected.any()
    spread = max(float(values.std() / values.mean()) for _, values in constant)
    own, _ = constant[0]
    text = say(
        "{count} of {total} kinds of matrices ({names}) have the same scale in all layers: their "
        "standard deviations differ by at most {spread} (std / mean).",
        count=integer(len(constant)),
        total=integer(len(kinds)),
        names=names,
        spread=percent(spread),
    )
    if summary.get("mean_norm") and summary["std_norm"] <= CONSTANT * summary["mean_norm"]:
        rows = say(
            "All rows of the token embedding have the same length ({length}).",
            length=aligned(summary["mean_norm"]),
        )
        text = joined(text, rows)
    if is_noise:
        text = joined(text, say("Their spectra look like noise, as before training."))
    yield Finding(
        "constant_norms",
        "training",
        "warning" if is_noise else "notable",
        text,
        (place_of(own.iloc[0]), place_of(own.iloc[-1])),
        "matrices.std",
        spread,
        CONSTANT,
        why="Weights with a fixed norm (as in weight normalization or nGPT) carry no information "
        "in their scale.",
        action="Check that the checkpoint is the trained one."
        if is_noise
        else "Compare directions and norm scales γ between layers, not standard deviations.",
    )


def scale_change(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The kind whose std differs most between the first and the last third of the depth."""
    best: tuple[float, pd.DataFrame, float, float] | None = None
    for own, values in by_layer(matrices, "std"):
        third = len(values) // 3
        if third:
            first, last = float(values[:third].mean()), float(values[-third:].mean())
            ratio = max(first, last) / min(first, last)
            if best is None or ratio > best[0]:
                best = ratio, own, first, last
    if best is None:
        return
    ratio, own, first, last = best
    name = named(own.iloc[0], matrices)
    numbers = {"name": name, "first": aligned(first), "last": aligned(last)}
    text = say(
        "Standard deviations change little with depth, most in {name}: {first} in the first third "
        "of the layers, {last} in the last third (means).",
        **numbers,
    )
    if ratio >= NOTABLE:
        text = say(
            "Over the layers, the standard deviation of {name} changes most: it grows from {first} "
            "in the first third to {last} in the last third (means)."
            if last > first
            else "Over the layers, the standard deviation of {name} changes most: it falls from "
            "{first} in the first third to {last} in the last third (means).",
            **numbers,
        )
    yield Finding(
        "scale_change",
        "depth",
        "note",
        text,
        (place_of(own.iloc[0]), place_of(own.iloc[-1])),
        "matrices.std",
        last,
        first,
        why="One scale or threshold for all layers (quantization, pruning) fits such matrices "
        "worse. The change by training cannot be seen without the initial weights.",
    )


def odd_expert(matrices: pd.DataFrame) -> Iterator[Finding]:
    """The routed expert whose std differs most from the others of its layer."""
    rows = matrices[matrices["expert_index"].notna() & (matrices["std"] > 0)]
    keys = ["component", "layer_index", "projection"]
    if rows.empty:
        return
    typical = rows.groupby(keys, dropna=False)["std"].transform("median").astype(float)
    ratio = rows["std"].astype(float) / typical
    ratio = np.maximum(ratio, 1 / ratio)
    at = ratio.idxmax()
    row, most = rows.loc[at], float(ratio[at])
    part = say("matrix") if pd.isna(row["projection"]) else row["projection"]
    text = say(
        "The experts of each layer are alike: no standard deviation differs by more than {share} "
        "from the median of its layer.",
        share=percent(most - 1),
    )
    if most >= NOTABLE:
        text = say(
            "The expert that differs most from the rest of its layer is expert {expert} of layer "
            "{layer}: the standard deviation of its {part} is {std} (median {median}).",
            expert=integer(row["expert_index"]),
            layer=integer(row["layer_index"]),
            part=part,
            std=aligned(row["std"]),
            median=aligned(typical[at]),
        )
    yield Finding(
        "odd_expert",
        "depth",
        "notable" if most >= FAR else "note",
        text,
        (place_of(row),) if most >= NOTABLE else (),
        "matrices.std",
        float(row["std"]),
        float(typical[at]),
        why="An expert of unusual scale was used more, or less, than the others.",
        action="Compare how often the router chooses it before pruning or merging experts.",
    )
