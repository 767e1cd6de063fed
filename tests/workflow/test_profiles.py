"""Every profile plans the workflow, and what it says is what happens."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from tests.conftest import ROOT, small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = pytest.mark.workflow

PROFILES = {
    path.parent.name: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / "profiles").glob("*/profile.v9+.yaml"))
}
# The options as Snakemake itself reads them, those of profiles/default among them.
OPTIONS = """
import json, sys
from snakemake.cli import parse_args
from snakemake.settings.types import MaxJobsPerTimespan

def written(value):
    if isinstance(value, MaxJobsPerTimespan):
        return f"{value.max_jobs}/{value.timespan:.0f}s"
    return str(value)

for name in sys.argv[1:]:
    options = vars(parse_args(["--profile", f"profiles/{name}"])[1])
    print(json.dumps(options, default=written))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_of_the_project(tmp_path_factory.mktemp("project"))
    small_model(project.folder / "model")
    return project


def has_executor(profile):
    executor = PROFILES[profile].get("executor")
    return executor is None or find_spec(f"snakemake_executor_plugin_{executor}") is not None


def require_executor(profile):
    if not has_executor(profile):
        pytest.skip(f"no executor plugin of profiles/{profile}: see docs/cluster.md")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_plans_the_workflow(project, profile):
    require_executor(profile)
    run = project.snakemake("--profile", f"profiles/{profile}", "-n", "--config", "model=model")
    assert run.code == 0, run.text
    assert run.jobs["resolve_model"] == 1


@pytest.fixture(scope="module")
def options():
    """The options of each profile."""
    known = [profile for profile in PROFILES if has_executor(profile)]
    done = subprocess.run(
        [sys.executable, "-c", OPTIONS, *known], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(known, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_profile_says_is_what_happens(options, profile):
    """The default profile wins over others key by key."""
    require_executor(profile)
    for key, wanted in PROFILES[profile].items():
        wanted = os.cpu_count() if wanted == "all" else wanted
        found = options[profile][key.replace("-", "_")]
        if isinstance(wanted, list):
            for name, _, value in (item.rpartition("=") for item in wanted):
                assert name in str(found) and value in str(found), (key, found)
        else:
            assert wanted in (found, *(found if isinstance(found, list) else ())), (key, found)
