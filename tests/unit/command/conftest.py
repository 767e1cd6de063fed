"""A folder of results."""

import pytest

from blockresearch.run import integrity


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results with one model, recorded as a run leaves it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/org--a"
    folder.mkdir(parents=True)
    for path in (folder / "manifest.json", folder / "params.csv", folder / "index.html"):
        path.write_text("{}")
    integrity.record("results", ["org--a"], 0)
    return folder
