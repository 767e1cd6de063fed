"""The workflow on a real Slurm: same tables, more memory after a death, no jobs left after ^C."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, small_model
from tests.tools.slurm_node import SlurmNode, missing
from tests.workflow.conftest import assert_same_tables, copy_of_the_project

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

# One node without an accounting database, and jobs that take about ten seconds: a look that comes
# too early is followed by a wait that is ten seconds longer.
HERE = ("--slurm-init-seconds-before-status-checks", "12")
TABLES = ("coverage.csv", "embedding/clusters.csv", "layers.csv")
ON_SLURM = ("--profile", "profiles/slurm", "--cores", "1", *HERE)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with SlurmNode(tmp_path_factory.mktemp("slurm")) as node:
        yield node


def test_slurm_takes_two_models_in_few_jobs(slurm, tmp_path):
    cluster, local = (copy_of_the_project(tmp_path / name) for name in ("cluster", "local"))
    for project in (cluster, local):
        shutil.copytree(ROOT / "resources/demo", project.folder / "resources/demo")
        small_model(project.folder / "model")
    config = ("--config", "models=[resources/demo, model]", "clustering={k_max: 6}")
    run = cluster.snakemake(*ON_SLURM, *config)
    assert run.code == 0, run.text
    assert not slurm.queue()
    assert sum(run.jobs.values()) > 24
    # Of each model: a batch of parts for each shard, embedding_analysis, the tables and reports in
    # one. The glossary and the portal are for both.
    assert [job["state"] for job in slurm.jobs()] == (3 + 2 + 2 * 2 + 2) * ["COMPLETED"]

    # With the manifest that is there a model keeps its date, so the tables have the same bytes.
    for model in ("local--demo", "local--model"):
        folder = f"results/{model}"
        (local.folder / folder).mkdir(parents=True)
        shutil.copy(cluster.folder / folder / "manifest.json", local.folder / folder)
        run = local.snakemake(*config, "--", *(f"{folder}/{name}" for name in TABLES))
        assert run.code == 0, run.text
        assert_same_tables(cluster.folder / folder, local.folder / folder)


def test_a_killed_job_retries_with_more_memory(slurm, tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    before = len(slurm.jobs())
    # The first try of a part kills itself, as the kernel does when memory is out.
    script = project.folder / "workflow/scripts/analyze.py"
    script.write_text(
        f"import os, pathlib\nseen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "seen.write_text(os.environ.get('CUDA_VISIBLE_DEVICES', 'all'))\n"
        f"try: os.mkdir({str(tmp_path / 'died')!r})\n"
        "except FileExistsError: pass\nelse: os.kill(os.getpid(), 9)\n" + script.read_text()
    )
    target = "results/local--model/parts/00001-001.params.parquet"
    config = ("--config", "model=model", "--", target)
    run = project.snakemake(*ON_SLURM, "--set-resources", "analyze:gpu=1", *config)
    assert run.code == 0, run.text
    first, second = slurm.jobs()[before:]
    assert (first["state"], second["state"]) == ("FAILED", "COMPLETED")
    assert megabytes(second["mem"]) == 2 * megabytes(first["mem"])
    assert first["gpus"] == second["gpus"] == "gres:gpu:1"
    assert (tmp_path / "seen").read_text() == "0", "Slurm shows the job the one of two that it has"


def test_an_interrupt_leaves_the_queue_empty(slurm, tmp_path):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    script = project.folder / "workflow/scripts/glossary.py"
    script.write_text("import time\ntime.sleep(300)\n")
    run = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *ON_SLURM, "--", "results/glossary.html"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(slurm.queue)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) != 0
    finally:
        run.kill()
    wait_until(lambda: not slurm.queue())


def wait_until(reached, seconds=60):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.2)


def megabytes(text):
    number, unit = re.fullmatch(r"([\d.]+)([MG])", text).groups()
    return float(number) * {"M": 1, "G": 1024}[unit]
