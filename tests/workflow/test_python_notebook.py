"""The tutorial for programs runs on real results."""

import json
import os

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.workflow


def test_the_tutorial_runs(finished, monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "notebooks")
    cells = json.loads((ROOT / "notebooks/90_python.ipynb").read_text())["cells"]
    parameters, *code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    assert parameters.startswith("folder = ")
    names = {"folder": os.fspath(finished.folder / "results/local--model")}
    for cell in code:
        exec(compile(cell, "90_python.ipynb", "exec"), names)
    assert capsys.readouterr().out.splitlines()[1].startswith("F64 16 ")
    assert names["sigma"].size and len(names["matrices"])
