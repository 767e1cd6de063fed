"""What people see of real runs, on a terminal and elsewhere; the jobs of this workflow are toys."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.workflow

SNAKEFILE = """
rule all:
    input:
        expand("{name}.txt", name=["good", "late", "bad", "forgotten"]),

rule good:
    output: "good.txt"
    log: "good.log"
    shell: "echo '10:00:00 INFO tensor 3 of 3' > {log}; sleep 3; touch {output}"

rule late:
    output: "late.txt"
    log: "late.log"
    resources: predicted_s=5
    shell: "test -f seen && touch {output} || (touch seen; echo error: too early. > {log}; exit 1)"

rule bad:
    output: "bad.txt"
    log: "bad.log"
    shell: "echo 'error: shard 2 is truncated.' > {log}; exit 1"

rule forgotten:
    output: "forgotten.txt"
    shell: "true"
"""

COMMAND = [sys.executable, "-m", "snakemake", "--cores", "4", "--logger", "blockresearch"]
OPTIONS = ["--retries", "1", "--keep-going", "--latency-wait", "1"]


@pytest.fixture
def folder(tmp_path):
    """A folder with the toy workflow."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def environment():
    """That of a terminal, with the plugin on Python's path."""
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm"}


def run(folder, *arguments):
    """Exit code and text of a run without a terminal."""
    done = subprocess.run(
        [*COMMAND, *OPTIONS, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=120,
    )
    return done.returncode, done.stdout


def run_on_terminal(folder, *arguments):
    """Exit code and text of a run whose standard error is a terminal."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *OPTIONS, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env=environment(),
    )
    os.close(terminal)
    text = b""
    try:
        while part := os.read(main, 65536):
            text += part
    except OSError:
        # The other end is closed.
        pass
    os.close(main)
    return process.wait(120), text.decode()


def test_each_failure_is_one_sentence(folder):
    code, text = run(folder)
    assert code != 0
    assert text.count("shard 2 is truncated") == 1
    assert "bad failed: shard 2 is truncated. (bad.log)" in text.splitlines()
    assert text.count("late failed: too early.") == 1
    assert "late: done at attempt 2" in text
    assert text.count("MissingOutputException") == 1, "it has no event of a failed job"
    assert "Traceback" not in text and "exit 1" not in text and "RuleException" not in text
    assert re.search(r"\n2 of 5 jobs done, 2 failed\.\n", text)
    assert re.search(r"\n2 of 5 jobs done.*: good, \d s\n", text), "a line for each finished job"


def test_on_a_terminal_lines_say_what_runs(folder):
    code, text = run_on_terminal(folder, "good.txt", "late.txt")
    assert code == 0
    assert re.search(r"[01] of 2 jobs done, about \d s left", text)
    assert re.search(r"  good, \d s: tensor 3 of 3", text)
    assert text.count("late failed: too early.") == 1
    assert re.fullmatch(r".*2 of 2 jobs done in \d+ s\.", text.rstrip().splitlines()[-1])
    assert "\x1b[J" in text and "rule good" not in text


def test_a_silent_run_says_what_runs(folder):
    _, text = run(folder, "--logger-blockresearch-interval", "1", "--", "good.txt")
    assert re.search(r"0 of 1 jobs done.*; running: good, \d s: tensor 3 of 3\n", text)


def test_dry_runs_and_quiet_ones_print_snakemakes_text(folder):
    code, text = run(folder, "--dry-run")
    assert code == 0 and "rule good:" in text and "This was a dry-run" in text
    assert "jobs done" not in text
    (folder / "bad.txt").write_text("x")
    code, text = run(folder, "--quiet", "rules", "--", "good.txt")
    assert code == 0 and "1 of 1 steps (100%) done" in text
    assert run(folder, "--quiet", "all", "--", "good.txt")[1] == ""


def test_nothing_to_do_and_errors_are_reported(folder):
    run(folder, "--", "good.txt")
    code, text = run(folder, "--", "good.txt")
    assert code == 0 and "Nothing to be done" in text and "jobs done" not in text
    (folder / "Snakefile").write_text("rule x:\n    input: undefined_name\n")
    code, text = run(folder)
    assert code != 0 and "undefined_name" in text


def test_a_terminated_run_says_so(folder):
    process = subprocess.Popen(
        [*COMMAND, "--", "good.txt"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    while not (folder / "good.log").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[1]
    assert process.returncode != 0
    assert "Will exit after finishing currently running jobs" in text
    assert "1 of 1 jobs done" in text
