"""Functions for the cells of report 40 about the adapter plan."""

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.differences.adapter import FILES, adapter_sentence, not_kept
from blockresearch.report.differences.pair import PairResults
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import integer, percent
from blockresearch.report.words import escape, words
from blockresearch.text import short

# What sets the rank of a module.
LIMITS = {
    "energy": say("the share of Σ σ²"),
    "rounding": say("rounding to the stored types"),
    "max_rank": say("the largest rank allowed"),
}


def top(found: PairResults) -> Html:
    """The sentence, and links to the plan and the files of PEFT."""
    plan = found.adapter
    if plan is None:
        text = say("There is no plan of an adapter.")
        return Html(f"<p>{words(text)}</p>", text)
    text = adapter_sentence(plan)
    paths = ["../plans/adapter_plan.json", *(f"../{FILES}{name}" for name in plan["files"])]
    links = ", ".join(f'<a href="{escape(path)}">{escape(path[3:])}</a>' for path in paths)
    return Html(f"<p>{words(text)}</p><p>{links}</p>", "\n".join([text, *paths]))


def one_rank(found: PairResults) -> Html | None:
    """The error with one rank for all matrices, and that of the plan."""
    plan = found.adapter
    if plan is None or "predicted" not in plan:
        return None
    planned = {"rank": say("the plan"), **plan["predicted"]}
    rows = [{**each, "rank": integer(each["rank"])} for each in plan["curve"]]
    rows = sorted([*rows, planned], key=lambda row: row["parameters"])
    return table(
        pd.DataFrame(rows, dtype=object),
        {
            "rank": (say("rank"), None),
            "error": (say("‖Δ − BA‖ / ‖Δ‖"), percent),
            "parameters": (say("parameters"), integer),
        },
        say("One rank for all matrices, and the plan"),
    )


def modules(found: PairResults) -> Html | None:
    """The modules with their ranks, the largest share of the change first."""
    plan = found.adapter
    if plan is None or "predicted" not in plan:
        return None
    rows = pd.DataFrame(plan["modules"]).sort_values("share", ascending=False, kind="stable")
    rows = rows.assign(
        name=rows["name"].map(short),
        # As a column of text it would lose the messages.
        limit=pd.Series([LIMITS[limit] for limit in rows["limit"]], rows.index, dtype=object),
    )
    return table(
        rows,
        {
            "name": (say("module"), None),
            "rank": (say("rank"), integer),
            "limit": (say("set by"), None),
            "storage_rank": (say("rank of Δ"), integer),
            "error": (say("‖Δ − BA‖ / ‖Δ‖"), percent),
            "share": (say("share of ‖Δ‖²"), percent),
        },
        say("Modules with factors"),
    )


def rest(found: PairResults) -> Html | None:
    """What is in no factors."""
    rows = not_kept(found.adapter or {})
    if not rows:
        return None
    return table(
        pd.DataFrame(rows, columns=["reason", "share", "count", "names"], dtype=object),
        {
            "reason": (say("why"), None),
            "share": (say("share of ‖Δ‖²"), str),
            "count": (say("tensors"), str),
            "names": (say("which"), None),
        },
        say("Changes that the factors do not keep"),
    )
