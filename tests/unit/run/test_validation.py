"""The configuration: defaults, and one sentence that names a wrong key."""

import math
from datetime import date

import pytest
import yaml

from blockresearch.run.validation import ConfigError, checked
from tests.conftest import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())

# What Snakemake 9 and YAML 1.1 make of 2024_01, 1.10, 5e31415, 0012345, true, 2024-01-01, nothing.
ALTERED = [202401, 1.1, math.inf, 12345, True, date(2024, 1, 1), None, ["1.10"], {"a": "b"}]


def test_the_shipped_config_is_the_schemas_defaults():
    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert checked(shipped, SCHEMA) == checked({}, SCHEMA) == shipped


def test_the_home_folder_may_be_written_as_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert checked({"results": "~/out"}, SCHEMA)["results"] == "/home/someone/out"


def test_the_manual_explains_every_key():
    manual = (ROOT / "config/README.md").read_text()
    keys = [*SCHEMA["properties"], *SCHEMA["properties"]["clustering"]["properties"]]
    assert [key for key in keys if f"`{key}`" not in manual] == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"modle": "x"}, r"unknown key modle: did you mean model\?"),
        ({"clustering": {"kmax": 3}}, r"unknown key clustering\.kmax: did you mean k_max"),
        ({"clustering": {"k_max": "many"}}, r"clustering\.k_max is 'many', expected: an integer"),
        ({"device": "gpu"}, r"device is 'gpu', expected: .*cuda"),
        ({"sparsity_threshold": -1}, r"sparsity_threshold is -1, expected: a number of at least 0"),
        ({"models": [{"revision": "x"}]}, r"models\.0 is"),
        ({"results": "a/{y}"}, r"results is .* without braces"),
        ({"weights": "a\n"}, r"weights is .* control characters"),
    ],
)
def test_a_wrong_key_is_named_in_one_sentence(config, words):
    with pytest.raises(ConfigError, match=words) as caught:
        checked(config, SCHEMA)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ALTERED, ids=str)
@pytest.mark.parametrize("key", ["revision", "subfolder", "model", "results"])
def test_no_number_stands_for_a_text(key, value):
    with pytest.raises(ConfigError, match=f"config: {key} (was read as|is empty)") as told:
        checked({key: value}, SCHEMA)
    if value == 202401:
        assert "as a number, 202401" in str(told.value)
        assert f"'{key}=!!str TEXT'" in str(told.value) and f'{key}: "TEXT"' in str(told.value)
    if key == "revision" and value is not None:
        assert "model=ID@REVISION" in str(told.value)


def test_variant_and_file_are_texts_or_null():
    assert checked({"variant": None, "file": None}, SCHEMA)["variant"] is None
    for key in ("variant", "file"):
        with pytest.raises(ConfigError, match=f"{key} was read as a number, 16.0"):
            checked({key: 16.0}, SCHEMA)


def test_an_entry_of_models_has_texts_too():
    wrong = {"models": ["a/b", {"model": "c/d", "revision": 1.1}]}
    with pytest.raises(ConfigError, match=r"models\.1\.revision was read as a number, 1\.1"):
        checked(wrong, SCHEMA)
    with pytest.raises(ConfigError, match=r"models\.0 was read as a number.* quotes"):
        checked({"models": [12345]}, SCHEMA)
    with pytest.raises(ConfigError, match=r"unknown key models\.0\.revison: did you mean revision"):
        checked({"models": [{"model": "a/b", "revison": "x"}]}, SCHEMA)


def test_nested_numbers_of_the_command_line_are_texts():
    given = {"clustering": {"k_max": "6", "n_clusters": "null"}, "sparsity_threshold": "1e-3"}
    config = checked(given, SCHEMA)
    assert config["clustering"]["k_max"] == 6 and config["clustering"]["n_clusters"] is None
    assert config["sparsity_threshold"] == 1e-3
    assert checked({"keep_weights": "false"}, SCHEMA)["keep_weights"] is False
