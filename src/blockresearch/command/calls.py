"""Calls of Snakemake and of scripts: printed as a person would type them, then run."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from blockresearch.project import PROJECT, project_file

# Exit code of a command that Ctrl-C has ended.
INTERRUPTED = 130

# Options of Snakemake that say themselves how many jobs run.
COUNTS = ("--cores", "-c", "--jobs", "-j", "--profile")


class UsageError(ValueError):
    """A command line that contradicts itself."""


def snakemake(
    target: str | None, settings: Iterable[str], files: Iterable[str], options: argparse.Namespace
) -> list[str]:
    """The words of a call of Snakemake, without the interpreter.

    The Snakefile comes last of ours, because the words after `--config` would swallow what a user
    passes on. Raises UsageError if that contains `--config`, which would replace ours.
    """
    passed_on = with_profile(options.passed_on)
    if any(word.split("=")[0] in ("--config", "-C") for word in passed_on):
        raise UsageError("--config after -- would replace the model: write --set KEY=VALUE.")
    words = ["snakemake", *([target] if target else [])]
    if options.dry_run:
        words.append("--dry-run")
    if files := list(files):
        words += ["--configfile", *files]
    words += ["--config", *settings]
    if options.cores is not None or not _says_count(passed_on):
        words += ["--cores", str(options.cores or "all")]
    return [*words, "-s", project_file("Snakefile"), *passed_on]


def with_profile(words: Sequence[str]) -> list[str]:
    """`words` with a profile of this project by its path, if it is no folder here or of the user.

    `--profile slurm` and `--profile profiles/slurm` work in any folder.
    """
    result = list(words)
    for i, word in enumerate(result):
        if word == "--profile" and i + 1 < len(result):
            result[i + 1] = _profile(result[i + 1])
        elif word.startswith("--profile="):
            result[i] = "--profile=" + _profile(word.removeprefix("--profile="))
    return result


def _profile(name: str) -> str:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    if os.path.exists(name) or os.path.exists(os.path.join(home, "snakemake", name)):
        return name
    ours = (PROJECT / "profiles" / name, PROJECT / name)
    return next((str(path) for path in ours if path.is_dir()), name)


def _says_count(words: Sequence[str]) -> bool:
    names = [word.split("=")[0] for word in words]
    return any(name in COUNTS or name[:2] in ("-c", "-j") for name in names)


def script(name: str, *words: str) -> list[str]:
    """The words of a call of workflow/scripts/NAME.py."""
    return ["python", project_file(f"workflow/scripts/{name}.py"), *words]


def call(words: Sequence[str], output: int | None = None) -> int:
    """Print the call, run it with the interpreter of this process, and return its exit code.

    `output` is where its standard output goes, that of this process by default. Ctrl-C ends the
    call, which cleans up, and this process waits for it.
    """
    print(f"$ {shlex.join(words)}", file=sys.stderr, flush=True)
    program = ["-m", "snakemake"] if words[0] == "snakemake" else []
    with _signals() as received:
        process = subprocess.Popen([sys.executable, *program, *words[1:]], stdout=output)
        received.pass_to(process)
        code = process.wait()
    # Snakemake ends an interrupted run as a failed one.
    if received.numbers and code:
        return 128 + received.numbers[0]
    return 128 - code if code < 0 else code


class _Signals:
    """Signals to end this process: SIGTERM is passed on, Ctrl-C comes from the terminal."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.process: subprocess.Popen | None = None

    def note(self, number: int, _: FrameType | None) -> None:
        """The handler."""
        self.numbers.append(number)
        if number == signal.SIGTERM and self.process:
            self.process.terminate()

    def pass_to(self, process: subprocess.Popen) -> None:
        """Pass signals to a process, also one that came before it had started."""
        self.process = process
        if signal.SIGTERM in self.numbers:
            process.terminate()


@contextmanager
def _signals() -> Iterator[_Signals]:
    """While the block runs, SIGINT and SIGTERM are noted and do not end this process."""
    received = _Signals()
    known = {
        number: signal.signal(number, received.note) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
