"""Functions for the cells of report 40 about the repair plan."""

import pandas as pd

from blockresearch.language.sentence import declared, joined, say
from blockresearch.report.decisions.sentences import of_repair
from blockresearch.report.differences.pair import PairResults
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import integer, number
from blockresearch.report.words import words
from blockresearch.text import short


def top(found: PairResults) -> Html:
    """How much of the change is taken for noise, or why there is no plan."""
    plan = found.repair
    if "removed" not in plan:
        text = say("There is no plan of a repair.")
        if "reason" in plan:
            text = of_repair(plan)
        return Html(f"<p>{words(text)}</p>", text)
    text = joined(of_repair(plan), declared(plan["caveat"]))
    links = ("plans/repair_plan.json", "plans/repair/repair.json")
    html = ", ".join(f'<a href="../{path}">{path}</a>' for path in links)
    return Html(f"<p>{words(text)}</p><p>{html}</p>", "\n".join([text, *links]))


def matrices(found: PairResults) -> Html | None:
    """The matrices with their ranks, the largest changes first."""
    known = found.repair.get("matrices", [])
    if not known:
        return None
    rows = pd.DataFrame(known).sort_values("delta_norm", ascending=False, kind="stable")
    answers = [say("yes") if each else say("no") for each in rows["disagrees"]]
    return table(
        rows.assign(
            name=rows["name"].map(short),
            # As a column of text it would lose the messages.
            disagrees=pd.Series(answers, rows.index, dtype=object),
        ),
        {
            "name": (say("tensor"), None),
            "donoho_rank": (say("beyond noise"), integer),
            "storage_rank": (say("beyond rounding"), integer),
            "rank": (say("kept"), integer),
            "disagrees": (say("disagreement"), None),
            "delta_norm": (say("‖Δ‖"), number),
            "kept_norm": (say("‖Δ‖ that is kept"), number),
        },
        say("Directions of each change"),
    )
