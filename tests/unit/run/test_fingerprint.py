"""What Snakemake compares: code fingerprints and argument strings."""

import os
import shutil
import subprocess
import sys

import pytest

from blockresearch.run import fingerprint as module_
from blockresearch.run.fingerprint import fingerprint, flags
from tests.conftest import ROOT

# What a new process would not have in memory.
CACHES = ("fingerprint", "_imported_by", "_modules", "_code", "_remembered", "_state")


def test_flags_are_sorted_named_and_quoted():
    assert flags({"b": 1, "a": "x y; rm", "c": None, "d": True}) == "--a='x y; rm' --b=1 --d"
    assert flags({"k": 8, "n": 4}) != flags({"k": 4, "n": 8})


@pytest.fixture
def tree(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignore)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    monkeypatch.setattr(module_, "PROJECT", tmp_path)
    monkeypatch.setattr(module_, "PACKAGE", tmp_path / "src/blockresearch")
    return tmp_path


def fingerprints(*names):
    for cached in CACHES:
        getattr(module_, cached).cache_clear()
    return [fingerprint(name) for name in names]


def test_code_changes_it_and_comments_do_not(tree):
    before = fingerprints("analyze", "audit_model")
    module = tree / "src/blockresearch/spectra/singular_values.py"
    module.write_text("# a comment\n" + module.read_text().replace('"""', '"""More words. ', 1))
    assert fingerprints("analyze", "audit_model") == before
    module.write_text(module.read_text() + "\nEXTRA = 1\n")
    after = fingerprints("analyze", "audit_model")
    assert after[0] != before[0]
    assert after[1] == before[1], "audit does not use the spectrum"


def test_a_fingerprint_is_the_same_in_every_process(tree):
    command = (
        "from blockresearch.run.fingerprint import fingerprint; print(fingerprint('resolve_model'))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", command],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


@pytest.mark.parametrize(
    "line",
    [
        "import blockresearch.run.extra",
        "from blockresearch.run import extra",
        "from blockresearch.run.extra import EXTRA",
        "def later():\n    from blockresearch.run import extra",
    ],
)
def test_every_spelling_of_an_import_is_followed(tree, line):
    (tree / "src/blockresearch/run/extra.py").write_text("EXTRA = 1\n")
    module = tree / "src/blockresearch/run/cli.py"
    module.write_text(module.read_text() + "\n" + line + "\n")
    (before,) = fingerprints("audit_model")
    (tree / "src/blockresearch/run/extra.py").write_text("EXTRA = 2\n")
    assert fingerprints("audit_model") != [before]


def test_only_pages_count_texts_of_columns(tree):
    records = tree / "src/blockresearch/tables/value_columns.py"
    stated = 'Column("rms", "number", "root of'
    edits = [stated, stated.replace("root", "a root"), stated.replace("number", "integer")]
    names = ("analyze", "merge", "embedding_analysis", "model_page", "10_summary_stats.ipynb")
    command = f"from blockresearch.run.fingerprint import *; print(*map(fingerprint, {names}))"
    found = []
    for edit in edits:
        text = records.read_text(encoding="utf-8")
        assert text.count(stated) == 1
        records.write_text(text.replace(stated, edit), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree / "src")},
            capture_output=True,
            check=True,
        )
        found.append(done.stdout.split())
        records.write_text(text, encoding="utf-8")
    as_stated, other_text, other_type = found
    same = [one == other for one, other in zip(as_stated, other_text, strict=True)]
    assert same == [True] * 3 + [False] * 2
    assert not set(as_stated) & set(other_type)


def test_it_is_remembered_for_one_state_of_sources(tree, monkeypatch):
    before = fingerprints("analyze")
    monkeypatch.setattr(module_, "_computed", lambda name, templates: "computed again")
    assert fingerprints("analyze") == before
    (tree / "src/blockresearch/extra.py").write_text("EXTRA = 1\n")
    assert fingerprints("analyze") == ["computed again"]


def test_a_template_counts(tree):
    before = fingerprints("model_page")
    fingerprint.cache_clear()
    assert [fingerprint("model_page", "page.css")] != before


def test_an_imported_folder_counts_as_a_whole(tree):
    before = fingerprints("analyze", "merge")
    formats = tree / "src/blockresearch/values/rounding/formats"
    (formats / "extra.py").write_text("EXTRA = 1\n")
    added = fingerprints("analyze", "merge")
    (formats / "extra.py").write_text("EXTRA = 2\n")
    changed = fingerprints("analyze", "merge")
    assert len({before[0], added[0], changed[0]}) == 3
    assert before[1] == added[1] == changed[1]


def test_a_notebook_counts_with_text_and_imports(tree):
    name = "10_summary_stats.ipynb"
    before = fingerprints(name)
    plots = tree / "src/blockresearch/report/plots/values.py"
    plots.write_text(plots.read_text() + "\nEXTRA = 1\n")
    assert fingerprints(name) != before
