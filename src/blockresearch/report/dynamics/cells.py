"""Functions for the cells of report 45, beside those of `notebook_cells`."""

from pathlib import Path

from blockresearch.report.dynamics import tables
from blockresearch.report.dynamics.curves import (
    HEADS_CAPTION,
    KINDS_CAPTION,
    NO_HEADS,
    heads_chart,
    kinds_chart,
    layers_caption,
    layers_charts,
)
from blockresearch.report.dynamics.run import TrainingResults
from blockresearch.report.dynamics.tables import Shown
from blockresearch.report.notebook_cells import Html, lead, show, table
from blockresearch.report.plots.curves import curves


def open_run(dynamics_dir: str) -> TrainingResults:
    """The results of the training run in the folder `dynamics_dir`."""
    return TrainingResults(Path(dynamics_dir))


def top(found: TrainingResults) -> Html:
    """The first paragraph: how much the run changed, and what else was seen."""
    return lead(found.headline(), found.sentences())


def kinds(found: TrainingResults) -> None:
    """Curves of medians, by kind of matrix."""
    chart = kinds_chart(found.matrices)
    show(curves(chart), KINDS_CAPTION, live=chart)


def layers(found: TrainingResults) -> None:
    """Curves of the layers, a figure for each metric."""
    for metric, chart in layers_charts(found.matrices):
        show(curves(chart), layers_caption(metric), live=chart)


def heads(found: TrainingResults) -> Html | None:
    """Curves of the attention heads that moved most, and their table."""
    chart = heads_chart(found.heads)
    show(chart and curves(chart), HEADS_CAPTION, NO_HEADS, live=chart)
    return shown(tables.heads(found))


def knees(found: TrainingResults) -> Html | None:
    """How many curves bend at a step."""
    return shown(tables.knees(found)) or lead(tables.NO_KNEES, [])


def steps(found: TrainingResults) -> Html | None:
    """One row for each step."""
    return shown(tables.steps(found))


def moved(found: TrainingResults) -> Html | None:
    """The matrices that moved most."""
    return shown(tables.moved(found))


def shown(own: Shown) -> Html | None:
    """A table of the page as one of the report; None without rows."""
    return table(own.rows, own.columns, own.caption) if len(own.rows) else None
