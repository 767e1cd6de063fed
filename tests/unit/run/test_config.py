"""Configuration: defaults, one sentence that names a wrong key, models and their folders."""

import math
from datetime import date

import pytest
import yaml

from blockresearch.run.config import (
    ConfigError,
    Model,
    checked,
    looked_up,
    models,
    parse_model,
    training,
)
from tests.conftest import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


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


# What Snakemake 9 and YAML 1.1 make of 2024_01, 1.10, 5e31415, 0012345, true, 2024-01-01, nothing.
ALTERED = [202401, 1.1, math.inf, 12345, True, date(2024, 1, 1), None, ["1.10"], {"a": "b"}]


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


@pytest.mark.parametrize("revision", ["2024_01", "1.10", "0012345", "5e31415", "refs/pr/1", "main"])
def test_a_hub_id_may_have_its_own_revision(revision):
    model = parse_model(f"org/numbers@{revision}")
    assert model == parse_model("org/numbers", revision)
    assert (model.source, model.revision) == ("org/numbers", revision)


def test_a_revision_is_named_once():
    assert parse_model("a/b@1.10", "1.10").revision == "1.10"
    with pytest.raises(ConfigError, match=r"'a/b@1\.10' contains a revision.* '1\.1'"):
        parse_model("a/b@1.10", "1.1")
    config = checked({"models": ["a/b@1", {"model": "a/b@2", "name": "two"}, "a/b"]}, SCHEMA)
    assert {m.name: m.revision for m in models(config).values()} == {
        **{"a--b@1": "1", "two": "2", "a--b": "main"},
    }


def test_a_file_of_a_model_names_its_folder(tmp_path):
    assert parse_model("a/b", file="x/adapters.safetensors").name == "a--b--x--adapters"
    assert parse_model("a/b", file="model.safetensors.index.json").name == "a--b--model"
    with pytest.raises(ConfigError, match="file"):
        parse_model("a/b", file="../x.safetensors")


def test_a_folder_of_the_hub_cache_is_its_snapshot(tmp_path):
    cache = tmp_path / "models--org--name"
    for name in ("blobs", "refs", "snapshots/abc", "snapshots/def"):
        (cache / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"snapshots/abc, .*snapshots/def"):
        parse_model(str(cache))
    (cache / "refs/main").write_text("def")
    model = parse_model(str(cache))
    assert (model.source, model.name) == (str(cache / "snapshots/def"), "local--org--name")


def test_nested_numbers_of_the_command_line_are_texts():
    given = {"clustering": {"k_max": "6", "n_clusters": "null"}, "sparsity_threshold": "1e-3"}
    config = checked(given, SCHEMA)
    assert config["clustering"]["k_max"] == 6 and config["clustering"]["n_clusters"] is None
    assert config["sparsity_threshold"] == 1e-3
    assert checked({"keep_weights": "false"}, SCHEMA)["keep_weights"] is False


def test_either_model_or_models_is_set():
    assert list(models(checked({"models": ["c/d", "e/f"]}, SCHEMA))) == ["c--d", "e--f"]
    assert list(models(checked({"model": "a/b"}, SCHEMA))) == ["a--b"]
    with pytest.raises(ConfigError, match=r"both set: leave one out .*models=\[\]"):
        models(checked({"model": "a/b", "models": ["c/d", "e/f"]}, SCHEMA))


def test_the_demo_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [model] = models(checked({}, SCHEMA)).values()
    assert (model.name, model.source) == ("local--demo", str(ROOT / "resources/demo"))


def test_folders_of_models(tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    assert parse_model(str(folder)) == Model("local--my_model", str(folder), None)
    assert parse_model("Qwen/Qwen3-4B").name == "Qwen--Qwen3-4B"
    assert parse_model("gpt2").name == "gpt2"
    assert (
        parse_model("EleutherAI/pythia-70m", "step1000").name == "EleutherAI--pythia-70m@step1000"
    )
    assert parse_model("a/b", "refs/pr/3").name == "a--b@refs--pr--3"


def test_two_models_cannot_share_a_folder(tmp_path):
    one, two = tmp_path / "1" / "m", tmp_path / "2" / "m"
    one.mkdir(parents=True), two.mkdir(parents=True)
    config = checked({"models": [str(one), str(two)]}, SCHEMA)
    with pytest.raises(ConfigError, match="local--m: give one of them a `name`"):
        models(config)
    config["models"] = [str(one), {"model": str(two), "name": "other"}]
    assert list(models(config)) == ["local--m", "local--other"]


def test_a_missing_folder_is_no_model_of_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match=r"no folder 'data/nope', though .* folder 'data'"):
        models(checked({"model": "data/nope"}, SCHEMA))
    assert list(models(checked({"model": "data/nope@main"}, SCHEMA))) == ["data--nope"]
    # With or without a folder `models`: it is a page of the hub.
    for path in ("models/nope", "models/nope@main", "models/org/nope"):
        with pytest.raises(ConfigError, match=f"no folder '{path}', and no model on the hub"):
            models(checked({"model": path}, SCHEMA))
    assert list(models(checked({"model": "org/nope"}, SCHEMA))) == ["org--nope"]


def test_revisions_are_those_of_the_model():
    config = checked({"model": "org/a", "revisions": ["step1", "step2", "main"]}, SCHEMA)
    run = training(config)
    assert run.name == "org--a"
    assert [step.name for step in run.steps] == ["org--a@step1", "org--a@step2", "org--a"]
    assert [m.name for m in run.before("org--a")] == ["org--a@step1", "org--a@step2"]
    assert [m.name for m in run.before("org--a@step2")] == ["org--a@step1"]
    assert run.before("org--a@step1") == []
    assert list(models(config)) == ["org--a"], "steps are not analyzed"
    assert list(looked_up(config)) == ["org--a", "org--a@step1", "org--a@step2"]
    assert training(checked({"model": "org/a"}, SCHEMA)) is None


