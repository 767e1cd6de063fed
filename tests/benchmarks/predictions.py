"""What jobs were predicted to need beside what they took.

    python -m tests.benchmarks.predictions FOLDER…

runs the workflow on model folders, then what follows the measurements on tables of the true size of
large models, and writes a section of RESULTS.md.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.benchmarks.results import machine, write_section
from tests.benchmarks.scale import command, in_a_process, resolved, write_parts
from tests.benchmarks.shapes import MODELS
from tests.workflow.conftest import Project, copy_of_the_project
from workflow.lib import dag, needs

# A snapshot of all processes of a job is taken so often (seconds).
EVERY = 0.05
# Of shorter jobs (seconds) Snakemake sees too little, looking every half second.
SHORT = 1.0
NOTEBOOKS = {
    "notebook_setup": "00_setup",
    "notebook_summary_stats": "10_summary_stats",
    "notebook_per_layer": "20_per_layer",
    "notebook_embedding_output": "30_embedding_output",
}
SCRIPTS = {
    "merge": "merge --manifest manifest.json --plan plan.json --parts parts --out_dir .",
    "transformer_analysis": "transformer_analysis --params params.parquet"
    " --matrices matrices.parquet --out layers.csv",
    "audit_model": "audit_model --manifest manifest.json --params params.parquet"
    " --coverage coverage.csv --out audit.json",
    "figures": "figures --layers layers.csv --embedding embedding --out figures",
    **{
        job: f"notebook --notebook notebooks/{name}.ipynb --model_dir ."
        f" --ipynb reports/{name}.ipynb --html reports/{name}.html"
        for job, name in NOTEBOOKS.items()
    },
    "model_page": "model_page --model_dir . --html index.html --comparison comparison.json",
}


@dataclass(frozen=True)
class Row:
    """A job: bytes and core seconds, predicted without margins and measured."""

    model: str
    job: str
    memory: tuple[float, float]
    seconds: tuple[float, float]

    def __str__(self) -> str:
        (expected, peak), (predicted, cpu) = self.memory, self.seconds
        return (
            f"| {self.model} | {self.job} | {expected / needs.MB:,.0f} | {peak / needs.MB:,.0f} | "
            f"{expected / peak:.2f} | {predicted:.1f} | {cpu:.1f} | {predicted / cpu:.2f} |"
        )


def predicted(model: Path) -> Iterator[tuple[str, float, float]]:
    """(job, bytes, core seconds) of the jobs of a local model, margins left out.

    The job is the path of its benchmark without its suffix.
    """
    manifest, plan = (dag.read_json(model / f"{name}.json") for name in ("manifest", "plan"))
    size = needs.size(manifest, plan)
    shards = [f["path"] for f in manifest["files"] if f["role"] == "shard"]
    paths = [Path(manifest["model_path"], shard) for shard in shards]
    if all(path.exists() for path in paths):
        headers = needs.header_bytes(map(str, paths))
        yield "resolve_model", needs.resolve_memory(headers), needs.resolve_seconds(headers)
    for part in plan["parts"]:
        seconds = needs.START_SECONDS + part["seconds"]
        yield f"analyze/{part['part']}", part["memory"], seconds
    clustering = needs.clustering_seconds(size.elements)
    yield "embedding_analysis", needs.clustering_memory(size.elements), clustering
    for job in needs.JOBS:
        yield job, needs.memory(job, size), needs.seconds(job, size)


def of_a_run(project: Project, folders: list[Path]) -> Iterator[Row]:
    """What Snakemake measured while the workflow ran on `folders`."""
    models = ["--config", f"models={json.dumps([str(folder.resolve()) for folder in folders])}"]
    names = [f"local--{folder.resolve().name}" for folder in folders]
    # A copy of the project compiles its loops in its first jobs.
    tables = [f"first/{name}/params.csv" for name in names]
    for more in (["results=first", "--", *tables], []):
        command([sys.executable, "-m", "snakemake", "--cores", "1", *models, *more], project.folder)
    for name in names:
        folder = project.folder / "results" / name
        for job, memory, seconds in predicted(folder):
            text = (folder / "benchmarks" / f"{job}.tsv").read_text(encoding="utf-8")
            took = next(csv.DictReader(text.splitlines(), delimiter="\t"))
            if "NA" not in (took["max_rss"], took["cpu_time"]):  # ended before Snakemake looked
                peak, cpu = float(took["max_rss"]) * needs.MB, float(took["cpu_time"])
                yield Row(name.removeprefix("local--"), job, (memory, peak), (seconds, cpu))


def of_tables(project: Project, name: str, embedding: Path) -> Iterator[Row]:
    """What the jobs after the measurements take for a model of the shapes `name`.

    Its tables hold random numbers, and its tokens are those of another model.
    """
    folder = project.folder / "results" / name
    in_a_process(resolved, MODELS[name], name, folder.parent)
    in_a_process(write_parts, dag.read_json(folder / "plan.json"), folder / "parts")
    shutil.copytree(embedding, folder / "embedding")
    tokens = sum(map(_rows, (embedding / "tokens.csv", embedding / "output_tokens.csv")))
    size = needs.size(dag.read_json(folder / "manifest.json"), dag.read_json(folder / "plan.json"))
    size = needs.Size(size.rows, size.values, size.parts, tokens, size.elements)
    for job, words in SCRIPTS.items():
        script, *arguments = words.split()
        path = project.folder / "workflow/scripts" / f"{script}.py"
        peak, cpu = measured([sys.executable, str(path), *arguments], folder)
        memory, seconds = needs.memory(job, size), needs.seconds(job, size)
        yield Row(name, job, (memory, peak), (seconds, cpu))
    shutil.rmtree(folder)


def _rows(table: Path) -> int:
    with table.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def measured(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Peak bytes and CPU seconds of a command that must succeed, its children included."""
    before = _seconds_of_children()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(arguments, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(EVERY)
        out.seek(0)
        if process.returncode:
            raise SystemExit(out.read()[-2000:])
    return peak, _seconds_of_children() - before


def _seconds_of_children() -> float:
    times = psutil.Process().cpu_times()
    return times.children_user + times.children_system


def _memory(pid: int) -> int:
    found = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            found += process.memory_info().rss
    except psutil.Error:  # one that has just ended
        pass
    return found


def worst(pairs: list[tuple[float, float]]) -> float:
    """The largest factor between the two of a pair, either way."""
    return max(max(one / other, other / one) for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", type=Path, help="models to run the workflow on")
    folders = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        project = copy_of_the_project(Path(scratch) / "project")
        rows = list(of_a_run(project, folders))
        embedding = (
            project.folder / "results" / f"local--{folders[-1].resolve().name}" / "embedding"
        )
        for name in ("Qwen3-4B", "Llama-3.1-405B", "DeepSeek-V3"):
            rows += of_tables(project, name, embedding)
    seen = [row for row in rows if row.seconds[1] >= SHORT]
    memory, seconds = worst([row.memory for row in seen]), worst([row.seconds for row in seen])
    table, unknown = "\n".join(map(str, rows)), needs.to_resolve([])["mem_mb"]
    write_section(
        "Predicted and measured",
        f"""\
Machine: {machine()}. Ratio = predicted over measured;
farthest from 1, of jobs of {SHORT:g} s or more: memory by a factor of {memory:.2f}, time of
{seconds:.2f}. Jobs ask for
{needs.MEMORY_FACTOR:g} times the predicted memory and {needs.TIME_FACTOR:g} times the time. Of the
model folders Snakemake measured a run (short jobs may take more than it sees); of
the large ones what follows the measurements ran on tables of their size with random numbers. Of a
model on the hub the headers are not known before resolve_model: it asks for {unknown} MB.

| model | job | predicted MB | measured MB | ratio | predicted s | CPU s | ratio |
|---|---|---|---|---|---|---|---|
{table}
""",
    )


if __name__ == "__main__":
    main()
