"""Where the pages of comparisons are, for links from the pages of models and of all models."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blockresearch.report.differences.pair import PairResults

FOLDER = "compare"

BETWEEN = "-vs-"


@dataclass(frozen=True)
class Compared:
    """A comparison: its folder, both sides (names of results), and what kind of change it is."""

    folder: str
    other: str
    base: str
    headline: str


def comparisons(results: Path) -> list[Compared]:
    """The finished comparisons among the `results`; one that cannot be read is left out."""
    found = []
    for page in sorted((results / FOLDER).glob("*/index.html")):
        pair = PairResults(page.parent)
        try:
            found.append(Compared(page.parent.name, *pair.names, pair.verdicts[0]["text"]))
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return found


def partners(model: str, results: Path, planned: Iterable[str]) -> list[tuple[str, str]]:
    """Comparisons of a model: folder, and name of the other model.

    They are those that exist and those that are `planned`, which may be made after the page.
    """
    known = {path.parent.name for path in (results / FOLDER).glob("*/index.html")} | {*planned}
    found = []
    for folder in sorted(known):
        if folder.startswith(model + BETWEEN):
            found.append((folder, folder.removeprefix(model + BETWEEN)))
        elif folder.endswith(BETWEEN + model):
            found.append((folder, folder.removesuffix(BETWEEN + model)))
    return found
