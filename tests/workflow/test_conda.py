"""Jobs in conda environments: they have the libraries, and find the package in the clone.

A stub stands for conda: an environment that it creates is a Python with the libraries of the tests
and without the package.
"""

import os
import site
import sys

import pytest

from tests.conftest import small_model
from tests.workflow.conftest import copy_of_the_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

CONDA = """#!/usr/bin/env bash
set -e
case "$*" in
  "info --json") echo '{{"conda_prefix": "{root}", "platform": "linux-64", "envs": []}}';;
  --version) echo "conda 25.1.1";;
  clean*) ;;
  config*) echo '{{"get": {{"channel_priority": "strict"}}}}';;
  "env create"*)
    prefix="${{@: -1}}"
    {python} -m venv --without-pip "$prefix"
    echo {libraries} > "$(echo "$prefix"/lib/python*/site-packages)/libraries.pth"
    echo "$prefix" >> {root}/created;;
  *) echo "the stub has no conda $*" >&2; exit 1;;
esac
"""

ACTIVATE = """export CONDA_PREFIX="$1"
export PATH="$1/bin:$PATH"
"""


@pytest.fixture
def conda(tmp_path):
    """A folder with a stub of conda and its script `activate`."""
    root = tmp_path / "conda"
    (root / "bin").mkdir(parents=True)
    # Paths named in the folder of libraries are not followed, so the package is not among them.
    libraries = next(path for path in site.getsitepackages() if os.path.isdir(path))
    text = CONDA.format(root=root, python=sys.executable, libraries=libraries)
    (root / "bin/conda").write_text(text)
    (root / "bin/conda").chmod(0o755)
    (root / "bin/activate").write_text(ACTIVATE)
    return root


def test_jobs_run_in_their_environments(tmp_path, conda):
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    path = os.pathsep.join(
        [str(conda / "bin"), os.path.dirname(sys.executable), "/usr/bin", "/bin"]
    )
    targets = ("results/local--model/params.csv", "results/glossary.html")
    settings = ("--config", "model=model", "spectra=none")
    run = project.snakemake("--sdm", "conda", *settings, "--", *targets, PATH=path)
    assert run.code == 0, run.text
    assert len((conda / "created").read_text().splitlines()) == 3, "hub, numeric and reports"
    assert all((project.folder / target).exists() for target in targets)
