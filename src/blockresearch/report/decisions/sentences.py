"""What plans decided and predict, in a sentence each: for report 50 and the model's page."""

from collections.abc import Mapping
from typing import Any

from blockresearch.language.sentence import Sentence, declared, joined, say
from blockresearch.report.wording import fixed, integer, number, percent, size

CAVEAT = say(
    "Errors of weights rank the formats of one model, not models, and criteria that look at "
    "weights alone are heuristics: evaluate what a plan makes."
)


def of_quantization(plan: Mapping[str, Any]) -> Sentence:
    """Bits, bytes and error."""
    if "predicted" not in plan:
        return say("Quantization: no matrix of a linear layer can be quantized.")
    found = plan["predicted"]
    text = say(
        "Quantization for {engine}: {bits} bits per weight of the linear layers, {bytes} instead "
        "of {now}, a summed relative squared error of {error}.",
        engine=plan["engine"],
        bits=number(found["bits"]),
        bytes=size(found["bytes"]),
        now=size(found["checkpoint_bytes"]),
        error=number(found["error"]),
    )
    known = [each["sqnr_db"] for each in plan["matrices"] if each["sqnr_db"] is not None]
    if not known:
        return text
    low, high = fixed(min(known)), fixed(max(known))
    return joined(text, say("The SQNR of its matrices is {low} to {high} dB.", low=low, high=high))


def of_training(plan: Mapping[str, Any]) -> Sentence:
    """How many matrices are trained."""
    if "trained" not in plan:
        return say("Training: no matrix has a score.")
    return say(
        "Training by {criterion}: {count} of {total} matrices, {share} of their weights.",
        criterion=plan["inputs"]["criterion"],
        count=integer(sum(map(len, plan["trained"].values()))),
        total=integer(len(plan["matrices"])),
        share=percent(plan["trained_weights"] / plan["planned_weights"]),
    )


def of_sparsity(plan: Mapping[str, Any]) -> Sentence:
    """Which shares of a layer are pruned."""
    if "layers" not in plan:
        return say("Pruning: no plan, because a layer has no exponent or there are several stacks.")
    ratios = [layer["sparsity"] for layer in plan["layers"]]
    return say(
        "Pruning: from {low} to {high} of the weights of a layer.",
        low=percent(min(ratios)),
        high=percent(max(ratios)),
    )


def of_experts(plan: Mapping[str, Any]) -> Sentence:
    """How many experts stay, and what that saves."""
    if "predicted" not in plan:
        return say("No expert is dropped: {reason}.", reason=declared(plan["reason"]))
    found = plan["predicted"]
    return say(
        "By {criterion}, {kept} of {count} experts of each layer stay, and all tensors "
        "take {bytes} instead of {now}.",
        criterion=plan["inputs"]["criterion"],
        kept=integer(found["experts"]),
        count=integer(found["checkpoint_experts"]),
        bytes=size(found["bytes"]),
        now=size(found["checkpoint_bytes"]),
    )


def of_suspects(plan: Mapping[str, Any]) -> Sentence:
    """How much stands out."""
    return say(
        "Suspects: {count} weights or places stand out.", count=integer(len(plan["suspects"]))
    )


def of_merge(plan: Mapping[str, Any]) -> Sentence:
    """The method of a merge, and the cosines of the changes."""
    if "method" not in plan:
        return say("No merge is planned: {reason}.", reason=declared(plan["reason"]))
    cosines = [each["cosine"] for each in plan["agreement"]]
    return say(
        "Merge of {count} fine-tunes by {method}: cosines of their changes from {low} to {high}.",
        count=integer(len(plan["models"])),
        method=plan["method"],
        low=fixed(min(cosines)),
        high=fixed(max(cosines)),
    )


def of_repair(plan: Mapping[str, Any]) -> Sentence:
    """How much of a change is taken for noise."""
    if "removed" not in plan:
        return say("No repair is planned: {reason}.", reason=declared(plan["reason"]))
    return say(
        "{share} of ‖Δ‖² is taken for noise or rounding in {count} matrices; in {other} of "
        "them the two criteria disagree.",
        share=percent(plan["removed"]),
        count=integer(len(plan["matrices"])),
        other=integer(plan["disagreements"]),
    )
