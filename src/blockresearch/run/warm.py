"""A process that imports the libraries of the jobs of a run once, and runs scripts as its copies.

A job of a tiny model spends more time on importing libraries than on its work. So the run starts
this process beside its jobs. For each script that `handover` names, it imports what the script
imports, unless it has done so before, and forks: the copy runs the script as if Python had started
it. Each job is still a process that shares no memory that it changes, and a job on another machine,
in another environment or started by hand runs as it is.

Only on Linux: elsewhere, libraries do not promise to work in a fork.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blockresearch.project import PACKAGE, PROJECT
from blockresearch.run.handover import SOCKET, address, is_same_user

# What libraries and scripts import inside functions, at first use.
TABLES = ("pyarrow.parquet", "pyarrow.dataset", "pyarrow.pandas_compat")
LOOPS = ("numba.np.arraymath", "numba.typed", "scipy.linalg.cython_blas", "scipy.linalg.lapack")
LATER = {
    "analyze": ("blockresearch.measurement.part", "pandas", *LOOPS, *TABLES),
    "embedding_analysis": (*LOOPS, *TABLES),
    "notebook": (
        *("papermill", "papermill.parameterize", "black", "nbconvert", "seaborn"),
        *("blockresearch.report.notebook_engine", "blockresearch.report.notebook_cells"),
        *("blockresearch.report.plots.layers", "blockresearch.report.plots.tokens"),
        *("blockresearch.report.plots.values", "blockresearch.report.plots.spectra", *TABLES),
    ),
    **dict.fromkeys(("merge", "findings", "audit_model", "figures", "model_page"), TABLES),
    **dict.fromkeys(("transformer_analysis", "circuits", "circuits_part"), TABLES),
    **dict.fromkeys(("directions", "heavy_tails"), TABLES),
}

# Objects that a copy creates before Python looks for unused ones, and how often it looks at older
# ones: most copies end sooner, and looking took a twentieth of the time of a report.
COLLECTED = (100_000, 20, 20)

# What the answers of a copy that has ended go to, by its process.
Waiting = dict[int, socket.socket]


def start() -> int | None:
    """In the process of Snakemake: start the process for its jobs.

    Returns the descriptor that keeps it alive: it ends when that is closed, so with this process.
    None without one: on other systems, or if the environment variable of its socket is `no`.
    """
    if sys.platform != "linux" or os.environ.get(SOCKET) == "no":
        return None
    # Its name says to whose jobs it belongs.
    place = f"blockresearch-{secrets.token_hex(8)}-{os.getpid()}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address(place))
    listening.listen(128)
    reads, alive = os.pipe()
    # As `project.command` gives it to jobs.
    own = [] if PROJECT == PACKAGE else [str(PACKAGE.parent)]
    path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
    with listening:
        code = "from blockresearch.run.warm import main; main()"
        subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(listening.fileno()), str(reads)],
            pass_fds=(listening.fileno(), reads),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
    os.close(reads)
    os.environ[SOCKET] = place
    return alive


def main() -> None:
    """The process itself: serve until the one that has started it is gone."""
    listening, alive = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    # An interrupt is for the jobs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    poll = select.poll()
    for descriptor in (listening.fileno(), alive, ended):
        poll.register(descriptor, select.POLLIN)
    since = time.time()
    waiting: Waiting = {}
    # The first to be registered is the last to run.
    codes: list[int] = []
    atexit.register(_leave, codes)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if alive in ready:
            break
        if ended in ready:
            os.read(ended, 1 << 16)
            _answer(waiting)
        if listening.fileno() in ready:
            connection = listening.accept()[0]
            request = _request(connection, since)
            if request is None:
                connection.close()
                continue
            process = _fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                for descriptor in (ended, wake, alive):
                    os.close(descriptor)
                for open_here in (listening, connection, *waiting.values()):
                    open_here.close()
                codes.append(_run(request))
                sys.exit()
            for descriptor in request["files"]:
                os.close(descriptor)
            waiting[process] = connection
            _send(connection, {"pid": process})


def _request(connection: socket.socket, since: float) -> dict[str, Any] | None:
    """What to run, with the `files` for standard input, output and error; the script's libraries
    are loaded then. None for another user's or another Python's, or a script that cannot be loaded.
    Nor for code that was edited while the run goes on: templates would be newer than the modules
    that use them."""
    if not is_same_user(connection):
        return None
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("r") as text:
        request = json.loads(text.read() or "null")
    is_ours = request and request["prefix"] == sys.prefix and len(files) == 3
    if is_ours and not edited(PACKAGE, since) and _load(request):
        return {**request, "files": files}
    for descriptor in files:
        os.close(descriptor)
    return None


def _load(request: Mapping[str, Any]) -> bool:
    """Whether the script could be imported, with what it imports later."""
    here = os.getcwd()
    try:
        os.chdir(request["folder"])
        runpy.run_path(request["script"], run_name="loaded")
        for module in LATER.get(_name(request["script"]), ()):
            importlib.import_module(module)
    except Exception:
        return False
    finally:
        os.chdir(here)
    return True


def edited(folder: Path, since: float) -> bool:
    """Whether a file in a folder was changed after a time (s), caches of Python not counted."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        try:
            if any(os.stat(os.path.join(place, name)).st_mtime > since for name in names):
                return True
        except OSError:  # it has just been there
            return True
    return False


def _name(script: str) -> str:
    return os.path.basename(script).removesuffix(".py")


def _fork() -> int:
    gc.freeze()
    with warnings.catch_warnings():
        # Python warns of threads: those of BLAS end before a fork, and start again when needed.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _run(request: Mapping[str, Any]) -> int:
    """In a copy: run the script as if Python had started it. Returns its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(request["files"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    tempfile.tempdir = None  # that of the environment
    _limit_threads()
    gc.set_threshold(*COLLECTED)
    script = request["script"]
    # What `top` shows.
    Path("/proc/self/comm").write_text(_name(script))
    sys.argv = [script, *request["arguments"]]
    sys.path.insert(0, os.path.dirname(script))
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    return code


def _limit_threads() -> None:
    """Limit the libraries of linear algebra to the job's threads: they were loaded before, and read
    the environment, in which Snakemake states them, only then."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(int(threads))


def _leave(codes: list[int]) -> None:
    """End a copy at once if it has run its script: the interpreter would take every module apart,
    which takes as long as a small job."""
    if codes:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(codes[0])


def _answer(waiting: Waiting) -> None:
    """Send what became of copies that have ended."""
    while waiting:
        process, status, used = os.wait4(-1, os.WNOHANG)
        if not process:
            return
        with waiting.pop(process) as connection:
            seconds = used.ru_utime + used.ru_stime
            # Linux counts in KiB.
            peak = used.ru_maxrss * 1024
            _send(connection, {"status": status, "cpu_seconds": seconds, "peak_bytes": peak})


def _send(connection: socket.socket, answer: Mapping[str, Any]) -> None:
    # Perhaps nobody waits any more.
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(answer).encode() + b"\n")
