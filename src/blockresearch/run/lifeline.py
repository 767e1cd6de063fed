"""End jobs with their run: no job continues after Snakemake is gone, and Ctrl-C ends all.

Snakemake does not end its jobs when it is killed and does not pass an interrupt on to them, and
LAPACK does not return to Python for a signal. So the run puts its process into the environment,
every job watches that process and its own shell, and a job that must end has a few seconds to clean
up.
"""

import os
import platform
import select
import signal
import threading
import time
from types import FrameType
from typing import NoReturn

from blockresearch.run.handover import OWNERS

# Environment variable with HOST:PID of the process that the jobs belong to.
RUN = "BLOCK_RESEARCH_RUN"

# Seconds for a job to clean up before it is ended.
GRACE = 3.0


def take_jobs_along() -> None:
    """In the process of Snakemake: own all jobs started from here, and pass Ctrl-C on to them.

    To be called when the run starts, never while a Snakefile is parsed: it may be that of another
    workflow.
    """
    os.environ[RUN] = f"{platform.node()}:{os.getpid()}"
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt_jobs)


def follow_run() -> None:
    """In a job: end cleanly at SIGINT and SIGTERM, and as soon as the run or the shell is gone.

    Processes are watched if the system supports it (Linux), and only if a run has started the job:
    one started by hand may outlive its shell. Raises SystemExit if the run is gone already.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    if os.name != "posix":
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    # Written to by the interpreter itself, also while the main thread is in LAPACK.
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    watched = []
    if {RUN, OWNERS} & os.environ.keys() and hasattr(os, "pidfd_open"):
        try:
            watched = [os.pidfd_open(pid) for pid in {*_run_here(), *_owners()}]
        except (ProcessLookupError, ValueError):
            raise SystemExit(128 + signal.SIGTERM) from None
    threading.Thread(target=_watch, args=(reads, watched), daemon=True).start()


def _run_here() -> list[int]:
    """The process of the run, unless it is on another machine: there the scheduler ends the job."""
    host, _, process = os.environ.get(RUN, "").rpartition(":")
    return [int(process)] if host == platform.node() else []


def _owners() -> list[int]:
    """The shell of this job; if it was handed over, that of the process that waits for it, too."""
    owners = os.environ.get(OWNERS)
    return [int(process) for process in owners.split()] if owners else [os.getppid()]


def _interrupt_jobs(number: int, frame: FrameType | None) -> NoReturn:
    import psutil

    for process in psutil.Process().children(recursive=True):
        try:
            process.send_signal(signal.SIGINT)
        except psutil.NoSuchProcess:
            continue
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break the cleaning up.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    _say_ended(number)
    raise SystemExit(128 + number)


def _say_ended(number: int) -> None:
    """The last line in the log of a terminated job; without it the job looks killed."""
    name = signal.Signals(number).name
    text = f"error: ended by {name}: the run was interrupted, or its time was up; start it again.\n"
    os.write(2, text.encode())


def _watch(reads: int, processes: list[int]) -> None:
    poll = select.poll()
    for descriptor in (reads, *processes):
        poll.register(descriptor, select.POLLIN)
    number = signal.SIGTERM
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        if ready != [reads]:
            os.kill(os.getpid(), number)
            break
        number = signal.Signals(os.read(reads, 1)[0])
        if number in (signal.SIGINT, signal.SIGTERM):
            break
    time.sleep(GRACE)
    _say_ended(number)
    os._exit(128 + number)
