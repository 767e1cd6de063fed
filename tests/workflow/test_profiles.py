"""Every profile plans the workflow; schedulers are spoken to as their manuals say."""

import os
import sys
from importlib.util import find_spec

import pytest

from blockresearch.run.resources import to_resolve
from tests.conftest import ROOT, small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.workflow

PLUGINS = {"slurm": "slurm", "gpu": None, "low-disk": None, "default": None}
PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/profile.v9+.yaml"))


def needs_plugin(profile):
    plugin = PLUGINS.get(profile, "cluster-generic")
    if plugin and find_spec(f"snakemake_executor_plugin_{plugin.replace('-', '_')}") is None:
        pytest.skip(f"no snakemake-executor-plugin-{plugin}: see docs/cluster.md")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_of_the_project(tmp_path_factory.mktemp("project"))
    small_model(project.folder / "model")
    return project


POD = (
    'import json, sys; pod = json.loads(sys.argv[1])["spec"]["template"]["spec"]; '
    'print(pod["containers"][0]["command"][1])'
)
# Commands of the schedulers that run a job at once and say of it what the real ones say.
COMMANDS = {
    "lsf": {
        "bsub": 'bash "${@: -1}" >&2; echo $? > rc; echo "Job <7> is submitted to queue <normal>."',
        "bjobs": '[ "$(cat rc)" = 0 ] && echo DONE || echo EXIT',
    },
    "sge": {
        "qsub": 'bash "${@: -1}" >&2; echo $? > rc; echo 7',
        "qstat": "exit 1",
        "qacct": 'echo "failed       0"; echo "exit_status  $(cat rc)"',
    },
    "kubernetes": {
        "kubectl": f"""if [ "$1" = create ]; then
            job=$(cat); echo "$job" >> "$(dirname "$0")/asked"
            {sys.executable} -c '{POD}' "$job" > script
            bash "$(cat script)" >&2; echo $? > rc; echo job.batch/resolve-model-7
        else [ "$(cat rc)" = 0 ] && echo 1/ || echo /1; fi""",
    },
}


@pytest.mark.parametrize("profile", sorted({*PROFILES} - {*COMMANDS}))
def test_a_profile_plans_the_workflow(project, profile):
    needs_plugin(profile)
    arguments = ("--profile", f"profiles/{profile}", "--dry-run")
    run = project.snakemake(*arguments, "--config", "model=model")
    assert run.code == 0, run.text
    assert run.jobs["resolve_model"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("profile", COMMANDS)
def test_a_job_is_submitted_and_its_end_understood(project, profile, tmp_path):
    needs_plugin(profile)
    for name, text in COMMANDS[profile].items():
        (tmp_path / name).write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/asked\n{text}\n')
        (tmp_path / name).chmod(0o755)
    target = f"results/{profile}/local--model/plan.json"
    run = project.snakemake(
        *("--profile", f"profiles/{profile}", "--seconds-between-status-checks", "1"),
        *("--config", "model=model", f"results=results/{profile}", "--", target),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )
    assert run.code == 0, run.text
    asked = (tmp_path / "asked").read_text()
    assert (project.folder / target).exists()
    shards = map(str, (project.folder / "model").glob("*.safetensors"))
    memory = to_resolve(shards)["mem_mb"]
    assert "resolve_model" in asked and f"{memory}M" in asked, "the memory that the rule asks for"


def test_groups_wait_until_all_models_are_looked_up(project):
    needs_plugin("lsf")
    small_model(project.folder / "other", seed=1)
    grouped = ("--profile", "profiles/lsf", "--groups", "analyze=parts")
    run = project.snakemake(*grouped, "--config", "models=[model, other]", "results=results/two")
    assert run.code != 0 and "2 of 2 models" in run.text and "-- resolve" in run.text
