"""What the adapter plan of a comparison says, in sentences."""

from collections.abc import Mapping
from typing import Any

from blockresearch.language.sentence import Sentence, declared, joined, say
from blockresearch.report.wording import integer, percent
from blockresearch.text import short

# Folder of the files, seen from the page.
FILES = "plans/adapter/"

# Names of tensors that stand for a group of them.
NAMED = 3


def adapter_sentence(plan: Mapping[str, Any]) -> Sentence:
    """How much of the change the planned adapter keeps."""
    if "reason" in plan:
        return say("No adapter is planned: {reason}.", reason=declared(plan["reason"]))
    found = plan["predicted"]
    ranks = [module["rank"] for module in plan["modules"]]
    text = say(
        "An adapter of rank {ranks} in {modules} modules, {parameters} parameters, keeps "
        "{kept} of ‖Δ‖². In these modules ‖Δ − BA‖ / ‖Δ‖ is {error}.",
        ranks="–".join(map(integer, sorted({min(ranks), max(ranks)}))),
        modules=integer(len(ranks)),
        parameters=integer(found["parameters"]),
        kept=percent(found["kept"]),
        error=percent(found["error"]),
    )
    if plan["saved"]:
        text = joined(
            text,
            say(
                "{share} is in modules that are stored as a whole: {names}.",
                share=percent(found["saved"]),
                names=", ".join(map(short, plan["saved"][:NAMED]))
                + (" …" if len(plan["saved"]) > NAMED else ""),
            ),
        )
    return joined(text, declared(plan["caveat"]))


def not_kept(plan: Mapping[str, Any]) -> list[tuple[Sentence, str, str, str]]:
    """What is in no factors: reason, share of ‖Δ‖², number of tensors, the first names."""
    return [
        (
            declared(group["reason"]),
            percent(group["share"]),
            integer(len(group["tensors"])),
            ", ".join(map(short, group["tensors"][:NAMED]))
            + (" …" if len(group["tensors"]) > NAMED else ""),
        )
        for group in plan.get("not_kept", ())
    ]
