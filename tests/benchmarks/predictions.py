"""What jobs were predicted to need beside what they took.

    python -m tests.benchmarks.predictions FOLDER…

runs the workflow on model folders and writes a section of RESULTS.md from Snakemake's benchmarks;
with --results, from a run that is there already.
"""

import argparse
import csv
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.results import machine, write_section
from tests.workflow.conftest import copy_of_the_project
from workflow.lib import dag, needs

# Jobs that read the merged tables.
REPORTS = ("transformer_analysis", "audit_model", "figures", "model_page")
NOTEBOOKS = ("setup", "summary_stats", "per_layer", "embedding_output")


def predicted(model: Path) -> Iterator[tuple[str, float, float | None]]:
    """(job, bytes, core seconds where they are predicted) of the jobs of a model, margins left out.

    The job is the path of its benchmark without its suffix.
    """
    manifest, plan = (dag.read_json(model / f"{name}.json") for name in ("manifest", "plan"))
    elements = max((math.prod(t["shape"]) for t in dag.token_tensors(manifest)), default=0)
    for part in plan["parts"]:
        yield f"analyze/{part['part']}", part["memory"], part["seconds"]
    yield "resolve_model", _memory(needs.to_resolve(0)), None
    clustering = needs.clustering_seconds(elements)
    yield "embedding_analysis", _memory(needs.to_cluster(elements)), clustering
    yield "merge", _memory(needs.to_merge(plan)), None
    for job in (*REPORTS, *(f"notebook_{name}" for name in NOTEBOOKS)):
        yield job, _memory(needs.to_report(plan)), None


def _memory(need: needs.Need) -> float:
    return need["mem_mb"] * needs.MB / needs.MEMORY_FACTOR


def lines(model: Path) -> Iterator[str]:
    """Rows of the table for the jobs of a model that left a benchmark."""
    for job, memory, seconds in predicted(model):
        path = model / "benchmarks" / f"{job}.tsv"
        if not path.exists():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            row: dict[str, Any] = next(csv.DictReader(file, delimiter="\t"))
        if "NA" in (row["max_rss"], row["cpu_time"]):  # ended before Snakemake looked
            continue
        peak, cpu = float(row["max_rss"]), float(row["cpu_time"])
        expected = memory / needs.MB
        times = ("", "") if seconds is None else (f"{seconds:.1f}", f"{seconds / cpu:.2f}")
        yield (
            f"| {model.name} | {job} | {expected:,.0f} | {peak:,.0f} | {expected / peak:.2f} | "
            f"{times[0]} | {cpu:.1f} | {times[1]} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="*", type=Path, help="models to run the workflow on")
    parser.add_argument("--results", type=Path, help="results of a run that is there already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = options.results
        if results is None:
            project = copy_of_the_project(Path(scratch) / "project")
            models = json.dumps([str(folder.resolve()) for folder in options.folder])
            run = project.snakemake("--config", f"models={models}")
            if run.code:
                raise SystemExit(run.text[-2000:])
            results = project.folder / "results"
        rows = [row for plan in sorted(results.glob("*/plan.json")) for row in lines(plan.parent)]
    table = "\n".join(rows)
    write_section(
        "Predicted and measured",
        f"""\
From Snakemake's benchmarks of a run. Machine: {machine()}. Ratio =
predicted over measured. Jobs ask for {needs.MEMORY_FACTOR:g} times the predicted memory. Snakemake
looks every half second, so the peaks of short jobs may be higher than measured here; CPU seconds
hold the start of Python and, in the first job of a copy, the compilation of its loops.

| model | job | predicted MB | measured MB | ratio | predicted s | CPU s | ratio |
|---|---|---|---|---|---|---|---|
{table}
""",
    )


if __name__ == "__main__":
    main()
