"""The laws of the house: what each room may import."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.house import (
    FLOOR_OF,
    PACKAGE,
    SCRIPTS,
    SRC,
    arrows,
    imported,
    loaded_by,
    modules,
    room_of,
)

NETWORK = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "requests",
    "socket",
    "urllib.request",
    "urllib3",
}
# Steps that only read names and headers. They run in an environment without these libraries.
LIGHT_SCRIPTS = ("resolve_model", "plan", "download")
HEAVY = ("numba", "pandas", "scipy")


def importers(libraries: set[str]) -> set[str]:
    """Rooms, the logger plugin and scripts that import one of the libraries."""
    found = set()
    for path in [*SRC.rglob("*.py"), *SCRIPTS.glob("*.py")]:
        names = {".".join(n.split(".")[:depth]) for n in imported(path) for depth in (1, 2)}
        if names & libraries:
            found.add(room_of(path) if PACKAGE in path.parents else path.parent.name)
    return found


def closure(path: Path) -> set[str]:
    """All names that a file and the modules of the package that it reaches import anywhere."""
    names, waiting = set(), [path]
    while waiting:
        for name in imported(waiting.pop()) - names:
            names.add(name)
            inside = [SRC.joinpath(*name.split(".")), SRC.joinpath(*name.split(".")[:-1])]
            waiting += [p for p in (f.with_suffix(".py") for f in inside) if p.is_file()]
    return names


def test_a_room_imports_only_from_floors_below():
    assert {room_of(path) for path in modules()} <= set(FLOOR_OF), "a new room takes a floor"
    upward = {
        edge: files for edge, files in arrows().items() if FLOOR_OF[edge[1]] >= FLOOR_OF[edge[0]]
    }
    assert not upward


def test_init_files_are_empty():
    """A job's fingerprint does not follow them, so code in them could change without a rerun."""
    packages = [path for path in SRC.rglob("__init__.py") if path.parent.parent != SRC]
    assert not [str(path) for path in packages if path.stat().st_size]


def test_importing_the_package_imports_nothing():
    """What it offers to programs is looked up on demand, and no module depends on it."""
    code = "import blockresearch, sys; print([n for n in sys.modules if 'blockresearch.' in n])"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "[]"
    offered = {"load", "measure", "Results", "Measurement", "__version__"}
    users = {f"blockresearch.{name}" for name in offered}
    assert not [path for path in modules() if imported(path) & users]


def test_only_run_speaks_of_snakemake():
    assert importers({"snakemake"}) <= {"run", "snakemake_logger_plugin_blockresearch"}


def test_only_hub_talks_to_the_network():
    assert importers(NETWORK - {"socket"}) == {"hub"}
    # Processes of a run on one machine meet at a file.
    assert importers({"socket"}) == {"run"}
    text = "".join(path.read_text() for path in (PACKAGE / "run").glob("*.py"))
    assert text.count("socket.socket(") == text.count("socket.AF_UNIX)") + text.count("(fileno=")


def test_report_reads_tables_and_json_only():
    allowed = {"failures", "files", "language", "model_config"}
    allowed |= {"project", "results", "summary", "tables", "text"}
    others = {
        name
        for path in (PACKAGE / "report").rglob("*.py")
        for name in imported(path)
        if name.startswith("blockresearch.") and name.split(".")[1] not in {"report", *allowed}
    }
    # Reports decode the stored codes of histograms.
    assert {name.rsplit(".", 1)[0] for name in others} <= {"blockresearch.safetensors.dtypes"}


@pytest.mark.parametrize("script", LIGHT_SCRIPTS)
def test_light_scripts_load_no_numerical_library(script: str):
    reached = {name.split(".")[0] for name in closure(SCRIPTS / f"{script}.py")}
    assert not reached & set(HEAVY), "named somewhere in the code that it reaches"
    _, loaded = loaded_by(f"workflow.scripts.{script}", HEAVY)
    assert not loaded, "loaded when it starts"
