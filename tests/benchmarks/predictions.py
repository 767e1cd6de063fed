"""What jobs were predicted to need beside what they took.

    python -m tests.benchmarks.predictions FOLDER…

runs the workflow on model folders and each of its jobs once more alone, then what follows the
measurements on tables of the true size of large models, and writes a section of RESULTS.md.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from blockresearch.files import read_json
from blockresearch.results import REPORTS
from blockresearch.run import resources
from blockresearch.run.resources import (
    MB,
    MEMORY_FACTOR,
    START_SECONDS,
    TIME_FACTOR,
    Size,
    clustering_memory,
    clustering_seconds,
    header_bytes,
    resolve_memory,
    resolve_seconds,
    to_resolve,
)
from tests.benchmarks.results import machine, write_section
from tests.benchmarks.scale import command, in_a_process, resolved, write_parts
from tests.benchmarks.shapes import MODELS
from tests.workflow.conftest import Project, copy_of_the_project

# A snapshot of all processes of a job is taken so often (seconds). Snakemake looks each half second
# at first and later twice a minute, which is too little.
EVERY = 0.05
# Of shorter jobs (seconds) the start of Python is most.
SHORT = 1.0
SCRIPTS = {
    "merge": "merge --manifest manifest.json --plan plan.json --parts parts --out_dir .",
    "transformer_analysis": "transformer_analysis --params params.parquet"
    " --matrices matrices.parquet --out layers.csv",
    "audit_model": "audit_model --manifest manifest.json --params params.parquet"
    " --coverage coverage.csv --out audit.json",
    "findings": "findings --model_dir . --out findings.json",
    "figures": "figures --layers layers.csv --embedding embedding --out figures",
    **{
        name: f"notebook --notebook notebooks/{name}.ipynb --model_dir ."
        f" --ipynb reports/{name}.ipynb --html reports/{name}.html"
        for name in REPORTS
    },
    "model_page": "model_page --model_dir . --html index.html --comparison comparison.json"
    " --details details",
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
            f"| {self.model} | {self.job} | {expected / MB:,.0f} | {peak / MB:,.0f} | "
            f"{expected / peak:.2f} | {predicted:.1f} | {cpu:.1f} | {predicted / cpu:.2f} |"
        )


def predicted(folder: Path) -> dict[str, tuple[float, float]]:
    """Bytes and core seconds, margins left out, of the jobs of a local model by their names."""
    manifest, plan = (read_json(folder / f"{name}.json") for name in ("manifest", "plan"))
    size = resources.size(manifest, plan)
    headers = header_bytes(str(path) for path in shards(manifest).values())
    found = {
        "resolve_model": (resolve_memory(headers), resolve_seconds(headers)),
        "embedding_analysis": (
            clustering_memory(size.elements),
            clustering_seconds(size.elements),
        ),
    }
    for part in plan["parts"]:
        seconds = START_SECONDS + part["seconds"]
        found[f"analyze/{part['part']}"] = part["memory"], seconds
    return found | {
        job: (resources.memory(job, size), resources.seconds(job, size)) for job in SCRIPTS
    }


def shards(manifest: dict) -> dict[str, Path]:
    """The shards of a local model."""
    names = [file["path"] for file in manifest["files"] if file["role"] == "shard"]
    return {name: Path(manifest["model_path"], name) for name in names}


def of_a_model(project: Project, source: Path) -> Iterator[Row]:
    """What the jobs of a local model take, each run once more after the whole workflow has run."""
    command(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "1"),
            *("--config", f"model={source.resolve()}"),
        ],
        project.folder,
    )
    folder = project.folder / "results" / f"local--{source.resolve().name}"
    manifest, plan = (read_json(folder / f"{name}.json") for name in ("manifest", "plan"))
    paths = shards(manifest)
    again = ["--manifest", "again.json", "--plan", "again.plan.json"]
    jobs = {
        "resolve_model": ["resolve_model", "--model", manifest["model_path"], *again],
        "embedding_analysis": [
            *("embedding_analysis", "--manifest", "manifest.json"),
            *("--out", "embedding"),
        ],
    }
    for part in plan["parts"]:
        place = ["--part", part["part"], "--shard", str(paths[part["shard"]])]
        out = ["--out", f"parts/{part['part']}"]
        jobs[f"analyze/{part['part']}"] = ["analyze", "--plan", "plan.json", *place, *out]
    expected = predicted(folder)
    for job, words in (jobs | {job: text.split() for job, text in SCRIPTS.items()}).items():
        yield row(project, source.name, folder, job, words, expected[job])


def of_tables(project: Project, name: str, embedding: Path) -> Iterator[Row]:
    """What the jobs after the measurements take for a model of the shapes `name`.

    Its tables hold random numbers, and its tokens are those of another model.
    """
    folder = project.folder / "results" / name
    in_a_process(resolved, MODELS[name], name, folder.parent)
    in_a_process(write_parts, read_json(folder / "plan.json"), folder / "parts")
    shutil.copytree(embedding, folder / "embedding")
    tokens = sum(map(_rows, (embedding / "tokens.csv", embedding / "output_tokens.csv")))
    size = resources.size(read_json(folder / "manifest.json"), read_json(folder / "plan.json"))
    size = Size(size.rows, size.values, size.parts, tokens, size.elements)
    for job, text in SCRIPTS.items():
        expected = resources.memory(job, size), resources.seconds(job, size)
        yield row(project, name, folder, job, text.split(), expected)
    shutil.rmtree(folder)


def row(
    project: Project,
    model: str,
    folder: Path,
    job: str,
    words: list[str],
    expected: tuple[float, float],
) -> Row:
    """A job, run in the folder of its model by the script and arguments `words`."""
    script, *arguments = words
    path = project.folder / "workflow/scripts" / f"{script}.py"
    peak, cpu = measured([sys.executable, str(path), *arguments], folder)
    return Row(model, job, (expected[0], peak), (expected[1], cpu))


def _rows(table: Path) -> int:
    with table.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def measured(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Peak bytes and CPU seconds of a command that must succeed, its children included.

    It runs on one core, as jobs do.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = _seconds_of_children()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            arguments, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
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
        rows = [row for folder in folders for row in of_a_model(project, folder)]
        embedding = (
            project.folder / "results" / f"local--{folders[-1].resolve().name}" / "embedding"
        )
        for name in ("Qwen3-4B", "Llama-3.1-405B", "DeepSeek-V3"):
            rows += of_tables(project, name, embedding)
    seen = [row for row in rows if row.seconds[1] >= SHORT]
    memory, seconds = worst([row.memory for row in seen]), worst([row.seconds for row in seen])
    table, unknown = "\n".join(map(str, rows)), to_resolve([])["mem_mb"]
    write_section(
        "Predicted and measured",
        f"""\
Machine: {machine()}. Ratio = predicted over measured;
farthest from 1, of jobs of {SHORT:g} s or more: memory by a factor of {memory:.2f}, time of
{seconds:.2f}. Jobs ask for
{MEMORY_FACTOR:g} times the predicted memory and {TIME_FACTOR:g} times the time. Of the
large models what follows the measurements ran on tables of their size with random numbers. Of a
model on the hub the headers are not known before resolve_model: it asks for {unknown} MB.

| model | job | predicted MB | measured MB | ratio | predicted s | CPU s | ratio |
|---|---|---|---|---|---|---|---|
{table}
""",
    )


if __name__ == "__main__":
    main()
