"""A store of 1,000 models: adding them, the questions of docs/store.md, the page of all models.

    python -m tests.benchmarks.store results/MODEL

copies the results of a model 1,000 times, with 300 matrices and an own id, commit and family each;
every third model has other hashes, so the others share all tensors. Writes a section of
RESULTS.md. Seconds of a question are from the connection to the answer, without the start of
Python.
"""

import hashlib
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from blockresearch.files import read_json, write_json
from blockresearch.report import portal
from blockresearch.results import TABLES
from blockresearch.store.add import DOCUMENTS, add
from blockresearch.store.query import ask, connect
from blockresearch.store.summaries import summaries
from tests.benchmarks.results import machine, write_section
from tests.conftest import ROOT

MODELS, MATRICES = 1000, 300

FAMILIES = ("llama", "qwen3", "gemma3_text", "mistral", "gpt_neox")

REPEATED = ("params", "matrices", "spectra")

COPIED = (*REPEATED, "layers", "coverage")

TITLE = "A store of many models"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of the processor."""

    wall: float
    cpu: float


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        folder = Path(name)
        copies(Path(sys.argv[1]), folder / "results")
        adding = timed(lambda: add(sorted((folder / "results").iterdir()), folder / "store"))
        one = folder / "results/org--model-0000"
        one_more = timed(lambda: add([one], folder / "store"))
        costs = [timed(lambda q=q: ask(connect(str(folder / "store")), q)) for q in questions()]
        (folder / "none").mkdir()
        pages = {
            "page of all models, from a store": timed(lambda: page(folder / "results", folder)),
            "the same without their folders": timed(lambda: page(folder / "none", folder)),
            "page of all models, from their folders": timed(lambda: page(folder / "results")),
        }
    write_section(TITLE, text(adding, one_more, costs, pages))


def page(results: Path, folder: Path | None = None) -> None:
    """Make the page of all models, with the store in `folder`."""
    stored = summaries(folder / "store") if folder else []
    portal.portal(results, {}, {"tool": "benchmark"}, stored)


def copies(model: Path, results: Path) -> None:
    """Write the results of all models; tables that are equal are one file."""
    tables = {name: widened(model, name) for name in COPIED}
    whole = results.parent / "whole"
    whole.mkdir()
    for name, table in tables.items():
        pq.write_table(table, whole / f"{name}.parquet")
    documents = {name: read_json(model / name) for name in DOCUMENTS}
    for number in range(MODELS):
        folder = results / f"org--model-{number:04d}"
        for name in DOCUMENTS[1:]:
            write_json(documents[name], folder / name)
        about = {
            "name": folder.name,
            "model_id": folder.name.replace("--", "/"),
            "revision": "main",
            "commit": hashlib.sha1(str(number).encode()).hexdigest(),
            "config": {
                **documents["manifest.json"]["config"],
                "model_type": FAMILIES[number % len(FAMILIES)],
            },
        }
        write_json(documents["manifest.json"] | about, folder / "manifest.json")
        # As a run leaves it: the page's numbers are newer than the manifest.
        (folder / "comparison.json").touch()
        (folder / "index.html").touch()
        for name in COPIED:
            if name == "params" and number % 3 == 0:
                pq.write_table(own(tables[name], number), folder / TABLES[name])
            else:
                os.link(whole / f"{name}.parquet", folder / TABLES[name])


def widened(model: Path, name: str) -> pa.Table:
    """A table with at least MATRICES rows; repeated rows have another name."""
    table = pq.read_table(model / TABLES[name])
    if name not in REPEATED or len(table) >= MATRICES:
        return table
    more = table.slice(0, MATRICES - len(table))
    names = pa.array([f"again.{each}" for each in more["param_name"].to_pylist()])
    place = more.schema.get_field_index("param_name")
    return pa.concat_tables([table, more.set_column(place, "param_name", names)])


def own(table: pa.Table, number: int) -> pa.Table:
    """The table params with hashes that no other model has."""
    hashes = [hashlib.md5(f"{number} {each}".encode()).hexdigest() for each in range(len(table))]
    return table.set_column(table.schema.get_field_index("content"), "content", pa.array(hashes))


def questions() -> list[str]:
    """The questions of the manual."""
    manual = (ROOT / "docs/store.md").read_text(encoding="utf-8")
    return re.findall(r"```sql\n(.*?)```", manual, re.S)


def timed(work: Callable[[], Any]) -> Cost:
    """The cost of a piece of work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def text(adding: Cost, one_more: Cost, costs: list[Cost], pages: dict[str, Cost]) -> str:
    """The section: a row for each piece of work."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [("add, for each model", Cost(adding.wall / MODELS, adding.cpu / MODELS))]
    rows.append(("add one to these", one_more))
    rows += [(" ".join(q.split())[:60] + " …", c) for q, c in zip(questions(), costs, strict=True)]
    rows += pages.items()
    lines = [
        f"Machine: {machine()}, load {os.getloadavg()[0]:.1f} at the end. {MODELS:,} models with",
        f"{MATRICES} matrices each; two thirds share all tensors. Peak memory {peak:.0f} MB.",
        "",
        "| what | seconds | CPU seconds |",
        "|---|---|---|",
        *(f"| {what} | {cost.wall:.2f} | {cost.cpu:.2f} |" for what, cost in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
