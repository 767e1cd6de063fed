"""The page of all models."""

import os
import shutil

import pytest

from blockresearch.failures import Failure
from blockresearch.files import read_json, write_json
from blockresearch.report import model_page, portal
from blockresearch.store.add import add
from blockresearch.store.summaries import summaries
from tests.unit.report.hostile import NAMES, assert_harmless, write_results


def test_portal_says_what_is_finished_and_what_failed(tmp_path):
    write_results(tmp_path / "one")
    write_results(tmp_path / "two", commit="c" * 40)
    _, numbers, _ = model_page.model_page(tmp_path / "two")
    write_json(numbers, tmp_path / "two" / "comparison.json")
    for name in ("one", "two"):
        (tmp_path / name / "index.html").write_text("x")
    write_results(tmp_path / "unfinished")
    (tmp_path / "failed").mkdir()
    failures = {"failed": Failure("resolve_model", f"{NAMES[0]}: not there.")}
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text('{"model_id":')
    (tmp_path / "no_model").mkdir()
    html, entries = portal.portal(tmp_path, failures, {"tool": "AI Block Research 1.0"})
    page = assert_harmless(html)
    assert {entry["folder"]: entry["status"] for entry in entries} == {
        "damaged": "unfinished",
        "failed": "failed",
        "one": "complete",
        "two": "complete",
        "unfinished": "unfinished",
    }
    one = next(entry for entry in entries if entry["folder"] == "one")
    assert one["model"] == NAMES[0] and one["type"] == NAMES[1] and one["parameters"] == 12345
    assert "Made with AI Block Research 1.0." in " ".join(page.texts)
    assert page.tags.count("input") == 2, "a search and one model with numbers to compare"
    assert f"resolve_model: {NAMES[0]}: not there." in " ".join(page.texts)
    assert portal.portal(tmp_path, failures, {"tool": "AI Block Research 1.0"})[0] == html


def test_a_failure_after_the_page_is_named(tmp_path):
    folder = write_results(tmp_path / "one")
    (folder / "index.html").write_text("x")
    assert portal.entry(folder)["status"] == "complete"
    failed = portal.entry(folder, Failure("analyze", "no space is left."))
    assert failed["status"] == "failed" and failed["reason"] == "analyze: no space is left."
    for reason in (None, "ended by SIGINT: the run was interrupted."):
        assert portal.entry(folder, Failure("merge", reason))["status"] == "unfinished"


def test_a_manifest_is_read_only_if_it_is_newer(tmp_path):
    folder = write_results(tmp_path / "one", commit="c" * 40)
    _, numbers, _ = model_page.model_page(folder)
    (folder / "index.html").write_text("x")
    program = {"tool": "AI Block Research 1.0"}
    write_json({**numbers, "listed_as": None}, folder / "comparison.json")
    whole = portal.portal(tmp_path, {}, program)
    write_json(numbers, folder / "comparison.json")
    manifest = folder / "manifest.json"
    written = (folder / "comparison.json").stat().st_mtime_ns
    os.utime(manifest, ns=(written, written))
    assert portal.portal(tmp_path, {}, program) == whole
    kept = read_json(manifest)
    write_json(kept | {"revision": "v2"}, manifest)
    os.utime(manifest, ns=(written, written))
    assert portal.entry(folder)["revision"] == "main"
    os.utime(manifest, ns=(written + 1, written + 1))
    assert portal.entry(folder)["revision"] == "v2"


def test_scripts_get_numbers_kinds_and_depth(tmp_path):
    write_results(tmp_path / "one")
    _, found, _ = model_page.model_page(tmp_path / "one")
    column = {"component": "text", "label": "q_proj", "layers": [0], "count": 1, "std": [0.5]}
    write_json(found | {"depth": [column]}, tmp_path / "one" / "comparison.json")
    (tmp_path / "one" / "index.html").write_text("x")
    entry = portal.entry(tmp_path / "one")
    assert "depth" not in entry, "index.json stays small"
    data = portal.compared([entry], {"one": [column]})
    kinds = {row["label"]: row["kind"] for row in data["rows"]}
    assert (kinds["parameters"], kinds["stored size"], kinds["attention"]) == (
        *("count", "bytes", "share"),
    )
    assert kinds["INT4, whole model"] == "dB" and kinds["stored as"] == ""
    (model,) = data["models"].values()
    assert len(model["numbers"]) == len(data["rows"]) and model["depth"] == [column]
    assert model["numbers"][0] == 12345 and model["numbers"][3] is None


MANIFEST = {"licence": None, "commit_date": None}

PROGRAM = {"tool": "AI Block Research 1.0"}


@pytest.fixture
def stored(tmp_path):
    """A folder of results of two models, and its store."""
    results = tmp_path / "results"
    for name in ("one", "two"):
        folder = write_results(results / name, commit=name[0] * 40)
        manifest = read_json(folder / "manifest.json") | MANIFEST
        write_json(manifest | {"name": name}, folder / "manifest.json")
        _, found, _ = model_page.model_page(folder)
        column = {"component": "text", "label": "q_proj", "layers": [0], "count": 1, "std": [0.5]}
        write_json(found | {"depth": [column]}, folder / "comparison.json")
        (folder / "index.html").write_text("x")
        # That of hostile names is no table.
        (folder / "coverage.parquet").unlink()
    add(sorted(results.iterdir()), tmp_path / "store")
    return results, tmp_path / "store"


def test_a_store_gives_the_same_page(stored, monkeypatch):
    results, store = stored
    from_folders = portal.portal(results, {}, PROGRAM)
    found = summaries(store)

    def nothing(path):
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(portal, "read_json", nothing)
    assert portal.portal(results, {}, PROGRAM, found) == from_folders


def test_other_models_of_a_store_are_listed(stored, tmp_path):
    results, store = stored
    shutil.rmtree(results / "two")
    html, entries = portal.portal(results, {}, PROGRAM, summaries(store))
    one, two = entries
    assert (one["status"], two["status"]) == ("complete", "stored")
    assert two["folder"] == "two@tttttttttttt" and two["numbers"] == one["numbers"]
    page = assert_harmless(html)
    assert page.tags.count("input") == 3, "a search and two models to compare"
    links = [value for name, value in page.attributes if name == "href"]
    assert "one/index.html" in links and not any("two" in str(link) for link in links)


def test_newer_results_count_more_than_the_store(stored):
    results, store = stored
    counts = {"error": 3, "warning": 0, "note": 0}
    write_json({"counts": counts, "findings": []}, results / "one" / "audit.json")
    _, entries = portal.portal(results, {}, PROGRAM, summaries(store))
    assert [entry["status"] for entry in entries] == ["damaged", "complete"]
