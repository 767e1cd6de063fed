"""Check this machine: program, libraries, cores, GPU, hub, cache and disk, in one table.

Exit code 1 if something would stop a run.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from blockresearch.command import options

SECONDS_FOR_THE_HUB = 10.0
# Less than this on a disk deserves a note: a model of 4 billion weights has 8 GB.
FEW_BYTES = 10e9

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was checked, ok, note or problem, and what was found."""

    what: str
    state: str
    found: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the folder of results."""
    options.add_results(parser)
    options.add_json(parser)


def main(chosen: argparse.Namespace) -> int:
    """Print the rows as they are found; 1 if one is a problem."""
    from blockresearch.command import outcome

    rows = []
    for row in found(Path(chosen.results or "results")):
        rows.append(row)
        if not chosen.json:
            print(f"{row.what:<10} {row.state:<8} {row.found}", flush=True)
    if chosen.json:
        outcome.print_json([asdict(row) for row in rows])
    return int(any(row.state == PROBLEM for row in rows))


def found(results: Path) -> Iterator[Row]:
    """The rows of the table."""
    checks: tuple[Callable[[], Row], ...] = (program, python, libraries, machine, gpu, hub, token)
    for check in checks:
        yield check()
    yield cache()
    from blockresearch.command.settings import weights_of_folder

    yield disk("weights", weights_of_folder())
    yield disk("results", results)


def program() -> Row:
    """Version and place of the program."""
    import blockresearch
    from blockresearch.project import PACKAGE, PROJECT

    kind = "installed in" if PROJECT == PACKAGE else "clone"
    return Row("program", OK, f"blockresearch {blockresearch.__version__}, {kind} {PROJECT}")


def python() -> Row:
    """Version and path of Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Row("python", OK, f"{version}, {sys.executable}")


def libraries() -> Row:
    """Whether the required libraries are there in the versions that were tested."""
    from importlib.metadata import PackageNotFoundError, requires, version

    missing, others = [], []
    needed = [line for line in requires("ai-block-research") or () if ";" not in line]
    for line in needed:
        name, _, wanted = line.partition("==")
        try:
            if version(name) != wanted:
                others.append(f"{name} {version(name)} (tested: {wanted})")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Row(
            "libraries", PROBLEM, f"missing: {', '.join(missing)}: install the package again"
        )
    if others:
        return Row("libraries", NOTE, "other versions than tested: " + ", ".join(others))
    return Row(
        "libraries", OK, f"{len(needed)} in the tested versions; Snakemake {version('snakemake')}"
    )


def machine() -> Row:
    """Cores and memory that a run may use."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    text = (
        f"{cores} cores, {memory.total / 1e9:.0f} GB of memory, {memory.available / 1e9:.0f} free"
    )
    return Row("machine", OK, text)


def gpu() -> Row:
    """Whether a GPU will measure."""
    from blockresearch.device import may_find_gpu, resolve_device, unused_gpu

    if note := unused_gpu():
        return Row("gpu", NOTE, note)
    if not may_find_gpu("auto"):
        return Row("gpu", OK, "none; the CPU measures")
    if resolve_device("auto") == "cpu":
        return Row("gpu", NOTE, "there is a driver, but torch finds no GPU; the CPU measures")
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Row("gpu", OK, ", ".join(names))


def hub() -> Row:
    """Whether the hub answers. If not, local folders and the demo still work."""
    from blockresearch.hub import health

    problem = health.problem(SECONDS_FOR_THE_HUB)
    return Row("hub", NOTE if problem else OK, problem or f"{health.endpoint()} answers")


def token() -> Row:
    """Whether there is a token."""
    from blockresearch.hub import health

    known = health.has_token()
    return Row("token", OK, "set" if known else "none; gated and private models need HF_TOKEN")


def cache() -> Row:
    """Where the hub's cache is; files in it are used in place."""
    from blockresearch.hub.cache import cache_root

    folder = cache_root()
    return Row("cache", OK, f"{folder}" + ("" if folder.is_dir() else " (does not exist yet)"))


def disk(what: str, folder: Path) -> Row:
    """Whether a folder can be written, and the space on its disk."""
    import shutil

    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK):
        return Row(what, PROBLEM, f"{folder}: cannot write into {place}: choose another folder")
    free = shutil.disk_usage(place).free
    state = NOTE if free < FEW_BYTES else OK
    return Row(what, state, f"{folder}: {free / 1e9:.0f} GB free")
