"""A copy of the project in which Snakemake really runs."""

import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

import pyarrow.parquet as pq
import pytest

from blockresearch import results
from blockresearch.tables.columns import (
    SCHEMAS,
)
from tests.conftest import ROOT, copy_without_machine_code, small_model

# Tables that are made if `analyses` has circuits.
CIRCUITS = tuple(PurePath(path).stem for path in results.CIRCUITS if path.endswith(".csv"))

# Tables of two models.
COMPARED = (
    *("pairs", "differences", "subspaces", "heads", "lineage", "profiles", "mixture", "vocabulary"),
)

PARTS = ("Snakefile", "config", "envs", "notebooks", "profiles", "src", "workflow")


@dataclass(frozen=True)
class Run:
    """How a run of Snakemake ended, what people saw, and Snakemake's own log of it.

    A dry run leaves no log; what it prints is the same text.
    """

    code: int
    text: str
    log: str

    @property
    def jobs(self) -> dict[str, int]:
        """Rules that were run or planned, with the number of their jobs, targets left out."""
        started = re.findall(
            r"^ *(?:local)?(?:rule|checkpoint) (\w+):", self.log or self.text, re.MULTILINE
        )
        return {rule: started.count(rule) for rule in started if rule not in ("all", "resolve")}


@dataclass(frozen=True)
class Project:
    """A working copy of the project."""

    folder: Path

    def snakemake(self, *arguments: object, **environment: str) -> Run:
        """Run Snakemake on two cores, in the environment of the tests."""
        own = {
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder / "src"),
        }
        known = self._logs()
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | own | environment,
            timeout=600,
        )
        log = "".join(path.read_text() for path in sorted(self._logs() - known))
        return Run(done.returncode, done.stdout, log)

    def _logs(self) -> set[Path]:
        return set((self.folder / ".snakemake/log").glob("*.snakemake.log"))


def copy_of_the_project(folder: Path) -> Project:
    """A project in `folder` without results."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            copy_without_machine_code(source, folder / part)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / part)
    copy_machine_code(folder / "src")
    return Project(folder)


def copy_machine_code(copied: Path) -> None:
    """Give a copy of src/ the compiled loops of the project, which would take 15 s to compile.

    numba names the folder of a cache by the path of the sources, and compares their times. If it
    ever does otherwise, the copy compiles its loops.
    """

    def name(sources: Path) -> str:
        return f"{sources.name}_{hashlib.sha1(str(sources).encode()).hexdigest()}"

    for sources in {path.parent for path in (ROOT / "src").rglob("*.py")}:
        place = copied.resolve() / sources.relative_to(ROOT / "src")
        for cache in ROOT.glob(f"src/blockresearch/*/__pycache__/compiled-*/{name(sources)}"):
            target = copied / cache.relative_to(ROOT / "src").with_name(name(place))
            shutil.copytree(cache, target, ignore=shutil.ignore_patterns("*.tmp.*"))
            for path in sources.glob("*.py"):
                shutil.copystat(path, place / path.name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A project in which the whole workflow has run on a small model, `model/` in its folder.

    It runs once for all processes of tests, and each of them has a copy.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "finished").exists():
            project = copy_of_the_project(tmp_path_factory.mktemp("project"))
            small_model(project.folder / "model")
            run = project.snakemake("--config", "model=model", "clustering={k_max: 6}")
            assert run.code == 0, run.text
            project.folder.rename(shared / "finished")
    folder = tmp_path_factory.mktemp("finished") / "project"
    copy_without_machine_code(shared / "finished", folder)
    copy_machine_code(folder / "src")
    return Project(folder)


def assert_same_tables(one: Path, other: Path) -> None:
    """Two runs left the same tables, byte for byte."""
    tables = [path.name for path in (*one.glob("*.parquet"), *one.glob("*.csv"))]
    for name in (*tables, "manifest.json", "plan.json", "params.json", "embedding/clusters.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def assert_columns(folder: Path, table: str) -> None:
    """The files of `table` in `folder` have the columns that the records state."""
    schema = SCHEMAS[table]
    for path in (folder / name for name in schema.files.split(", ")):
        if path.suffix == ".parquet":
            written = pq.read_schema(path).names
        elif path.suffix == ".json":
            written = list(json.loads(path.read_text())[0])
        else:
            with path.open(encoding="utf-8", newline="") as file:
                written = next(csv.reader(file))
        assert written == [column.name for column in schema.columns], path.name
