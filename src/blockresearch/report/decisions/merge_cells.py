"""Functions for the cells of report 50 about the merge plan."""

import pandas as pd

from blockresearch.language.sentence import declared, joined, say
from blockresearch.report.decisions import sentences
from blockresearch.report.decisions.cells import Plans
from blockresearch.report.notebook_cells import Html, table
from blockresearch.report.wording import fixed, integer, number, percent
from blockresearch.report.words import words
from blockresearch.text import short

LINK = "../plans/merge/mergekit.yaml"


def top(plans: Plans) -> Html:
    """What is recommended, or why there is no plan."""
    plan = plans.merge
    if "method" in plan:
        text = joined(
            declared(plan["caveat"]),
            say(
                "The method is {method}: {why}.",
                method=plan["method"],
                why=declared(plan["method_reason"]),
            ),
        )
        link = f'<p><a href="{LINK}">{LINK[3:]}</a></p>'
        return Html(f"<p>{words(text)}</p>{link}", f"{text}\n{LINK}")
    text = say("A merge is planned if several fine-tunes are compared with this model.")
    if "reason" in plan:
        text = sentences.of_merge(plan)
    return Html(f"<p>{words(text)}</p>", text)


def agreement(plans: Plans) -> Html | None:
    """How two fine-tunes agree."""
    rows = pd.DataFrame(plans.merge.get("agreement", []))
    if rows.empty:
        return None
    return table(
        rows.assign(one=rows["one"].map(short), other=rows["other"].map(short)),
        {
            "one": (say("fine-tune"), None),
            "other": (say("and"), None),
            "matrices": (say("matrices"), integer),
            "cosine": (say("cosine of the changes"), fixed),
            "conflict": (say("opposite signs (0.5 by chance)"), fixed),
            "left_overlap": (say("overlap, left"), fixed),
            "right_overlap": (say("overlap, right"), fixed),
        },
        say("How the changes of fine-tunes agree"),
    )


def models(plans: Plans) -> Html | None:
    """The fine-tunes with the weights of the plan."""
    known = plans.merge.get("models", [])
    if not known:
        return None
    rows = pd.DataFrame([{**each, **each["weights"]} for each in known])
    return table(
        rows.assign(model=rows["model"].map(short)),
        {
            "model": (say("fine-tune"), None),
            "delta_norm": (say("‖Δ‖"), number),
            "density": (say("density"), percent),
            "self_attn": (say("weight of attention"), fixed),
            "mlp": (say("weight of MLP"), fixed),
            "other": (say("other weights"), fixed),
        },
        say("Weights of the merge"),
    )
