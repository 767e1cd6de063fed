"""The installed package without a clone: its command, and as a module of another workflow."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT, small_model
from tests.tools import conda
from tests.workflow.conftest import Project, copy_machine_code

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

MODULE = """
module blockresearch:
    snakefile: "{snakefile}"
    config: {{"spectra": "none"}}

use rule * from blockresearch as blockresearch_*
"""

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Nothing answers there.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Installed:
    """An environment with the package, a folder to work in, and a home of the user."""

    python: Path
    site: Path
    folder: Path

    def command(self, *words: str, **other: str) -> subprocess.CompletedProcess:
        """Run `blockresearch`, with no network and nothing of the clone on the path."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        addresses = dict.fromkeys(("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
        return subprocess.run(
            [self.python.with_name("blockresearch"), *words],
            cwd=self.folder,
            env=environment | addresses | {"HOME": str(self.folder.parent)} | other,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A new environment with a wheel that was built from the source distribution.

    The libraries are those of the tests' environment: another copy would take 1 GB.
    """
    folder = tmp_path_factory.mktemp("installed")
    tools, built, work = folder / "tools", folder / "built", folder / "work"
    get = [*PIP, "install", "--target", str(tools), *PROJECT["build-system"]["requires"]]
    done = subprocess.run(get, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"hatchling cannot be installed: {done.stderr.strip().splitlines()[-1]}")

    def build(*words: object) -> None:
        environment = os.environ | {"PYTHONPATH": str(tools)}
        subprocess.run([*map(str, words)], cwd=ROOT, env=environment, check=True)

    build(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", built)
    [sources] = built.glob("*.tar.gz")
    build(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", built, sources)
    [wheel] = built.glob("*.whl")
    build(sys.executable, "-m", "venv", "--without-pip", folder / "env")
    python = folder / "env/bin/python"
    build(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    [site] = folder.glob("env/lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    shared = Path(sysconfig.get_path("data"), "share/jupyter")
    (folder / "env/share").mkdir()
    (folder / "env/share/jupyter").symlink_to(shared)
    copy_machine_code(site)
    work.mkdir()
    return Installed(python, site, work)


def test_the_demo_runs_in_an_empty_folder(installed):
    demo = installed.command("demo", "--json")
    assert demo.returncode == 0, demo.stderr
    [model] = json.loads(demo.stdout)["models"]
    assert model["error"] is None
    assert (installed.folder / model["page"]).stat().st_size > 100_000
    tables = json.loads((installed.folder / model["folder"] / "audit.json").read_text())
    provenance = tables["provenance"]
    assert provenance["tool"].endswith(PROJECT["project"]["version"])
    assert provenance["tool_commit"] == (installed.site / "blockresearch/commit.txt").read_text()
    again = installed.command("demo")
    assert "Nothing to be done" in again.stderr and "Next: `blockresearch open`" in again.stderr
    assert installed.command("verify").returncode == 0


def test_folders_are_compared(installed):
    for seed, name in enumerate(("one", "other")):
        small_model(installed.folder / name, seed)
    compared = installed.command("compare", "one", "other", "--json")
    assert compared.returncode == 0, compared.stderr
    [pair] = json.loads(compared.stdout)["comparisons"]
    assert (installed.folder / pair["page"]).stat().st_size


def test_jobs_in_conda_environments_find_the_package(installed, tmp_path):
    path = conda.write_stub(tmp_path / "conda")
    small_model(installed.folder / "model")
    words = ("audit", "model", "--set", "spectra=none", "--json")
    run = installed.command(*words, "--", "--sdm", "conda", PATH=path)
    assert run.returncode == 0, run.stderr
    assert len((tmp_path / "conda/created").read_text().splitlines()) == 2, "hub and numeric"
    [audit] = json.loads(run.stdout)["models"].values()
    assert audit["provenance"]["tool"].endswith(PROJECT["project"]["version"])


def test_it_is_a_module_of_another_workflow(installed, tmp_path):
    other = Project(tmp_path / "other")
    other.folder.mkdir()
    snakefile = installed.site / "blockresearch/Snakefile"
    (other.folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    target = "results/local--demo/index.html"
    run = other.snakemake("--dry-run", "--", target, PYTHONPATH=str(installed.site))
    assert run.code == 0, run.text
    assert run.jobs["blockresearch_resolve_model"] == 1
