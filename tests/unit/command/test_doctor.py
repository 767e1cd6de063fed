"""The table on this machine names what would stop a run."""

import importlib.metadata
import json
import os

import pytest

from blockresearch.command import doctor, main
from blockresearch.hub import health


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr(health, "problem", lambda seconds: "cannot reach the hub")


def test_a_machine_without_network_can_run(capsys):
    assert main.main(["doctor", "--json"]) == 0
    rows = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["hub"]["state"] == doctor.NOTE
    assert rows["results"]["state"] in (doctor.OK, doctor.NOTE)


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main.main(["doctor"]) == main.FAILED
    assert "choose another folder" in capsys.readouterr().out


def test_missing_libraries_are_a_problem(monkeypatch):
    needed = ["numpy==0.1", "no-such-library==1.0", "torch==1; extra == 'gpu'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    row = doctor.libraries()
    assert row.state == doctor.PROBLEM and "missing: no-such-library:" in row.found
    needed.pop(1)
    assert doctor.libraries().state == doctor.NOTE
