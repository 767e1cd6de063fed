"""Models as people name them: ids, addresses, folders, files, and their folders in results."""

import pytest
import yaml

from blockresearch.run.config import models
from blockresearch.run.model import Model, parse_model
from blockresearch.run.validation import ConfigError, checked
from tests.conftest import ROOT

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())

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
