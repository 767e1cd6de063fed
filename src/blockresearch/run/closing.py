"""What a user reads at the end of a run: where the pages are, and the time of each stage."""

import csv
from collections.abc import Iterable
from pathlib import Path

from blockresearch.language.catalogue import spoken
from blockresearch.language.sentence import say

# Of more models only the page of all models is named.
MAX_MODELS_NAMED = 10

# The folder of results and the models of this process's run.
_announced: list[tuple[str, tuple[str, ...]]] = []


def announce(results: str, models: Iterable[str]) -> None:
    """Note the folder of results and the models of this run for its last words.

    The logger plugin runs in the same process but does not see the configuration, and when there is
    nothing to be done Snakemake calls no handler of the workflow.
    """
    _announced[:] = [(results, tuple(models))]


def words(with_models: bool = True) -> str:
    """Pages that exist, of the models (with computing times) and of all; empty if there is none."""
    return "\n".join(
        line for results, models in _announced for line in _lines(results, models, with_models)
    )


def _lines(results: str, models: tuple[str, ...], with_models: bool) -> list[str]:
    lines = []
    if with_models and len(models) <= MAX_MODELS_NAMED:
        for folder in (Path(results, model) for model in models):
            if (folder / "index.html").exists():
                stages = stage_times(folder / "benchmarks")
                spent = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in stages.items())
                lines.append(f"{folder / 'index.html'}")
                if spent:
                    lines.append(f"    {spoken(say('computing time: {stages}', stages=spent))}")
    page = Path(results, "index.html")
    return [*lines, spoken(say("All models: {page}", page=page))] if page.exists() else lines


def stage_times(benchmarks: Path) -> dict[str, float]:
    """Seconds per rule from the benchmark files of one model, longest first."""
    spent: dict[str, float] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        stage = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        with path.open(newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                spent[stage] = spent.get(stage, 0.0) + float(row["s"])
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
