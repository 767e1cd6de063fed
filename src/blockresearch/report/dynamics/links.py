"""Where the pages of training runs are, for links from the pages of models and of all models."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from blockresearch.language.sentence import Sentence
from blockresearch.report.dynamics.run import TrainingResults

FOLDER = "dynamics"


@dataclass(frozen=True)
class Followed:
    """A training run: its folder, and how far it has moved."""

    folder: str
    headline: Sentence


def followed(results: Path) -> list[Followed]:
    """The finished training runs among the `results`; one that cannot be read is left out."""
    found = []
    for page in sorted((results / FOLDER).glob("*/index.html")):
        run = TrainingResults(page.parent)
        try:
            found.append(Followed(page.parent.name, run.headline()))
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return found


def runs_of(model: str, results: Path, planned: Iterable[str]) -> list[str]:
    """Folders of the training runs of a model: those named after it and those it is a step of.

    They are those that exist and those that are `planned`, which may be made after the page.
    """
    known = {
        page.parent.name
        for page in (results / FOLDER).glob("*/index.html")
        if page.parent.name == model or (page.parent / "steps" / f"{model}.parquet").exists()
    }
    return sorted(known | {*planned})


def steps_of(results: Path) -> set[str]:
    """The models that are steps of a training run, by the names of their folders."""
    return {path.stem for path in (results / FOLDER).glob("*/steps/*.parquet")}
