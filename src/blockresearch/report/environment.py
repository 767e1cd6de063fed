"""The environment of a report: software, machine, and the cost of the jobs before it."""

import csv
import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from blockresearch.language.sentence import say
from blockresearch.report.wording import integer, size

LIBRARIES = (
    "numpy",
    "scipy",
    "numba",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "matplotlib",
    "seaborn",
    "papermill",
    "nbconvert",
    "snakemake",
)

# The stages whose results the report on the set-up shows, in their order.
STAGES = ("resolve_model", "download", "measure_shard", "analyze", "merge", "audit_model")

MEBIBYTE = 2**20

# The last line in the log of a job that was handed over: USED of `run.handover`.
USED = re.compile(r"^used ([\d.]+) s of CPU time and (\d+) bytes of memory\n\Z", re.MULTILINE)


def versions() -> list[tuple[str, str]]:
    """The libraries that compute the numbers, and their versions."""
    found = [("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def hardware() -> list[tuple[str, str]]:
    """This machine as labels and values: system, processor, cores, memory, graphics cards."""
    facts = [
        (say("System"), f"{platform.system()} {platform.machine()}"),
        (say("Processor"), _processor() or say("unknown")),
        (say("Logical cores"), integer(os.cpu_count() or 1)),
    ]
    memory = _memory()
    if memory:
        facts.append((say("Memory"), size(memory)))
    return [*facts, (say("NVIDIA graphics cards"), ", ".join(_graphics_cards()) or say("none"))]


def stages(benchmarks: Path) -> pd.DataFrame:
    """Time and memory of the jobs of each stage, from Snakemake's benchmarks in a model's folder.

    Columns: stage, jobs, seconds and longest (wall clock, summed and of one job), cpu_seconds,
    peak_bytes (resident memory of the largest job). If a job was handed over, its log, in the
    folder `logs` beside the benchmarks, has what was counted. Another job that was too short to be
    sampled has no memory. Of a repeated job the last run counts.
    """
    rows = []
    for stage in STAGES:
        files = [benchmarks / f"{stage}.tsv", *sorted((benchmarks / stage).rglob("*.tsv"))]
        logs = benchmarks.parent / "logs"
        jobs = pd.DataFrame(
            [
                _job(path, logs / path.relative_to(benchmarks).with_suffix(".log"))
                for path in files
                if path.is_file()
            ]
        )
        if jobs.empty:
            continue
        rows.append(
            {
                "stage": stage,
                "jobs": len(jobs),
                "seconds": jobs["s"].sum(),
                "longest": jobs["s"].max(),
                "cpu_seconds": jobs["cpu_time"].sum(min_count=1),
                "peak_bytes": jobs["max_rss"].max() * MEBIBYTE,
            }
        )
    names = ["stage", "jobs", "seconds", "longest", "cpu_seconds", "peak_bytes"]
    return pd.DataFrame(rows, columns=names)


def _job(benchmark: Path, log: Path) -> dict[str, float]:
    with benchmark.open(newline="") as file:
        last = list(csv.DictReader(file, delimiter="\t"))[-1:]
    names = ("s", "cpu_time", "max_rss")
    found = {name: _number(last[0].get(name)) if last else float("nan") for name in names}
    if log.is_file() and (counted := USED.search(log.read_text(errors="replace"))):
        found |= {"cpu_time": float(counted[1]), "max_rss": int(counted[2]) / MEBIBYTE}
    return found


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _processor() -> str:
    return next(_values(Path("/proc/cpuinfo"), "model name"), platform.processor())


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


def _graphics_cards() -> list[str]:
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [name for card in cards for name in _values(card, "Model")]


def _values(path: Path, label: str) -> Iterator[str]:
    """The values after `label:` in a file of the kernel."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == label:
                yield value.strip()
