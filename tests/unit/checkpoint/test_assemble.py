"""What configs, cards and subfolders add to a manifest; each decision is made once."""

import json
from collections import Counter

import pytest

from blockresearch.checkpoint import assemble
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import read_manifest, write_manifest
from blockresearch.checkpoint.plan import make_plan
from blockresearch.checkpoint.selection import CheckpointError
from blockresearch.measurement import merge
from blockresearch.naming import roles
from blockresearch.run.forecast import forecast
from blockresearch.tokens.rows import read_rows
from tests.conftest import write_safetensors

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "config, tied",
    [
        ({"architectures": ["BertModel"]}, None),
        ({}, None),
        ({"architectures": ["WhisperForConditionalGeneration"]}, True),
        ({"architectures": ["A"], "text_config": {"tie_word_embeddings": True}}, True),
        ({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False}, False),
        ({"architectures": "LlamaForCausalLM", "tie_word_embeddings": [True]}, None),
    ],
)
def test_config_or_class_ties_the_embeddings(model, config, tied):
    (model / "config.json").write_text(json.dumps(config))
    assert describe_folder(model, NOW).tied is tied


def test_the_license_is_that_of_the_model_card(model):
    assert describe_folder(model, NOW).license is None
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    assert describe_folder(model, NOW).license == "mit"
    (model / "README.md").unlink()
    (model / "README.md").mkdir()
    assert describe_folder(model, NOW).license is None


def test_a_subfolder_has_its_own_index_and_config(model, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    model.rename(whole / "text_encoder")
    manifest = describe_folder(whole, NOW, subfolder="text_encoder/")
    assert manifest.problems == () and manifest.config["model_type"] == "llama"
    assert {file.path.split("/")[0] for file in manifest.files} == {"text_encoder"}
    with pytest.raises(CheckpointError, match="not a folder inside"):
        describe_folder(whole, NOW, subfolder="../x")


def test_a_variant_has_an_index_of_its_own(model):
    for path in list(model.glob("*.safetensors")):
        stem, number = path.name.split("-", 1)
        path.rename(model / f"{stem}.fp16-{number}")
    index = model / "model.safetensors.index.json"
    text = index.read_text().replace("model-0000", "model.fp16-0000")
    (model / "model.safetensors.index.fp16.json").write_text(text)
    index.unlink()
    for variant in ("fp16", None):
        manifest = describe_folder(model, NOW, variant=variant)
        assert manifest.problems == () and len(manifest.tensors) == 18


def test_params_json_describes_the_layout_of_mistral(tmp_path):
    (tmp_path / "params.json").write_text(json.dumps({"dim": 8, "n_layers": 2, "n_heads": 2}))
    write_safetensors(
        tmp_path / "consolidated.safetensors",
        {"tok_embeddings.weight": ("F32", [4, 8], bytes(128))},
    )
    manifest = describe_folder(tmp_path, NOW)
    assert manifest.config == {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    assert manifest.embedding == "tok_embeddings.weight"


def test_each_decision_is_made_once(model, tmp_path, monkeypatch):
    decided = Counter()

    def counted(module, name):
        original = getattr(module, name)

        def count(*arguments):
            decided[name] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, count)

    counted(roles, "classify")
    counted(assemble, "layouts")
    write_manifest(describe_folder(model, NOW), tmp_path / "manifest.json")
    manifest = read_manifest(tmp_path / "manifest.json")
    parts = make_plan(manifest)
    forecast(manifest, parts)
    read_rows(manifest, lambda file: model / file)
    role_rows = list(merge.role_rows(manifest))
    merge.coverage(manifest, {weight.name: 1 for part in parts for weight in part.weights})
    assert decided == {"classify": 1, "layouts": 1} and len(role_rows) == 18
