"""The rooms of the program, what imports what, and how large and how slow to start everything is.

`python -m tests.tools.house` prints the figures; tests/properties/test_floors.py holds the laws.
"""

import ast
import re
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "blockresearch"
SCRIPTS = ROOT / "workflow" / "scripts"

# Floor and room, from the list in ARCHITECTURE.md: `    1  hub naming safetensors tables`.
FLOORS = re.findall(
    r"^ {4}(\d)  ([a-z_ ]+)$", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.M
)
FLOOR_OF = {room: int(floor) for floor, rooms in FLOORS for room in rooms.split()}
# Libraries that make a script slow to start.
HEAVY = ("matplotlib", "numba", "pandas", "pyarrow", "scipy", "sklearn", "torch")
RUNS = 3


def room_of(path: Path) -> str:
    """The folder that contains a module; on the ground floor the module itself."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Dotted names that a module imports, also inside functions; `from a import b` is `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules() -> list[Path]:
    """Every module of the package but its own `__init__.py`."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def arrows() -> dict[tuple[str, str], list[str]]:
    """Modules that import another room, by (their room, the imported room)."""
    found = defaultdict(list)
    for path in modules():
        own = room_of(path)
        others = {n.split(".")[1] for n in imported(path) if n.startswith("blockresearch.")}
        for other in sorted(others - {own}):
            found[own, other].append(path.relative_to(PACKAGE).as_posix())
    return dict(found)


def loaded_by(module: str, libraries: Iterable[str]) -> tuple[float, list[str]]:
    """CPU seconds to import a module in a new process, and the libraries that are loaded then."""
    code = (
        "import sys, time; start = time.process_time(); "
        f"import {module}; print(time.process_time() - start, *sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds, *names = answer.stdout.split()
    return float(seconds), [library for library in libraries if library in names]


def _cpu_seconds(*command: str) -> float:
    """The least of a few runs: other programs only ever make a run longer."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = [used()]
    for _ in range(RUNS):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(used())
    return min(after - before for before, after in pairwise(times))


def _lines(paths: Iterable[Path]) -> tuple[int, int]:
    """Number of files that are not empty, and of their lines."""
    counts = [len(path.read_text(encoding="utf-8").splitlines()) for path in paths]
    return sum(map(bool, counts)), sum(counts)


def _print_rooms() -> None:
    print("floor  room          files  lines  imports")
    edges = arrows()
    for room, floor in sorted(FLOOR_OF.items(), key=lambda item: (-item[1], item[0])):
        files, lines = _lines(path for path in modules() if room_of(path) == room)
        if files:
            below = " ".join(other for own, other in sorted(edges) if own == room)
            print(f"{floor:5}  {room:12}  {files:5}  {lines:5}  {below}")
    upward = [edge for edge in edges if FLOOR_OF[edge[1]] >= FLOOR_OF[edge[0]]]
    print(f"\n{len(edges)} arrows between rooms, {len(upward)} of them not downward")


def _print_sizes() -> None:
    rules = ROOT / "workflow" / "rules"
    for name, paths in {
        "src": SRC.rglob("*.py"),
        "workflow/rules/common.smk": [rules / "common.smk"],
        "workflow/rules, Snakefile": [*rules.glob("*.smk"), ROOT / "Snakefile"],
        "workflow/scripts": SCRIPTS.glob("*.py"),
        "tests": (ROOT / "tests").rglob("*.py"),
    }.items():
        files, lines = _lines(paths)
        print(f"{name:27}  {files:4} files  {lines:6} lines")


def _print_times() -> None:
    snakemake = [sys.executable, "-m", "snakemake"]
    demo = ["--config", "model=resources/demo", "results=build/house"]
    print(f"CPU seconds, the least of {RUNS} runs")
    print(f"snakemake --version              {_cpu_seconds(*snakemake, '--version'):6.2f}")
    print(
        f"snakemake --list-rules (parses)  {_cpu_seconds(*snakemake, '--list-rules', *demo):6.2f}"
    )
    dry_run = ["--dry-run", "--cores", "1", *demo]
    print(f"snakemake --dry-run, the demo    {_cpu_seconds(*snakemake, *dry_run):6.2f}\n")
    for script in ["blockresearch", *sorted(path.stem for path in SCRIPTS.glob("[!_]*.py"))]:
        module = script if script == "blockresearch" else f"workflow.scripts.{script}"
        seconds, libraries = min(loaded_by(module, HEAVY) for _ in range(RUNS))
        print(f"import {script:22}  {seconds:6.2f}  {' '.join(libraries)}")


def main() -> None:
    """Print rooms, sizes and times."""
    for part in (_print_rooms, _print_sizes, _print_times):
        part()
        print(flush=True)


if __name__ == "__main__":
    main()
