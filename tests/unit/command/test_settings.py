"""Settings of the command line, a file and the folder become one configuration."""

import argparse

import pytest

from blockresearch.command import settings


def options(*pairs: str, files: tuple[str, ...] = (), results: str | None = None):
    """Options as the parser returns them."""
    return argparse.Namespace(set=list(pairs), config=list(files), results=results)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")


def test_the_last_setting_counts(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("spectra: rank\nclustering: {k_max: 9, metric: spherical}\n")
    found = settings.settings_of(
        options("clustering.k_max=6", "spectra=none", files=(str(file),), results="out"),
        settings.of_models(["org/a"]),
    )
    assert found.config["spectra"] == "none"
    assert found.config["clustering"]["k_max"] == 6
    assert found.config["clustering"]["metric"] == "spherical"
    assert str(found.results) == "out" and list(found.models) == ["org--a"]


def test_weights_lie_beside_the_cache_of_the_hub(tmp_path):
    def weights(*pairs: str) -> str:
        words = settings.of_models(["org/a"])
        return settings.settings_of(options(*pairs), words).config["weights"]

    assert weights() == "/cache/huggingface/blockresearch"
    assert weights("weights=here") == "here"
    # A folder with a configuration keeps them where it says.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("weights: resources/weights\nmodels: [org/b]\n")
    assert weights() == "resources/weights"


def test_a_model_replaces_those_of_a_file(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("models: [org/b]\n")
    found = settings.settings_of(options(), settings.of_models(["org/a"]))
    assert list(found.models) == ["org--a"]


@pytest.mark.parametrize("name", ["my #1 model", "a: b", "2024", "1e5", "nan", "it's", "模型"])
def test_a_folder_of_any_name_is_that_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    [model] = settings.settings_of(options(), settings.of_models([name])).models.values()
    assert model.source == name


def test_a_revision_of_digits_stays_a_text():
    found = settings.settings_of(options("revision=2024_01"), settings.of_models(["org/a"]))
    assert found.config["revision"] == "2024_01"
