"""Faults injected for real: killed jobs and runs, full and read-only disks, interrupts, damage."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest

from blockresearch.store.summaries import summaries
from blockresearch.tables.io import read_table
from tests.conftest import small_model, write_safetensors
from tests.tools import kills

pytestmark = pytest.mark.workflow

TABLE = "results/local--model/params.csv"
CONFIG = ("--config", "model=model", "clustering={k_max: 4}")
ROOT_ONLY = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts need root"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return kills.small_project(tmp_path_factory.mktemp("faults") / "project")


@pytest.fixture(scope="module")
def finished_small(project):
    """The project after a run that nothing disturbed."""
    run = project.snakemake(*CONFIG)
    assert run.code == 0, run.text
    return project


@pytest.fixture
def disk(tmp_path):
    """Makes a folder a small disk of its own."""
    mounted = []

    def mount(folder, options):
        folder.mkdir(exist_ok=True)
        again = folder in mounted
        kind = ["-o", f"remount,{options}"] if again else ["-t", "tmpfs", "-o", options, "tmpfs"]
        done = subprocess.run(["mount", *kind, str(folder)], capture_output=True, text=True)
        if done.returncode and not again:
            pytest.skip(f"cannot mount: {done.stderr}")
        mounted.extend([] if again else [folder])
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_recovers(tmp_path):
    project = kills.small_project(tmp_path / "project")
    counts = kills.survive(project, kills=20, seed=20)
    assert counts["runs that ended well"] >= 1


def measuring(run):
    """The processes of a run that belong to analyze."""
    jobs = []
    for process in psutil.Process(run).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            called = any(word.endswith("scripts/analyze.py") for word in process.cmdline())
            # A job, or the copy that runs its script.
            if called or process.name() == "analyze":
                jobs.append(process)
    return jobs


def cpu_seconds(process):
    try:
        return process.cpu_times().user
    except psutil.NoSuchProcess:
        return 0


@pytest.fixture
def long_job(tmp_path):
    """A run with a job that stays in LAPACK for a while; yields it once the job is there."""
    project = kills.small_project(tmp_path / "project")
    folder = project.folder / "model"
    for path in folder.glob("model*"):
        path.unlink()
    values = np.random.default_rng(0).random((6000, 6000), np.float32)
    name = "model.layers.0.mlp.up_proj.weight"
    write_safetensors(folder / "model.safetensors", {name: ("F32", [6000, 6000], values.tobytes())})

    @contextmanager
    def running():
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "1", *CONFIG, "--", TABLE],
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # By its processor time the job is beyond its imports; processes that it starts come and go.
        while not (jobs := [job for job in measuring(process.pid) if cpu_seconds(job) > 2]):
            assert process.poll() is None, "the run ended before its job was seen"
            time.sleep(0.1)
        yield process, jobs
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    return project, running


@pytest.mark.slow
@pytest.mark.parametrize("to", ["group", "snakemake alone"])
def test_an_interrupt_leaves_nothing_half_written(long_job, to):
    project, running = long_job
    with running() as (process, jobs):
        told = time.monotonic()
        (os.killpg if to == "group" else os.kill)(process.pid, signal.SIGINT)
        assert process.wait(60) != 0
        assert time.monotonic() - told < 20
        assert psutil.wait_procs(jobs, timeout=5)[1] == []
    assert not list((project.folder / "results").rglob("*.parquet"))
    assert not list((project.folder / "results").rglob("*.tmp"))
    [log] = (project.folder / "results").rglob("logs/analyze/*.log")
    assert "the run was interrupted" in log.read_text()
    assert project.snakemake("--dry-run", *CONFIG, "--", TABLE).code == 0, "the lock is gone"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched on Linux")
def test_jobs_do_not_outlive_a_killed_run(long_job):
    project, running = long_job
    with running() as (process, jobs):
        process.kill()
        process.wait()
        assert psutil.wait_procs(jobs, timeout=20)[1] == []
    again = project.snakemake(*CONFIG, "--", TABLE)
    assert again.code != 0 and "--unlock" in again.text


@pytest.mark.slow
def test_a_second_run_on_the_same_folder_is_refused(long_job):
    project, running = long_job
    with running():
        started = time.monotonic()
        second = project.snakemake(*CONFIG, "--", TABLE)
        assert second.code != 0 and "Directory cannot be locked" in second.text
        assert time.monotonic() - started < 20


@pytest.mark.slow
def test_a_job_that_is_killed_is_tried_again(tmp_path):
    project = kills.small_project(tmp_path / "project")
    script = project.folder / "workflow/scripts/merge.py"
    # As the kernel does when memory runs out: the first attempt vanishes in the middle.
    bomb = (
        "    import os, pathlib\n"
        "    seen = pathlib.Path('seen')\n"
        "    if not seen.exists():\n"
        "        seen.touch()\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    text = script.read_text()
    script.write_text(text.replace("    log.info(\n", bomb + "    log.info(\n", 1))
    run = project.snakemake(*CONFIG, "--", TABLE)
    assert run.code == 0, run.text
    assert run.jobs["merge"] == 2
    script.write_text(script.read_text().replace("if not seen.exists()", "if True"))
    run = project.snakemake(*CONFIG, "--", TABLE)
    assert run.code != 0
    assert run.text.count("merge local--model failed: killed without an error message") == 1
    assert "memory" in run.text


@ROOT_ONLY
@pytest.mark.slow
def test_a_run_continues_after_a_full_disk(project, disk):
    results = disk(project.folder / "small-disk", "size=100k") / "results"
    command = ("--config", "model=model", "clustering={k_max: 4}", f"results={results}", "--")
    run = project.snakemake(*command, results / "local--model/params.csv")
    assert run.code != 0
    assert "No space left on device: make room there, then start the same command" in run.text
    assert not list(results.rglob("*.tmp"))
    for path in results.rglob("*.parquet"):
        read_table(path, path.name.split(".")[-2])
    disk(project.folder / "small-disk", "size=50m")
    run = project.snakemake(*command, results / "local--model/params.csv")
    assert run.code == 0, run.text


@ROOT_ONLY
def test_read_only_results_are_refused_at_once(project, disk):
    place = disk(project.folder / "read-only", "size=10m")
    small_model(place / "model")
    disk(place, "ro")
    run = project.snakemake("--config", "model=read-only/model", "--", TABLE)
    assert run.code == 0, run.text
    run = project.snakemake("--config", "model=model", "results=read-only/results")
    assert run.code != 0 and run.jobs == {}
    assert "results: cannot write into read-only/results (Read-only file system)" in run.text


def spoil_start(path):
    path.write_bytes(b"")


def spoil_a_bit_secretly(path):
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.slow
def test_verify_finds_altered_and_deleted_results(finished_small, tmp_path):
    results = finished_small.folder / "results"
    before = tmp_path / "before"
    shutil.copytree(results, before)
    assert finished_small.snakemake("verify", *CONFIG).code == 0
    folder = results / "local--model"
    altered = [
        results / "index.json",
        folder / "params.csv",
        folder / "embedding/clusters.csv",
        folder / "parts/00001-001.spectra.parquet",
    ]
    spoil_start(altered[0])
    spoil_start(altered[1])
    spoil_a_bit_secretly(altered[2])
    spoil_a_bit_secretly(altered[3])
    deleted = folder / "layers.csv"
    deleted.unlink()
    run = finished_small.snakemake("verify", *CONFIG)
    assert run.code != 0
    assert (
        run.text.count("altered: ") == 4 and "missing: results/local--model/layers.csv" in run.text
    )
    assert "4 results are altered and 1 are missing: delete the altered ones" in run.text
    for path in altered:
        path.unlink()
    run = finished_small.snakemake(*CONFIG)
    assert run.code == 0 and run.jobs["embedding_analysis"] == 1, run.text
    kills.assert_same_results(folder, before / "local--model")
    assert finished_small.snakemake("verify", *CONFIG).code == 0


@pytest.mark.slow
def test_one_bad_model_among_ten_is_named(tmp_path):
    project = kills.small_project(tmp_path / "project")
    names = [f"m{number}" for number in range(10)]
    for seed, name in enumerate(names):
        small_model(project.folder / name, seed=seed, layers=1)
    bad = project.folder / "m0/model-00002-of-00002.safetensors"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-7])
    settings = ("clustering={k_max: 4}", "store=store")
    command = ("--config", f"models={json.dumps(names)}", *settings)
    run = project.snakemake(*command)
    assert run.code != 0
    line = "resolve_model local--m0 failed: m0/model-00002-of-00002.safetensors:"
    assert run.text.count(line) == 1
    portal = json.loads((project.folder / "results/index.json").read_text())
    status = {entry["folder"]: entry["status"] for entry in portal}
    assert status == {"local--m0": "failed"} | {f"local--{name}": "complete" for name in names[1:]}
    page = (project.folder / "results/index.html").read_text()
    assert "model-00002-of-00002.safetensors" in page and "failed" in page
    store = project.folder / "store"
    assert [one.folder for one in summaries(store)] == [f"local--{name}" for name in names[1:]]
    bad.write_bytes(whole)
    run = project.snakemake(*command)
    assert run.code == 0 and run.jobs["store"] == run.jobs["portal"] == 1, run.text
    assert [one.folder for one in summaries(store)] == [f"local--{name}" for name in names]
    assert "Nothing to be done" in project.snakemake(*command).text
