"""How jobs call the scripts: from a clone, from elsewhere, from an installed package."""

import shlex

from blockresearch import project
from tests.conftest import ROOT


def test_a_clone_is_called_by_relative_paths(monkeypatch):
    monkeypatch.chdir(ROOT)
    path = "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH}"
    assert project.command("analyze") == f"{path} python workflow/scripts/analyze.py"


def test_elsewhere_paths_are_absolute_and_quoted(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PROJECT", tmp_path / "a clone")
    script, source = tmp_path / "a clone/workflow/scripts/analyze.py", tmp_path / "a clone/src"
    assert project.command("analyze") == (
        f"PYTHONPATH={shlex.quote(str(source))}${{PYTHONPATH:+:$PYTHONPATH}}"
        f" python {shlex.quote(str(script))}"
    )


def test_an_installed_package_needs_no_search_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(project, "PROJECT", project.PACKAGE)
    script = project.PACKAGE / "workflow/scripts/merge.py"
    assert project.command("merge") == f"python {shlex.quote(str(script))}"


def test_another_python_on_the_path_is_named():
    here = "/somewhere/.venv/bin/python3"
    assert project.dependencies_note("/somewhere/.venv/bin/python", here) is None
    note = project.dependencies_note("/usr/bin/python", here)
    assert note and "/usr/bin/python" in note and "source /somewhere/.venv/bin/activate" in note
    assert "is missing" in str(project.dependencies_note(None, here))
