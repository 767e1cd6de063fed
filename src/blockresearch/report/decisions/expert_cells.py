"""Functions for the cells of report 50 about experts to drop, a plan on request."""

import pandas as pd

from blockresearch.language.sentence import declared, joined, say
from blockresearch.report.decisions import sentences
from blockresearch.report.decisions.cells import Plans
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import integer
from blockresearch.report.words import words
from blockresearch.text import short

LINK = "../plans/experts/expert_pruner.json"


def top(plans: Plans) -> Html:
    """What is dropped, or why there is no plan."""
    plan = plans.experts
    if "predicted" in plan:
        text = joined(declared(plan["caveat"]), sentences.of_experts(plan))
        link = f'<p><a href="{LINK}">{LINK[3:]}</a></p>'
        return Html(f"<p>{words(text)}</p>{link}", f"{text}\n{LINK}")
    text = say("Experts to drop are planned on request (plans.experts.share).")
    if "reason" in plan:
        text = sentences.of_experts(plan)
    return Html(f"<p>{words(text)}</p>", text)


def dropped(plans: Plans) -> Html | None:
    """The experts of each layer, by reason."""
    rows = pd.DataFrame(plans.experts.get("dropped", []))
    if rows.empty:
        return None
    groups = rows.groupby(["component", "layer", "reason"], sort=False)["expert"]
    found = pd.DataFrame(
        [
            {
                "layer": layer,
                "experts": ", ".join(map(str, numbers)),
                "reason": declared(short(reason)),
            }
            for (_, layer, reason), numbers in groups
        ],
        # As a column of text the last one would lose its message.
        dtype=object,
    )
    return table(
        found,
        {
            "layer": (say("layer"), integer),
            "experts": (say("experts"), None),
            "reason": (say("why they are dropped"), None),
        },
        say("Experts to drop by layer"),
    )
