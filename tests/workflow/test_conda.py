"""Jobs in conda environments: they have the libraries, and find the package in the clone."""

import pytest

from tests.conftest import small_model
from tests.tools import conda
from tests.workflow.conftest import copy_of_the_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def test_jobs_run_in_their_environments(tmp_path):
    path = conda.write_stub(tmp_path / "conda")
    project = copy_of_the_project(tmp_path / "project")
    small_model(project.folder / "model")
    targets = ("results/local--model/params.csv", "results/glossary.html")
    settings = ("--config", "model=model", "spectra=none")
    run = project.snakemake("--sdm", "conda", *settings, "--", *targets, PATH=path)
    assert run.code == 0, run.text
    created = (tmp_path / "conda/created").read_text().splitlines()
    assert len(created) == 3, "hub, numeric and reports"
    assert all((project.folder / target).exists() for target in targets)
