"""Kill a run again and again at random moments, and see that it ends as if nothing had happened.

    python -m tests.tools.kills --kills 200 [--seed 1]

A run of the whole workflow on a small model is started; after a random time Snakemake, one process
of a job, or all of them are killed with SIGKILL. A killed run is continued at once, as the manual
says (`--unlock`, then the same command), while jobs of the killed one may still be there. Whenever
a run ends well, its results must be those of an undisturbed run; then the next starts from nothing.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from blockresearch.hub.partial import PREFIX
from blockresearch.results import ALL
from tests.conftest import small_model
from tests.workflow.conftest import Project, copy_of_the_project

CONFIG = ("--config", "model=model", "clustering={k_max: 4}")
MODEL = "local--model"
LONGEST_WAIT = 0.2  # from the start, or the last kill, to the next; share of an undisturbed run


def small_project(folder: Path) -> Project:
    """A project with a small model and notebooks of one cell, so that jobs are short."""
    project = copy_of_the_project(folder)
    small_model(project.folder / "model")
    for path in (project.folder / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        parameters = [cell for cell in notebook["cells"] if cell["metadata"].get("tags")]
        notebook["cells"] = parameters[:1]
        path.write_text(json.dumps(notebook))
    return project


def undisturbed(project: Project) -> tuple[Path, float]:
    """The results of a run that nobody kills, and the seconds that it took."""
    started = time.monotonic()
    run = project.snakemake(*CONFIG)
    assert run.code == 0, run.text
    results = (project.folder / "results").rename(project.folder / "undisturbed")
    return results, time.monotonic() - started


def assert_same_results(one: Path, other: Path) -> None:
    """Two folders of a model have the same files, tables and records byte for byte.

    Reports and notebooks tell when and how fast they were made, so only their presence is compared.
    """
    for name in (*ALL, "plan.json", "index.html"):
        assert (one / name).is_file(), name
        if name.endswith((".csv", ".json", ".parquet", ".png")):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    left = [path for path in one.rglob(".*") if path.name.endswith(".tmp") or PREFIX in path.name]
    assert not left


def survive(
    project: Project, kills: int, seed: int, say: Callable[[str], None] = print
) -> Counter[str]:
    """Kill `kills` times; returns what was killed and how many runs ended well in between.

    AssertionError where a run that ends well has other results than an undisturbed one, or where a
    run does not go on after a kill.
    """
    reference, seconds = undisturbed(project)
    dice, counts = random.Random(seed), Counter[str]()
    results = project.folder / "results"
    started = time.monotonic()

    def killed() -> int:
        return sum(counts[victim] for victim in ("snakemake", "job", "everything"))

    while killed() < kills or not counts["runs that ended well"]:
        shutil.rmtree(results, ignore_errors=True)
        shutil.rmtree(project.folder / ".snakemake", ignore_errors=True)
        (results / MODEL).mkdir(parents=True)
        # What has not changed keeps its date, so that the date is the same in both.
        shutil.copy(reference / MODEL / "manifest.json", results / MODEL)
        for _ in range(100):
            project.snakemake("--unlock", *CONFIG)
            code = _run(project, dice, LONGEST_WAIT * seconds, counts, kills - killed())
            say(f"{time.monotonic() - started:.0f} s: {killed()} killed, {dict(counts)}")
            if code == 0:
                break
        else:
            raise AssertionError("the run does not come to its end")
        assert_same_results(results / MODEL, reference / MODEL)
        counts["runs that ended well"] += 1
        say(f"equal to the undisturbed run: {counts['runs that ended well']}")
    return counts


def _run(
    project: Project, dice: random.Random, longest: float, counts: Counter[str], kills: int
) -> int:
    """One run, disturbed until it ends or Snakemake is killed; returns its exit code."""
    with (project.folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", *CONFIG],
            cwd=project.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # The program of the copy, as in the undisturbed run.
            env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
        )
    while kills > 0:
        try:
            return process.wait(dice.uniform(0, longest))
        except subprocess.TimeoutExpired:
            victim = dice.choice(("snakemake", "job", "job", "everything"))
        try:
            jobs = psutil.Process(process.pid).children(recursive=True)
            if victim == "job" and not jobs:
                continue
            if victim == "job":
                dice.choice(jobs).kill()
            elif victim == "everything":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
        counts[victim] += 1
        kills -= 1
        if victim != "job":
            break
    return process.wait(timeout=600)


def main() -> None:
    """Kill as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        project = small_project(Path(folder, "project"))
        survive(project, options.kills, options.seed)


if __name__ == "__main__":
    main()
