"""Many tiny models in one run: CPU seconds of each, beside those for its numbers alone.

    python -m tests.benchmarks.many 1000 [--folder FOLDER] [--per-call 25]

makes so many copies of the demo with other values, runs `blockresearch run --models` on two cores,
and writes a section of RESULTS.md. 100 models take about half an hour of two free cores and 2.5 GB.
For Linux, where the process that runs the jobs can be counted.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blockresearch.command.run import MODELS_PER_CALL
from blockresearch.report.environment import USED
from tests.benchmarks.results import machine, write_section
from tests.conftest import ROOT

DEMO = ROOT / "resources/demo"

# What makes the numbers of a model; everything else is overhead.
NUMBERS = ("resolve_model", "measure_shard", "analyze", "merge", "audit_model")

# Linux: this process becomes the parent of processes whose own parent has ended.
PR_SET_CHILD_SUBREAPER = 36

TITLE = "Many tiny models"


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of all processes, and CPU seconds and number of jobs by rule."""

    wall: float
    cpu: float
    jobs: Counter[str]
    counts: Counter[str]


def made(count: int, folder: Path) -> Path:
    """A list of `count` copies of the demo in `folder`, each with other values."""
    names = [folder / f"m-{number:04d}" for number in range(count)]
    for number, copy in enumerate(names):
        shutil.copytree(DEMO, copy, dirs_exist_ok=True)
        for path in copy.glob("*.safetensors"):
            _perturb(path, np.random.default_rng(number))
    listed = folder / "models.txt"
    listed.write_text("".join(f"{name}\n" for name in names))
    return listed


def _perturb(path: Path, random: np.random.Generator) -> None:
    """Flip the lowest bit of about half of the values of a file in BF16; 0, Inf and NaN stay."""
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    assert {entry["dtype"] for name, entry in header.items() if name[0] != "_"} == {"BF16"}
    codes = np.frombuffer(content, "<u2", offset=start)
    is_finite = ((codes & 0x7FFF) != 0) & ((codes & 0x7F80) != 0x7F80)
    codes ^= random.integers(0, 2, codes.size, "<u2") & is_finite
    path.write_bytes(content)


def measured(listed: Path, results: Path, per_call: int) -> Cost:
    """The cost of a run on the models of a list. Raises RuntimeError if it fails."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    call = ["-m", "blockresearch.command.main", "run", "--models", str(listed)]
    call += ["--models-per-call", str(per_call), "--results", str(results), "--cores", "2"]
    start, cpu = time.monotonic(), 0.0
    with (listed.parent / "run.log").open("w") as log:
        run = subprocess.Popen([sys.executable, *call], stdout=log, stderr=log, cwd=listed.parent)
    while True:
        try:
            process, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu += used.ru_utime + used.ru_stime
        if process == run.pid and status:
            raise RuntimeError(Path(log.name).read_text()[-2000:])
    jobs: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for path in results.glob("local--*/logs/**/*.log"):
        rule = path.relative_to(results).parts[2].removesuffix(".log")
        if counted := USED.search(path.read_text(errors="replace")):
            jobs[rule] += float(counted[1])
            counts[rule] += 1
    return Cost(time.monotonic() - start, cpu, jobs, counts)


def text(cost: Cost, count: int, per_call: int) -> str:
    """The section of RESULTS.md."""
    numbers = sum(cost.jobs[rule] for rule in NUMBERS)
    rest = cost.cpu - sum(cost.jobs.values())
    rows = [
        f"| {rule} | {cost.counts[rule] / count:.0f} | {seconds / count:.2f} |"
        for rule, seconds in cost.jobs.most_common()
    ]
    return f"""\
{count} copies of the demo with values of their own, {per_call} in each call of Snakemake.
Machine: {machine()}. {cost.wall / 60:.1f} minutes, {cost.cpu / 60:.1f} minutes of CPU time.

| rule | jobs of a model | CPU seconds of a model |
|---|---|---|
{chr(10).join(rows)}
| Snakemake, imports, starts of jobs, page of all models | | {rest / count:.2f} |
| **all** | {sum(cost.counts.values()) / count:.0f} | **{cost.cpu / count:.2f}** |
| numbers alone ({", ".join(NUMBERS)}) | | {numbers / count:.2f} |
| overhead | | {(cost.cpu - numbers) / count:.2f} |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="number of models")
    parser.add_argument("--folder", type=Path, help="where models and results go and stay")
    parser.add_argument("--per-call", type=int, default=MODELS_PER_CALL, help="models in a call")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (chosen.folder or Path(scratch)).absolute()
        listed = made(chosen.count, folder)
        cost = measured(listed, folder / "results", chosen.per_call)
    write_section(TITLE, text(cost, chosen.count, chosen.per_call))


if __name__ == "__main__":
    main()
