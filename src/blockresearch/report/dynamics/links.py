"""Where the pages of training runs are, for links from the page of all models."""

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


def steps_of(results: Path) -> set[str]:
    """The models that are steps of a training run, by the names of their folders."""
    return {path.stem for path in (results / FOLDER).glob("*/steps/*.parquet")}
