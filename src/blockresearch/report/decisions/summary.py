"""The plans that exist of a model, as its page shows them: a sentence each, and links to files."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from blockresearch.files import read_json
from blockresearch.language.sentence import Sentence, say
from blockresearch.report.decisions import sentences
from blockresearch.report.differences.adapter import adapter_sentence
from blockresearch.report.differences.links import BETWEEN, FOLDER, partners

Say = Callable[[Mapping[str, Any]], Sentence]

# Plan -> its title, what it says, and where in the folder the page about it is.
Shown = Mapping[str, tuple[Sentence, Say, str]]

OF_MODEL: Shown = {
    name: (title, sentence, f"reports/50_plans.html#{name}")
    for name, title, sentence in (
        ("quantization", say("Quantization"), sentences.of_quantization),
        ("training", say("Training"), sentences.of_training),
        ("sparsity", say("Sparsity"), sentences.of_sparsity),
        ("experts", say("Experts"), sentences.of_experts),
        ("suspects", say("Suspects"), sentences.of_suspects),
        ("merge", say("Merge"), sentences.of_merge),
    )
}

OF_COMPARISON: Shown = {
    "adapter": (say("Adapter"), adapter_sentence, "index.html#adapter"),
    "repair": (say("Repair"), sentences.of_repair, "reports/40_compare.html#repair"),
}


@dataclass(frozen=True)
class PlanCard:
    """A plan: its title, the page about it, what it says, and addresses of files by their names."""

    title: Sentence
    page: str
    text: Sentence
    files: Mapping[str, str]


def plan_cards(folder: Path) -> list[PlanCard]:
    """The plans of the model whose results are in `folder`, and those of its comparisons with a
    base. One that cannot be read is left out."""
    cards = list(_cards(folder, "", OF_MODEL))
    for pair, base in partners(folder.name, folder.parent, ()):
        if pair == f"{folder.name}{BETWEEN}{base}":
            place = f"../{FOLDER}/{pair}/"
            for card in _cards(folder.parent / FOLDER / pair, place, OF_COMPARISON):
                title = say("{plan}, against {model}", plan=card.title, model=base)
                cards.append(replace(card, title=title))
    return cards


def _cards(folder: Path, place: str, shown: Shown) -> Iterator[PlanCard]:
    """The plans in a folder of results; `place` is its address."""
    for name, (title, sentence, page) in shown.items():
        record = f"plans/{name}_plan.json"
        try:
            plan = read_json(folder / record)
            text = sentence(plan)
            files = {f"{name}_plan.json": place + record}
            files |= {file: f"{place}plans/{name}/{file}" for file in plan["files"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        about = page if (folder / page.partition("#")[0]).is_file() else record
        yield PlanCard(title, place + about, text, files)
