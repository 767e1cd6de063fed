"""Where numbers come from."""

import subprocess
from dataclasses import replace

import pytest

from blockresearch.checkpoint import provenance
from blockresearch.checkpoint.describe import describe_folder
from tests.conftest import bf16, write_safetensors


@pytest.fixture
def manifest(tmp_path):
    folder = tmp_path / "My model"
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", {"w": ("BF16", (2, 2), bf16([1, 2, 3, 4]))})
    return describe_folder(str(folder), "2026-01-01T00:00:00Z")


def test_facts_state_no_time_of_the_run(manifest):
    later = replace(manifest, created_at="2027-01-01T00:00:00Z")
    found = provenance.facts(manifest, {"b": 1, "a": None})
    assert found == provenance.facts(later, {"a": None, "b": 1})
    assert found["model"] == "local--My_model" and found["settings"] == '{"a": null, "b": 1}'
    assert "commit" not in found and len(found["settings_hash"]) == 12
    assert found["settings_hash"] != provenance.facts(manifest, {})["settings_hash"]


def test_a_pair_names_both_sides(manifest):
    hub = replace(manifest, name="org--base", model_id="org/base", commit="1" * 40)
    found = provenance.facts_of_pair(manifest, hub)
    assert (found["model"], found["base_model"]) == ("local--My_model", "org--base")
    assert found["base_commit"] == "1" * 40 and "commit" not in found


def test_a_changed_clone_is_told_from_its_commit(tmp_path, monkeypatch):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    asked = provenance.tool_commit.__wrapped__
    commit = asked()
    assert len(commit) == 40
    (tmp_path / "results").write_text("not tracked")
    assert asked() == commit
    (tmp_path / "a.py").write_text("2")
    assert asked() == f"{commit}-dirty"


def test_a_wheel_carries_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    assert provenance.tool_commit.__wrapped__() is None
    (tmp_path / provenance.COMMIT_FILE).write_text("abc\n")
    assert provenance.tool_commit.__wrapped__() == "abc"
