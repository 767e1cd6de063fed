"""Hand a script over to the process of the run that has its libraries loaded, or run it here.

    python src/blockresearch/run/handover.py workflow/scripts/merge.py --manifest manifest.json …

does what `python workflow/scripts/merge.py --manifest manifest.json …` does. If a run has started
that process (`warm.py`) on this machine and it runs the same Python, a copy of it runs the script
with the files, folder and environment of this process, which waits for it, passes signals on and
ends as it has ended. It imports nothing but the standard library, because it starts for every job.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

# Environment variable with the name of the socket of that process, which ends with the process of
# the run; `no` for a run without one.
SOCKET = "BLOCK_RESEARCH_WARM"

# Environment variable with the processes that a copy belongs to: of this one, and of its shell.
OWNERS = "BLOCK_RESEARCH_OWNERS"

# The last line in the log of a job that was handed over and has succeeded; `report.environment`
# reads it.
USED = "used {:.2f} s of CPU time and {} bytes of memory"


def main() -> None:
    """Run the script that the command line names, there or here."""
    script, *arguments = sys.argv[1:]
    answers = _ask(script, arguments)
    if answers is None:
        sys.argv = [script, *arguments]
        # As if Python had started the script.
        sys.path[0] = os.path.dirname(script)
        provide_package()
        runpy.run_path(script, run_name="__main__")
        return
    _follow(answers)


def provide_package() -> None:
    """Make the package of this file importable if no other is, and nothing that lies beside it.

    A conda environment has the libraries of a job and not the package. The folder of an installed
    package is no place to search: it has the libraries of another environment as well.
    """
    if find_spec("blockresearch"):
        return
    package = Path(__file__).resolve().parents[1]
    spec = spec_from_file_location(
        "blockresearch", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec and spec.loader
    sys.modules["blockresearch"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["blockresearch"])


def _ask(script: str, arguments: list[str]) -> Any:
    """The answers to come, as a file of JSON lines, if the script has been started; else None."""
    place = os.environ.get(SOCKET, "no")
    if place == "no" or not _descends_from(place.rpartition("-")[2]):
        return None
    request = {
        "prefix": sys.prefix,
        "script": script,
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": {**os.environ, OWNERS: f"{os.getpid()} {os.getppid()}"},
    }
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address(place))
        if not is_same_user(connection):
            return None
        socket.send_fds(connection, [b" "], [0, 1, 2])
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        answers = connection.makefile("r")
        started = json.loads(answers.readline() or "null")
    except (OSError, ValueError):
        return None
    if started is None:
        return None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: _pass_on(number, started["pid"]))
    return answers


def address(name: str) -> str:
    """The address of a socket that is no file, so that nothing of it stays; Linux has such."""
    return f"\0{name}"


def is_same_user(connection: socket.socket) -> bool:
    """Whether the process at the other end runs for the same user: any may know the name."""
    credentials = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


def _descends_from(owner: str) -> bool:
    """Whether a process, by its number, is one that this one descends from.

    Jobs that a scheduler has started are not, although they inherit the environment of the run:
    they stay within the memory and the cores that they were given.
    """
    process = os.getpid()
    while process > 1:
        if str(process) == owner:
            return True
        try:
            with open(f"/proc/{process}/stat") as stat:
                # The name stands in parentheses, and may have some itself.
                process = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def _pass_on(number: int, process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _follow(answers: Any) -> None:
    """End as the copy ends, and note in the log what it used, which no benchmark sees."""
    ended = json.loads(answers.readline() or "null")
    if ended is None:
        sys.exit("error: the process that ran this script was killed; start the run again.")
    status = ended["status"]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    if status == 0:
        print(USED.format(ended["cpu_seconds"], ended["peak_bytes"]), file=sys.stderr)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
