"""How jobs call the scripts: from a clone, from elsewhere, from an installed package."""

import os
import shlex

from blockresearch import project
from tests.conftest import ROOT


def test_a_clone_is_called_by_relative_paths(monkeypatch):
    monkeypatch.chdir(ROOT)
    path = "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH}"
    handover = "src/blockresearch/run/handover.py"
    assert project.command("analyze") == f"{path} python {handover} workflow/scripts/analyze.py"


def test_elsewhere_paths_are_absolute_and_quoted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PROJECT", tmp_path / "a clone")
    script, source = tmp_path / "a clone/workflow/scripts/analyze.py", tmp_path / "a clone/src"
    assert project.command("analyze") == (
        f"PYTHONPATH={shlex.quote(str(source))}${{PYTHONPATH:+:$PYTHONPATH}}"
        f" python {shlex.quote(str(source / 'blockresearch/run/handover.py'))}"
        f" {shlex.quote(str(script))}"
    )


def test_an_installed_package_needs_no_search_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PROJECT", project.PACKAGE)
    places = [project.PACKAGE / "run/handover.py", project.PACKAGE / "workflow/scripts/merge.py"]
    assert project.command("merge") == shlex.join(["python", *map(str, places)])


def executable(folder):
    folder.mkdir(parents=True)
    (folder / "python").write_text("#!/bin/sh\n")
    (folder / "python").chmod(0o755)
    return folder


def test_jobs_use_the_interpreter_of_snakemake(monkeypatch, tmp_path):
    ours, other = executable(tmp_path / "venv/bin"), executable(tmp_path / "usr/bin")
    here = str(ours / "python3")
    monkeypatch.setenv("PATH", str(other))
    monkeypatch.setenv("CONDA_PREFIX", str(other.parent))
    note = project.use_interpreter(here)
    assert note and f"is {other}/python" in note and f"source {ours}/activate" in note
    monkeypatch.delenv("CONDA_PREFIX")
    for _ in range(2):
        assert project.use_interpreter(here) is None
        assert os.environ["PATH"] == f"{ours}{os.pathsep}{other}"


def test_an_interpreter_without_a_plain_name_is_noted(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert "is missing" in str(project.use_interpreter(str(tmp_path / "bin/python3")))
