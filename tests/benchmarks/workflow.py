"""The whole workflow, as people wait for it: from the command to the last page, and again.

    python -m tests.benchmarks.workflow [MODEL_FOLDER …]

runs the demo, the given models and one with a token embedding of 262,144 x 640 and 236 tensors,
which is made here, on two cores in a copy of the project, and writes a section of RESULTS.md.
"""

import csv
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.results import machine, write_section
from tests.benchmarks.shapes import Dense
from tests.conftest import ROOT, bf16, write_safetensors
from tests.workflow.conftest import Project, copy_of_the_project

WIDE_TABLE = Dense(26, 640, 2048, 1024, 256, 262144, 1, tied=True)

TOPICS = 400

TITLE = "The whole workflow"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of all processes, seconds of jobs by rule, those of a second run."""

    wall: float
    cpu: float
    jobs: Counter[str]
    again: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="workflow-") as folder:
        wide = made(Path(folder, "made-262144x640"))
        models = [ROOT / "resources/demo", *map(Path, sys.argv[1:]), wide]
        project = copy_of_the_project(Path(folder, "project"))
        # Machine code that is not compiled yet is compiled by this run.
        project.snakemake("--config", f"model={models[0]}", "results=warm")
        costs = {model.name: measured(project, model) for model in models}
    write_section(TITLE, text(costs))


def made(folder: Path) -> Path:
    """A model of the shapes WIDE_TABLE: vectors around topics, other weights normal."""
    random = np.random.default_rng(0)
    topics = random.normal(0, 1, (TOPICS, 640)) * np.linspace(2, 0.2, 640)
    tensors = {}
    for name, dtype, shape in WIDE_TABLE.tensors():
        values = random.standard_normal(shape, np.float32) * np.float32(0.02)
        if "embed" in name:
            values += 0.02 * topics[random.zipf(1.3, shape[0]) % TOPICS].astype(np.float32)
        tensors[name] = dtype, shape, bf16(values)
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(WIDE_TABLE.config()))
    vocabulary = {f"{'Ġ' if n % 2 else ''}word{n}": n for n in range(WIDE_TABLE.vocab)}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [], "model": model}))
    return folder


def measured(project: Project, model: Path) -> Cost:
    """The cost of all jobs for a model, and of finding that nothing is to be done."""
    config = ("--config", f"model={model}", f"results=results-{model.name}")
    begin, before = time.perf_counter(), processor_seconds()
    run = project.snakemake(*config)
    assert run.code == 0, run.text
    wall, cpu = time.perf_counter() - begin, processor_seconds() - before
    begin = time.perf_counter()
    assert not project.snakemake(*config).jobs
    again = time.perf_counter() - begin
    jobs: Counter[str] = Counter()
    for folder in (project.folder / f"results-{model.name}").rglob("benchmarks"):
        for table in folder.rglob("*.tsv"):
            rule = table.relative_to(folder).parts[0].removesuffix(".tsv")
            with table.open(encoding="utf-8", newline="") as file:
                jobs[rule] += sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    return Cost(wall, cpu, jobs, again)


def processor_seconds() -> float:
    """CPU seconds of all processes that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def text(costs: dict[str, Cost]) -> str:
    """The section: a row for each model, then the share of each rule."""
    lines = [
        f"Machine: {machine()}. `snakemake --cores 2`, with its start, machine code compiled",
        "before.",
        "The last model is made: 262,144 x 640, 236 tensors, random weights.",
        "",
        "| model | seconds | CPU seconds | second run, seconds |",
        "|---|---|---|---|",
    ]
    for model, cost in costs.items():
        lines.append(f"| {model} | {cost.wall:.1f} | {cost.cpu:.1f} | {cost.again:.1f} |")
    lines += ["", "Share of each rule in the seconds of all jobs:", ""]
    lines += [f"| rule | {' | '.join(costs)} |", "|---|" + "---|" * len(costs)]
    totals = {model: cost.jobs.total() for model, cost in costs.items()}
    together = sum((cost.jobs for cost in costs.values()), Counter())
    for rule, _ in together.most_common():
        shares = (f"{100 * cost.jobs[rule] / totals[model]:.0f} %" for model, cost in costs.items())
        lines.append(f"| {rule} | {' | '.join(shares)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
