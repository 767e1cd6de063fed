"""What goes with a model, and what stays for the others."""

import json

import pytest

from blockresearch.run.removal import removable, remove


@pytest.fixture
def results(tmp_path):
    """Two models that share a file, a comparison, and a third model that was misspelled."""
    for model, hashes in (("org--a", "ab"), ("org--b", "bc")):
        (tmp_path / "results" / model).mkdir(parents=True)
        files = [{"sha256": letter * 64, "git_sha1": None} for letter in hashes]
        (tmp_path / "results" / model / "manifest.json").write_text(json.dumps({"files": files}))
    (tmp_path / "results/org--c/logs").mkdir(parents=True)
    (tmp_path / "results/compare/org--a-vs-org--b").mkdir(parents=True)
    for letter in "abc":
        (tmp_path / "weights" / (letter * 12)).mkdir(parents=True)
        (tmp_path / "results/downloads" / (letter * 12)).mkdir(parents=True)
    return tmp_path / "results"


def test_files_that_another_model_uses_stay(results):
    weights = results.parent / "weights"
    found = removable(results, ["org--a"], weights)
    assert {str(path.relative_to(results.parent)) for path in found} == {
        "results/org--a",
        "results/compare/org--a-vs-org--b",
        "weights/aaaaaaaaaaaa",
        "results/downloads/aaaaaaaaaaaa",
    }
    remove(found)
    assert (weights / "bbbbbbbbbbbb").exists() and (results / "org--b").exists()


def test_a_model_that_never_was_can_be_removed(results):
    assert removable(results, ["org--c"]) == [results / "org--c"]


def test_only_a_link_to_a_folder_is_removed(results, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (results / "org--d").symlink_to(tmp_path / "elsewhere")
    remove(removable(results, ["org--d"]))
    assert (tmp_path / "elsewhere").is_dir() and not (results / "org--d").is_symlink()


@pytest.mark.parametrize("name", ["org--x", "downloads", "compare", "..", "org--a/logs", ""])
def test_only_models_can_be_removed(results, name):
    with pytest.raises(ValueError, match="there is no model"):
        removable(results, [name])
