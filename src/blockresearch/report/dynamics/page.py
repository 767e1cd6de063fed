"""The page of a training run: how far it moved, curves over its steps, and what moved most."""

from pathlib import Path

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.citation import ending
from blockresearch.report.differences.heat import relative
from blockresearch.report.dynamics.curves import MOST_LAYERS, kinds_chart, layers_charts
from blockresearch.report.dynamics.run import TrainingResults
from blockresearch.report.figures import scripts
from blockresearch.report.figures.live import chart_html
from blockresearch.report.pages import render
from blockresearch.report.wording import integer, number, size
from blockresearch.text import short, visible

# Rows of the table of what moved most; the files have all.
MOST_MOVED = 25

DOWNLOADS = {
    "dynamics.csv": say("one row per matrix and step (CSV)"),
    "dynamics.parquet": say("the same (Parquet)"),
}


def dynamics_page(folder: Path) -> str:
    """The page of the training run whose results are in `folder`, as HTML."""
    found = TrainingResults(folder)
    matrices = found.matrices
    return render(
        "dynamics.html.j2",
        *scripts.BASE,
        *scripts.REPORT_CHARTS,
        style_names=scripts.STYLES,
        title=say("Training of {model}, step by step", model=visible(folder.name)),
        headline=found.headline(),
        sentences=found.sentences(),
        kinds=chart_html(
            kinds_chart(matrices),
            say("Medians over the layers of each kind of matrix, by step."),
        ),
        layers=[
            (
                metric.column,
                metric.title,
                chart_html(
                    chart,
                    say(
                        "{metric} by step: light curves are near the input. Of more than {most} "
                        "layers, {most} that are evenly spaced are drawn.",
                        metric=metric.title,
                        most=MOST_LAYERS,
                    ),
                ),
            )
            for metric, chart in layers_charts(matrices)
        ],
        steps=_steps(found),
        moved=_moved(matrices),
        downloads=[
            {"path": path, "text": text, "size": size((folder / path).stat().st_size)}
            for path, text in DOWNLOADS.items()
            if (folder / path).is_file()
        ],
        ending=ending(found.facts),
    )


def _steps(found: TrainingResults) -> list[tuple[str, ...]]:
    """One row for each step: how much of it was read, and medians."""
    read = found.matrices.groupby("position")["is_read"].agg(["sum", "size"])
    return [
        (
            step,
            f"{integer(read.loc[place, 'sum'])} / {integer(read.loc[place, 'size'])}",
            _text(median["change_from_previous"], relative),
            _text(median["change_from_first"], relative),
            _text(median["delta_storage_rank"], lambda rank: integer(round(rank))),
            number(median["stable_rank"]),
            number(median["alpha"]),
        )
        for place, step in enumerate(found.steps)
        for median in [found.medians.loc[place]]
    ]


def _moved(matrices: pd.DataFrame) -> list[tuple[str, ...]]:
    """The matrices that the last step left farthest from the first."""
    last = matrices[matrices["position"] == matrices["position"].max()]
    last = last[last["change_from_first"] > 0]
    last = last.sort_values("change_from_first", ascending=False, kind="stable").head(MOST_MOVED)
    return [
        (
            short(f"{row['param_name']} {row['slice'] or ''}".rstrip()),
            _text(row["change_from_first"], relative),
            number(row["cosine_to_first"]),
            number(row["stable_rank"]),
        )
        for row in last.to_dict("records")
    ]


def _text(value: float, text) -> str:  # type: ignore[no-untyped-def]
    return "–" if pd.isna(value) else text(float(value))