def test_steps_of_a_folder_are_folders(tmp_path):
    for name in ("c1", "c2"):
        (tmp_path / name).mkdir()
    model, first = str(tmp_path / "c2"), str(tmp_path / "c1")
    run = training(checked({"model": model, "revisions": [first, model]}, SCHEMA))
    assert run.name == "local--c2"
    assert [step.name for step in run.steps] == ["local--c1", "local--c2"]
    for revisions, words in (
        ([first, "step2"], "'step2' is not a folder, and the model is one"),
        ([first, first], "is named twice"),
        ([first], "name two or more"),
    ):
        with pytest.raises(ConfigError, match=words):
            training(checked({"model": model, "revisions": revisions}, SCHEMA))
    with pytest.raises(ConfigError, match="set `model` instead of `models`"):
        training(checked({"models": ["org/a"], "revisions": ["x", "y"]}, SCHEMA))


def test_a_model_is_not_compared_with_itself():
    with pytest.raises(ConfigError, match="is both sides: name two checkpoints"):
        models(checked({"model": "org/a", "base": "org/a"}, SCHEMA))


BAD_IDS = [
    *"../x x/../y a/b/c /etc/passwd a/.. ./a .a/b a/.b -rf/x a/-rf a--b/c a/b--c a/b.git".split(),
    *"a/b.ipynb a/b. a/b- a./b a;b/c a/$(touch) a/`b` a/b|c a/b&c a/b'c a/{model} a/*".split(),
    *("a/b\n", "a/b ", " a/b", "a b/c", "а/b", "a/b\u202e", "a/\x00b", "a\\b", "C:/x", ""),
    *("ftp://h/a", "@b/c", "a/b:c", "a/" + "b" * 97, "n" * 300 + "/b", "~x/y", "a/b?c", "%2e/a"),
]
BAD_REVISIONS = [
    *"../x a..b -x --x a--b $(x) a;b a|b `x` {x} a@b ^x .x a\\b a:b é".split(),
    *("", " ", "a b", "main\n", "a\x00", "x" * 129, "a//b", "x/"),
]


@pytest.mark.parametrize("source", BAD_IDS)
def test_a_model_that_is_no_hub_id_is_refused(source):
    with pytest.raises(ConfigError, match="neither an existing folder nor a hub id"):
        parse_model(source)


@pytest.mark.parametrize("revision", BAD_REVISIONS)
def test_a_revision_that_git_would_not_name_is_refused(revision):
    with pytest.raises(ConfigError, match="revision"):
        parse_model("org/model", revision)


@pytest.mark.parametrize("subfolder", "../x a/../b .. . .x -x a//b a\\b $(x) {x} a;b é".split())
def test_a_subfolder_leads_inside(subfolder):
    with pytest.raises(ConfigError, match="subfolder"):
        parse_model("org/model", subfolder=subfolder)


@pytest.mark.parametrize("name", ["a\n", "logs", "Index.html", "nul", "com1.x", "x" * 201, "a b"])
def test_a_folder_has_a_name_that_is_free(name):
    with pytest.raises(ConfigError, match="cannot be called"):
        parse_model("org/model", name=name)
    assert parse_model("org/console", name="con-1").name == "con-1"


def test_folders_equal_but_for_case_are_one_folder():
    config = checked({"models": ["Org/Model", "org/model"]}, SCHEMA)
    with pytest.raises(ConfigError, match="would both use"):
        models(config)


@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("https://huggingface.co/Qwen/Qwen3-4B", ("Qwen/Qwen3-4B", "main", "", None)),
        ("https://huggingface.co/gpt2/", ("gpt2", "main", "", None)),
        ("https://hf.co/o/m/tree/step1000", ("o/m", "step1000", "", None)),
        ("https://hf-mirror.com/o/m/tree/refs%2Fpr%2F1/vae", ("o/m", "refs/pr/1", "vae", None)),
        (
            "https://huggingface.co/o/m/blob/main/a/b.safetensors?x=1",
            ("o/m", "main", "", "a/b.safetensors"),
        ),
    ],
)
def test_the_address_of_a_page_is_a_model(address, model):
    found = parse_model(address)
    assert (found.source, found.revision, found.subfolder, found.file) == model


def test_another_site_has_no_models():
    with pytest.raises(ConfigError, match=r"not the page of a model on huggingface\.co"):
        parse_model("https://example.org/o/m")


def test_a_file_of_weights_is_a_model(tmp_path, monkeypatch):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/x.safetensors").touch()
    found = parse_model(str(tmp_path / "m/x.safetensors"))
    assert (found.name, found.file) == ("local--m--x", "x.safetensors")
    monkeypatch.chdir(tmp_path / "m")
    assert parse_model("x.safetensors").file == "x.safetensors"


def test_models_may_be_listed_in_a_file(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# mine\norg/a  # small\n\n  org/b@step1 \norg/c#1\n", encoding="utf-8-sig")
    with pytest.raises(ConfigError, match="'org/c#1' is neither"):
        models(checked({"models": str(path)}, SCHEMA))
    path.write_text("# mine\norg/a  # small\n\n  org/b@step1 \n", encoding="utf-8-sig")
    found = models(checked({"models": str(path)}, SCHEMA))
    assert list(found) == ["org--a", "org--b@step1"]
    path.write_text("# none\n")
    with pytest.raises(ConfigError, match="names no model"):
        models(checked({"models": str(path)}, SCHEMA))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        models(checked({"models": "no.txt"}, SCHEMA))
