"""Charts over the depth of a model: curves, spectra, scales of the normalization layers."""

import numpy as np
import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.blocks import color, ordered
from blockresearch.report.figures.charts import Axis, Chart, Mark, Panel, Series, numbers, positive
from blockresearch.report.figures.details import positions
from blockresearch.report.plots.layers import ordered_labels, with_labels
from blockresearch.report.plots.spectra import LOWEST, chosen_for_spectra
from blockresearch.report.plots.style import PALETTE
from blockresearch.report.wording import by_component
from blockresearch.text import short

LAYER = say("layer (0 is next to the input)")

# Columns of the table layers, and what they are.
CURVES = {
    "std": say("standard deviation"),
    "stable_rank": say("stable rank"),
    "spectral_norm": say("spectral norm σ₁"),
}

# Colors of the first, the middle and the last layer.
HUES = {"first": "#56b4e9", "middle": "#0072b2", "last": "#d55e00"}

MOST_PANELS = 12


def depth_chart(layers: pd.DataFrame) -> Chart | None:
    """CURVES of the table layers over depth, logarithmic.

    A panel for each component and curve; None with fewer than two numbered layers.
    """
    rows = with_labels(layers)
    metrics = {name: label for name, label in CURVES.items() if rows[name].notna().any()}
    if rows.empty or not metrics or rows["layer_index"].nunique() < 2:
        return None
    components = by_component(rows["component"])
    panels = []
    for column, title in metrics.items():
        for component in components:
            own = rows[rows["component"] == component]
            series = []
            for label in ordered_labels(own):
                line = own[own["label"] == label].sort_values("layer_index")
                block, role = str(line["block_type"].iloc[0]), line["role"].iloc[0]
                is_dashed = label != block and role not in ("self", "routed")
                x = numbers(line["layer_index"])
                series.append(
                    Series(label, color(block), x, positive(line[column]), dash=is_dashed)
                )
            name = (
                say("{title} ({component})", title=title, component=short(component))
                if len(components) > 1
                else title
            )
            panels.append(Panel(name, Axis(LAYER), Axis(title, log=True), tuple(series)))
    return Chart("depth", tuple(panels), cols=len(components) if len(components) > 1 else 3)


def spectra_chart(data: pd.DataFrame, matrices: pd.DataFrame) -> Chart | None:
    """Singular values of the first, middle and last layer, a panel for each block type.

    `data` is the table spectra, of which the rows of `plots.spectra.spectra_shown` suffice.
    """
    table = chosen_for_spectra(data, matrices)
    if table.empty:
        return None
    table = table.sort_values("place", key=lambda places: places.map(list(HUES).index))
    blocks = ordered(table["block_type"])
    panels = []
    for block in blocks[:MOST_PANELS]:
        series, marks = [], []
        highest = 0.0
        for row in table[table["block_type"] == block].to_dict("records"):
            values = np.asarray(row["singular_values"], dtype=float)
            values = values[values > 0]
            if not len(values):
                continue
            at = positions(len(values))
            highest = max(highest, float(values[0]))
            label = {
                "first": say("first layer"),
                "middle": say("middle layer"),
                "last": say("last layer"),
            }[row["place"]]
            hue = HUES[row["place"]]
            series.append(Series(label, hue, at.tolist(), positive(values[at - 1])))
            if pd.notna(row["mp_edge"]):
                marks.append(Mark(hue, y=float(row["mp_edge"])))
        if series:
            marks[:1] = [Mark(marks[0].color, say("noise edge"), y=marks[0].y)] if marks else []
            y = Axis(say("singular value σ"), log=True, least=highest * LOWEST)
            x = Axis(say("number of the singular value"), log=True)
            panels.append(Panel(str(block), x, y, tuple(series), tuple(marks)))
    return Chart("spectra", tuple(panels), cols=3) if panels else None


def norm_chart(params: pd.DataFrame, offset: float = 0) -> Chart | None:
    """Scales of the normalization layers over depth: size of their median per kind, logarithmic.

    `offset` is what the model adds to the stored scales γ when it uses them. One panel for each
    component; None with fewer than two numbered layers.
    """
    rows = params[
        (params["block_type"] == "norm")
        & params["layer_index"].notna()
        & ~params["is_bias"].fillna(False)
        & params["q50"].notna()
    ]
    if rows.empty or rows["layer_index"].nunique() < 2:
        return None
    rows = rows.assign(
        kind=rows["projection"].fillna("norm"), component=rows["component"].fillna("")
    )
    kinds = sorted(rows["kind"].unique())
    panels = []
    for component in by_component(rows["component"]):
        series = []
        for place, kind in enumerate(kinds):
            own = rows[(rows["component"] == component) & (rows["kind"] == kind)]
            own = own.sort_values("layer_index")
            hue = PALETTE[place % len(PALETTE)]
            x = numbers(own["layer_index"])
            series.append(Series(short(kind), hue, x, positive((own["q50"] + offset).abs())))
        panels.append(
            Panel(
                say("Scales of the normalization layers ({component})", component=component)
                if component
                else say("Scales of the normalization layers"),
                Axis(LAYER),
                Axis(say("|1 + γ|, median") if offset else say("|γ|, median"), log=True),
                tuple(one for one in series if len(one.x)),
            )
        )
    return Chart("norms", tuple(panels))
