"""Tables of a training run, which its page and its report show: steps, matrices, heads, knees."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from blockresearch.language.sentence import Sentence, say
from blockresearch.report.differences.heat import relative
from blockresearch.report.dynamics.run import TrainingResults
from blockresearch.report.wording import integer, number
from blockresearch.tables.training_steps import FEWEST_STEPS
from blockresearch.text import short

# Rows of the tables of what moved most; the files have all.
MOST_MOVED, MOST_HEADS = 25, 12

# The curves that have knees, in the order of the table.
CURVES = {
    "frobenius_norm": say("Frobenius norm"),
    "stable_rank": say("stable rank"),
    "alpha": say("power-law exponent α"),
    "change_from_first": say("change from the first step"),
    **{
        f"{letter}_change_from_first": say(
            "{part} of a head: change from the first step", part=part
        )
        for letter, part in zip("qkvo", ("q", "k", "v", "o"), strict=True)
    },
}

NO_KNEES = say("A knee needs at least {count} steps.", count=FEWEST_STEPS)

Columns = Mapping[str, tuple[str, Callable[[Any], str] | None]]


@dataclass(frozen=True)
class Shown:
    """A table for people: its rows, and for each column a heading and the text of a number."""

    rows: pd.DataFrame
    columns: Columns
    caption: Sentence

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """The headings, and whether their column has texts."""
        return [(heading, form is None) for heading, form in self.columns.values()]

    def texts(self) -> Iterator[list[str]]:
        """The cells of each row, an en dash if missing."""
        for row in self.rows.to_dict("records"):
            yield [
                "–" if pd.isna(row[name]) else form(row[name]) if form else row[name]
                for name, (_, form) in self.columns.items()
            ]


def steps(found: TrainingResults) -> Shown:
    """One row for each step: how much of it was read, and medians."""
    read = found.matrices.groupby("position")["is_read"].agg(["sum", "size"])
    rows = found.medians.assign(
        step=found.steps,
        read=[f"{integer(own['sum'])} / {integer(own['size'])}" for _, own in read.iterrows()],
    )
    return Shown(
        rows,
        {
            "step": (say("step"), None),
            "read": (say("matrices read"), str),
            "change_from_previous": (say("change from the step before"), relative),
            "change_from_first": (say("change from the first step"), relative),
            "delta_storage_rank": (say("rank of Δ"), _rounded),
            "stable_rank": (say("stable rank"), number),
            "alpha": ("α", number),
        },
        say(
            "Medians over all matrices. Changes are relative to the norm; the rank belongs to the "
            "change since the step before."
        ),
    )


def moved(found: TrainingResults) -> Shown:
    """The matrices that the last step left farthest from the first."""
    last = found.matrices[found.matrices["position"] == found.matrices["position"].max()]
    last = last[last["change_from_first"] > 0]
    last = last.sort_values("change_from_first", ascending=False, kind="stable").head(MOST_MOVED)
    names = last["param_name"] + " " + last["slice"].fillna("")
    return Shown(
        last.assign(name=[short(name.rstrip()) for name in names]),
        {
            "name": (say("tensor"), None),
            "change_from_first": (say("change from the first step"), relative),
            "cosine_to_first": (say("cosine"), number),
            "stable_rank": (say("stable rank"), number),
        },
        say("The last step against the first"),
    )


def heads(found: TrainingResults) -> Shown:
    """The attention heads of which a part moved most until the last step."""
    last = found.last_heads
    changes = [f"{letter}_change_from_first" for letter in "qkvo"]
    most = last[changes].astype(float).max(axis=1)
    order = most[most > 0].sort_values(ascending=False, kind="stable").index[:MOST_HEADS]
    last = last.loc[order]
    places = last["component"] + " " + last["layer_index"].astype("string").fillna("")
    return Shown(
        last.assign(place=[short(place.rstrip()) for place in places]),
        {
            "place": (say("layer"), None),
            "head": (say("head"), integer),
            "kv_head": (say("key-value head"), integer),
            **{name: (say(name[0]), relative) for name in changes},
        },
        say(
            "Change of the rows of q, k and v and of the columns of o from the first step to the "
            "last; heads of a group share k and v"
        ),
    )


def knees(found: TrainingResults) -> Shown:
    """How many curves of each kind have a knee, and at which step most of them."""
    rows = []
    for metric, title in CURVES.items():
        own = found.knees[found.knees["metric"] == metric]
        bent = own[own["step"].notna()]
        steps = bent["step"].value_counts()
        if len(own):
            rows.append(
                {
                    "curve": title,
                    "curves": len(own),
                    "bent": len(bent),
                    "step": f"{short(steps.index[0])} ({steps.iloc[0]})" if len(bent) else "–",
                    "slope_ratio": bent["slope_ratio"].astype(float).median(),
                }
            )
    columns: Columns = {
        "curve": (say("curve"), None),
        "curves": (say("curves"), integer),
        "bent": (say("with a knee"), integer),
        "step": (say("most often at step"), None),
        "slope_ratio": (say("slope after / before (median)"), number),
    }
    caption = say("Curves over the steps that bend at one of them")
    return Shown(pd.DataFrame(rows, columns=list(columns), dtype=object), columns, caption)


def _rounded(rank: float) -> str:
    return integer(round(rank))
