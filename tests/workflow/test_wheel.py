"""The installed package without a clone: from any folder, and as a module of another workflow."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODULE = """
module blockresearch:
    snakefile: "{snakefile}"
    config: {{"spectra": "none"}}

use rule * from blockresearch as blockresearch_*
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with nothing but the package."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder / "wheel"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a wheel cannot be built here: {done.stderr.strip().splitlines()[-1]}")
    [wheel] = (folder / "wheel").glob("*.whl")
    target = folder / "site"
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    return target


def test_the_demo_runs_from_any_folder(installed, tmp_path):
    elsewhere = Project(tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    snakefile = installed / "blockresearch/Snakefile"
    target = "results/local--demo/coverage.csv"
    command = ("-s", snakefile, "--config", "spectra=none", "--", target)
    run = elsewhere.snakemake(*command, PYTHONPATH=str(installed))
    assert run.code == 0, run.text
    assert (elsewhere.folder / target).stat().st_size
    again = elsewhere.snakemake(*command, PYTHONPATH=str(installed))
    assert "Nothing to be done" in again.text


def test_it_is_a_module_of_another_workflow(installed, tmp_path):
    other = Project(tmp_path / "other")
    other.folder.mkdir()
    snakefile = installed / "blockresearch/Snakefile"
    (other.folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    target = "results/local--demo/index.html"
    run = other.snakemake("--dry-run", "--", target, PYTHONPATH=str(installed))
    assert run.code == 0, run.text
    assert run.jobs["blockresearch_resolve_model"] == 1
