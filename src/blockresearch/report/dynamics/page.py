"""The page of a training run: how far it moved, curves over its steps, and what moved most."""

from pathlib import Path

from blockresearch.language.sentence import say
from blockresearch.report.citation import ending
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
from blockresearch.report.figures import scripts
from blockresearch.report.figures.live import chart_html
from blockresearch.report.pages import render
from blockresearch.report.wording import size
from blockresearch.text import visible

DOWNLOADS = {
    "dynamics.csv": say("one row per matrix and step (CSV)"),
    "dynamics.parquet": say("the same (Parquet)"),
    "dynamics_heads.csv": say("one row per attention head and step (CSV)"),
    "dynamics_heads.parquet": say("the same (Parquet)"),
    "knees.csv": say("one row per curve, with the step at which it bends (CSV)"),
    "knees.parquet": say("the same (Parquet)"),
    "reports/45_dynamics.ipynb": say("notebook of the report"),
}


def dynamics_page(folder: Path) -> str:
    """The page of the training run whose results are in `folder`, as HTML."""
    found = TrainingResults(folder)
    matrices = found.matrices
    drawn = heads_chart(found.heads)
    return render(
        "dynamics.html.j2",
        *scripts.BASE,
        *scripts.REPORT_CHARTS,
        style_names=scripts.STYLES,
        title=say("Training of {model}, step by step", model=visible(folder.name)),
        headline=found.headline(),
        sentences=found.sentences(),
        kinds=chart_html(kinds_chart(matrices), KINDS_CAPTION),
        layers=[
            (
                metric.column,
                metric.title,
                chart_html(chart, layers_caption(metric)),
            )
            for metric, chart in layers_charts(matrices)
        ],
        heads_chart=drawn and chart_html(drawn, HEADS_CAPTION),
        steps=tables.steps(found),
        moved=tables.moved(found),
        heads=tables.heads(found),
        knees=tables.knees(found),
        no_heads=NO_HEADS,
        no_knees=tables.NO_KNEES,
        downloads=[
            {"path": path, "text": text, "size": size((folder / path).stat().st_size)}
            for path, text in DOWNLOADS.items()
            if (folder / path).is_file()
        ],
        ending=ending(found.facts),
    )
