"""How far it goes: models with the true shapes of large ones, planned and merged, not measured.

    python -m tests.benchmarks.scale

writes a section of RESULTS.md: the time and memory of resolve_model (headers to plan), of Snakemake
(until the first job would start) and of merge, and the files that a run makes.
"""

import dataclasses
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import write_manifest
from blockresearch.checkpoint.plan import Part, make_plan, part_from_json, plan_json
from blockresearch.files import write_json
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.tables.columns import (
    SCHEMAS,
)
from blockresearch.tables.io import frame, write_table
from blockresearch.weights.layout import view
from tests.benchmarks.results import machine, write_section
from tests.benchmarks.shapes import MODELS, SMALL, WIDE, Dense, Experts, write
from tests.workflow.conftest import Project, copy_of_the_project

MANY = 1000
CODES = 2000


@dataclasses.dataclass(frozen=True)
class Cost:
    """CPU seconds and peak memory (MB) of a process."""

    seconds: float
    memory: float


def in_a_process(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Cost]:
    """The result of `work` in a process of its own, and what it cost."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(_measured, work, arguments).result()


def _measured(work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Cost]:
    before = time.process_time()
    result = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result, Cost(time.process_time() - before, peak)


def command(arguments: list[str], folder: Path) -> tuple[str, Cost]:
    """Run a command that must succeed."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(arguments, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = status
        out.seek(0)
        text = out.read()
    if status:
        raise RuntimeError(text[-2000:])
    return text, Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def resolved(model: Dense | Experts, name: str, results: Path) -> dict[str, int]:
    """Write manifest and plan of a hub model `name` of these shapes; tensors and parts."""
    with tempfile.TemporaryDirectory() as folder:
        write(model, Path(folder))
        manifest = describe_folder(folder, "now", hashed=False)
    files = tuple(
        dataclasses.replace(file, sha256=_content(name, file.path)) for file in manifest.files
    )
    origin = {"model": name, "model_id": name, "model_path": name, "revision": "main"}
    manifest = dataclasses.replace(manifest, files=files, **origin)
    parts = make_plan(manifest)
    place = results / name.replace("/", "--")
    write_manifest(manifest, place / "manifest.json")
    write_json(plan_json(parts), place / "plan.json")
    return {"parts": len(parts)} | dataclasses.asdict(manifest.totals)


def _content(model: str, path: str) -> str:
    """A hash that is another one for each file of each model."""
    return hashlib.sha256(f"{model}/{path}".encode()).hexdigest()


def many(names: list[str], results: Path) -> None:
    """Manifests and plans of small models that differ in their files' hashes."""
    resolved(SMALL, names[0], results)
    first = results / names[0].replace("/", "--")
    manifest = json.loads((first / "manifest.json").read_text())
    for name in names[1:]:
        for file in manifest["files"]:
            file["sha256"] = _content(name, file["path"])
        place = results / name.replace("/", "--")
        write_json(manifest | {"model": name, "model_id": name}, place / "manifest.json")
        (place / "plan.json").write_bytes((first / "plan.json").read_bytes())


