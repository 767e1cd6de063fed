"""Functions for the cells of report 40, beside those of `notebook_cells`."""

from pathlib import Path

from blockresearch.report.differences.changed import what_changed
from blockresearch.report.differences.heat import relative
from blockresearch.report.differences.pair import PairResults
from blockresearch.report.notebook_cells import Html, integer, lead, percent, table
from blockresearch.text import short

# Rows of the table of the report.
ROWS = 25


def open_comparison(compare_dir: str) -> PairResults:
    """The results of the comparison in the folder `compare_dir`."""
    return PairResults(Path(compare_dir))


def top(found: PairResults) -> Html:
    """The first paragraph: what kind of change it is, and what else was seen."""
    return lead(found.headline(), [verdict["text"] for verdict in found.verdicts[1:]])


def most_changed(found: PairResults) -> Html:
    """The matrices that changed most, relative to their size."""
    changed = found.differences[found.differences["relative_change"] > 0]
    changed = changed.sort_values("relative_change", ascending=False, kind="stable").head(ROWS)
    changed = changed.assign(
        name=[short(name) for name in changed["param_name"]],
        what=[what_changed(row) for row in changed.to_dict("records")],
    )
    return table(
        changed,
        {
            "name": ("tensor of the base", None),
            "relative_change": ("relative change", relative),
            "changed": ("codes changed", percent),
            "delta_storage_rank": ("rank of Δ", integer),
            "what": ("what changed", None),
        },
        "The most changed matrices and tensors",
    )
