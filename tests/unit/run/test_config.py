"""The models, comparisons and training runs that a configuration names."""

import pytest
import yaml

from blockresearch.run.config import looked_up, models, training
from blockresearch.run.validation import ConfigError, checked
from tests.conftest import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def test_either_model_or_models_is_set():
    assert list(models(checked({"models": ["c/d", "e/f"]}, SCHEMA))) == ["c--d", "e--f"]
    assert list(models(checked({"model": "a/b"}, SCHEMA))) == ["a--b"]
    with pytest.raises(ConfigError, match=r"both set: leave one out .*models=\[\]"):
        models(checked({"model": "a/b", "models": ["c/d", "e/f"]}, SCHEMA))


def test_the_demo_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [model] = models(checked({}, SCHEMA)).values()
    assert (model.name, model.source) == ("local--demo", str(ROOT / "resources/demo"))


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


def test_folders_equal_but_for_case_are_one_folder():
    config = checked({"models": ["Org/Model", "org/model"]}, SCHEMA)
    with pytest.raises(ConfigError, match="would both use"):
        models(config)


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
