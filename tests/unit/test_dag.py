"""What Snakemake compares: code fingerprints and argument strings."""

import shutil

import pytest

from tests.conftest import ROOT
from workflow.lib import dag


def test_flags_are_sorted_named_and_quoted():
    assert dag.flags({"b": 1, "a": "x y; rm", "c": None, "d": True}) == "--a='x y; rm' --b=1 --d"
    assert dag.flags({"k": 8, "n": 4}) != dag.flags({"k": 4, "n": 8})


@pytest.fixture
def tree(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(dag, "ROOT", tmp_path)
    return tmp_path


def fingerprints(*names):
    for cached in (dag.fingerprint, dag._tree, dag._dump):
        cached.cache_clear()
    return [dag.fingerprint(name) for name in names]


def test_a_comment_or_docstring_changes_nothing_but_code_does(tree):
    before = fingerprints("analyze", "audit_model")
    module = tree / "workflow/lib/spectrum.py"
    module.write_text("# a comment\n" + module.read_text().replace('"""', '"""More words. ', 1))
    assert fingerprints("analyze", "audit_model") == before
    module.write_text(module.read_text() + "\nEXTRA = 1\n")
    after = fingerprints("analyze", "audit_model")
    assert after[0] != before[0]
    assert after[1] == before[1], "audit does not use the spectrum"


def test_a_notebook_depends_on_its_code_its_text_and_what_it_imports(tree):
    name = "10_summary_stats.ipynb"
    before = fingerprints(name)
    plots = tree / "workflow/lib/report_plots.py"
    plots.write_text(plots.read_text() + "\nEXTRA = 1\n")
    assert fingerprints(name) != before
