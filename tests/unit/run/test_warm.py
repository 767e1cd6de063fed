"""Scripts that a process of the run runs as its copies: as if Python had started them."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blockresearch.project import PACKAGE
from blockresearch.run import handover, warm
from tests.conftest import ROOT

HANDOVER = str(PACKAGE / "run" / "handover.py")

SCRIPT = """
import json, os, sys, signal, time
import fractions
import numpy

def main(word):
    if word == "wait":
        from blockresearch.run import lifeline
        lifeline.follow_run()
        print(os.getpid(), flush=True)
        time.sleep(60)
    if word == "threads":
        import threadpoolctl
        print([pool["num_threads"] for pool in threadpoolctl.threadpool_info()])
        return
    if word == "end":
        sys.exit("error: said.")
    if word == "break":
        raise TypeError("broken")
    if word == "kill":
        os.kill(os.getpid(), signal.SIGUSR1)
    print(json.dumps([os.getppid(), os.getcwd(), os.environ["WORD"], sys.stdin.read(), sys.argv]))

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Starts the process for jobs; its socket is in the environment."""
    if sys.platform != "linux":
        pytest.skip("forks are for Linux")
    monkeypatch.setenv(handover.SOCKET, "")
    monkeypatch.setenv("WORD", "mine")
    (tmp_path / "script.py").write_text(SCRIPT)
    alive = warm.start()
    place = os.environ[handover.SOCKET]
    yield place
    os.close(alive)
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(handover.address(place))
            time.sleep(0.01)


def start(folder, word, **options):
    return subprocess.Popen(
        [sys.executable, HANDOVER, "script.py", word],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(job, given=""):
    out, log = job.communicate(given, timeout=30)
    return job.returncode, out, log


def test_scripts_and_what_they_load_later_exist():
    """With a name that is gone, each job would import everything itself, without a word."""
    for script, later in warm.LATER.items():
        assert (ROOT / f"workflow/scripts/{script}.py").is_file()
        assert all(importlib.util.find_spec(name) for name in later)


def test_a_copy_has_files_folder_and_arguments(server, tmp_path):
    code, out, log = finished(start(tmp_path, "hello"), "given")
    parent, *rest = json.loads(out)
    assert code == 0 and rest == [str(tmp_path), "mine", "given", ["script.py", "hello"]]
    assert log.startswith("used 0.")
    # The same process serves the next job.
    assert json.loads(finished(start(tmp_path, "again"))[1])[0] == parent


def test_a_copy_ends_as_the_script_ends(server, tmp_path):
    assert finished(start(tmp_path, "end"))[::2] == (1, "error: said.\n")
    code, _, log = finished(start(tmp_path, "break"))
    assert code == 1 and log.endswith("TypeError: broken\n")
    assert finished(start(tmp_path, "kill"))[0] == -signal.SIGUSR1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_copy_ends_with_its_job(server, tmp_path, number):
    job = start(tmp_path, "wait")
    copy = int(job.stdout.readline())
    job.send_signal(number)
    code, _, log = finished(job)
    assert code == (143 if number == signal.SIGTERM else -number)
    assert "error: ended by SIGTERM" in log
    for _ in range(1000):
        if not Path(f"/proc/{copy}").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the copy runs on")


def test_without_the_process_a_script_runs_here(server, tmp_path, monkeypatch):
    job = start(tmp_path, "here", env={**os.environ, handover.SOCKET: f"none-{os.getpid()}"})
    code, out, log = finished(job)
    assert code == 0 and json.loads(out)[0] == os.getpid() and not log
    monkeypatch.setenv(handover.SOCKET, "no")
    assert warm.start() is None


def test_another_python_runs_its_script_itself(server, tmp_path):
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    shutil.copy(Path(sys.executable).resolve(), other)
    job = subprocess.run(
        [other, HANDOVER, "script.py", "here"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        input="",
        timeout=30,
    )
    assert json.loads(job.stdout)[0] == os.getpid(), job.stderr


def test_files_that_were_edited_are_noticed(tmp_path):
    for name in ("room/page.j2", "room/__pycache__/page.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    since = (tmp_path / "room/page.j2").stat().st_mtime
    os.utime(tmp_path / "room/__pycache__/page.pyc", (since + 9, since + 9))
    assert not warm.edited(tmp_path, since)
    assert warm.edited(tmp_path, since - 1)


def test_libraries_use_the_threads_of_their_job(server, tmp_path):
    for threads in ("1", "3"):
        job = start(tmp_path, "threads", env=os.environ | {"OMP_NUM_THREADS": threads})
        code, out, log = finished(job)
        assert code == 0 and set(json.loads(out)) == {int(threads)}, log
        assert "used" in log, "a copy has run it"


def test_a_job_of_a_scheduler_runs_its_script_itself(server, tmp_path):
    # Its parent is not the run.
    words = ["setsid", "--fork", sys.executable, HANDOVER, "script.py", "threads"]
    job = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, input="", timeout=30)
    assert "[" in job.stdout and "used" not in job.stderr


def test_the_process_leaves_no_file(server, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    alive = warm.start()
    code, _, log = finished(start(tmp_path, "hello"))
    assert code == 0 and "used" in log
    assert not any(folder.iterdir())
    os.close(alive)


def test_another_user_is_refused(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert handover.is_same_user(ours)
        monkeypatch.setattr(os, "getuid", lambda: -1)
        assert not handover.is_same_user(ours)