def planned(project: Project, names: list[str]) -> tuple[int, Cost]:
    """Jobs that Snakemake plans for models that are resolved."""
    config = project.folder / "models.yaml"
    config.write_text(json.dumps({"models": names}))
    call = ["-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "rules"]
    text, cost = command([sys.executable, *call, "--configfile", str(config)], project.folder)
    counts = [line.split() for line in text.splitlines() if line.strip().startswith("total")]
    return int(counts[0][1]), cost


def rows_of(part: Part) -> Iterator[tuple[dict[str, Any], int]]:
    """(what names a matrix of a part, number of its singular values)."""
    for weight in part.weights:
        for matrix in weight.matrices():
            place = {"param_name": weight.name, "slice": matrix.slice}
            size = {"rows": matrix.rows, "cols": matrix.cols}
            yield place | size, min(matrix.rows, matrix.cols)


def tensors_of(part: Part) -> Iterator[dict[str, Any]]:
    """What names the tensors of a part, and their sizes."""
    for weight in part.weights:
        shape = weight.shape
        rows, cols = view(shape, weight.layout.kind)
        yield {
            "param_name": weight.name,
            "dtype": weight.stored.dtype,
            "shape": list(shape),
            "rows": rows,
            "cols": cols,
            "numel": math.prod(shape),
        }


def write_parts(plan: Mapping[str, Any], folder: Path) -> int:
    """Tables of all parts with random numbers, as analyze leaves them; number of matrices."""
    random = np.random.default_rng(0)
    count = 0
    for part in map(part_from_json, plan["parts"]):
        found, names = list(rows_of(part)), list(tensors_of(part))
        count += len(found)
        content = {
            "params": [_random_row("params", row, random) for row in names],
            "matrices": [_random_row("matrices", row, random) for row, _ in found],
            "spectra": [
                {name: row[name] for name in ("param_name", "slice")}
                | {"singular_values": random.random(length)}
                for row, length in found
            ],
            "histograms": [_histogram(row, random) for row in names],
        }
        for table, rows in content.items():
            path = folder / f"{part.part}.{table}.parquet"
            write_table(frame(rows, table), table, path)
    return count


def _histogram(row: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    # Weights of 16 bits have about 2,000 different values, those of 8 all 256 at most.
    size = min(CODES, 2 ** DTYPES[row["dtype"]].bits, row["numel"])
    counts = random.integers(1, 10**6, size)
    return {
        "param_name": row["param_name"],
        "dtype": row["dtype"],
        "codes": np.arange(size),
        "counts": counts,
    }


def _random_row(
    table: str, known: Mapping[str, Any], random: np.random.Generator
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in SCHEMAS[table].columns:
        if column.type == "number":
            row[column.name] = random.random()
        elif column.type == "integer":
            row[column.name] = int(random.integers(1000))
        elif column.type == "numbers":
            row[column.name] = list(random.random(8))
        elif column.type == "integers":
            row[column.name] = list(range(8))
    return row | known


def merged(folder: Path) -> tuple[int, Cost]:
    """The merge of a model of WIDE's shapes: number of matrices, and the cost."""
    in_a_process(resolved, WIDE, "wide", folder)
    place = folder / "wide"
    plan = json.loads((place / "plan.json").read_text())
    count, _ = in_a_process(write_parts, plan, place / "parts")
    options = ["--manifest", "manifest.json", "--plan", "plan.json", "--parts", "parts"]
    script = Path(__file__).parents[2] / "workflow/scripts/merge.py"
    _, cost = command([sys.executable, str(script), *options, "--out_dir", "."], place)
    return count, cost


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    lines = []
    with scratch() as folder:
        project = copy_of_the_project(folder / "project")
        results = project.folder / "results"
        for name, model in MODELS.items():
            slug = "org/" + name.replace(" ", "-")
            facts, cost = in_a_process(resolved, model, slug, results)
            jobs, dag = planned(project, [slug])
            lines.append(
                f"| {name} | {facts['parameters'] / 1e9:,.0f} | {facts['tensors']:,} | "
                f"{model.shards} | {cost.seconds:.1f} | {cost.memory:,.0f} | {facts['parts']} | "
                f"{jobs:,} | {dag.seconds:.1f} | {dag.memory:,.0f} |"
            )
            print(lines[-1], file=sys.stderr)
        names = [f"org/small-{number}" for number in range(MANY)]
        many(names, results)
        for count in (MANY // 4, MANY):
            jobs, dag = planned(project, names[:count])
            lines.append(
                f"| {count:,} small models | {count * 0.135:,.0f} | | {count} | | | {count} | "
                f"{jobs:,} | {dag.seconds:.1f} | {dag.memory:,.0f} |"
            )
            print(lines[-1], file=sys.stderr)
        count, cost = merged(folder)
    text = f"""\
True shapes, no weights. Machine: {machine()}. CPU seconds and
peak memory of resolve_model (headers to plan; without the network) and of Snakemake until the first
job would start, models looked up before.

| model | 10⁹ parameters | tensors | shards | resolve, s | MB | parts | jobs | Snakemake, s | MB |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Merge of {count:,} matrices: {cost.seconds:.0f} s, {cost.memory:,.0f} MB.
"""
    write_section("How far it goes", text)


if __name__ == "__main__":
    main()
