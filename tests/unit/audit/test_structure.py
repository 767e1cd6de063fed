"""The audit's checks of structure hold for every class that generates, and for no draft."""

import json

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.cases.checkpoints import Raw, brain, llama, save, to_e4m3

SETTINGS = Settings(sparsity_threshold=1e-6, spectra="none")


def findings(folder, tensors, config):
    save(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    result = analyze_folder(str(folder), SETTINGS, 1, "2026-01-01T00:00:00Z")
    found = audit.audit(result.manifest, result.params, result.coverage)["findings"]
    return result, {(f["severity"], f["check"], f["where"]) for f in found}


def multimodal(lost):
    """A vision class around a llama of which one tensor is lost."""
    tensors, text = llama()
    tensors.pop(lost, None)
    tensors = {n.replace("model.", "model.language_model.", 1): t for n, t in tensors.items()}
    tensors["model.vision_tower.post_layernorm.weight"] = brain(np.linspace(0.9, 1.1, 16))
    text = {key: value for key, value in text.items() if key != "architectures"}
    outer = {"architectures": ["LlavaForConditionalGeneration"], "tie_word_embeddings": False}
    return tensors, {**outer, "model_type": "llava", "text_config": text}


@pytest.mark.parametrize(
    ("lost", "where"),
    [
        ("lm_head.weight", "output layer"),
        ("model.norm.weight", "final norm"),
        ("none", None),
    ],
)
def test_what_a_multimodal_class_needs(tmp_path, lost, where):
    _, found = findings(tmp_path, *multimodal(lost))
    assert {f for f in found if f[0] != "note"} == (
        {("error", "missing_tensor", where)} if where else set()
    )


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "T5ForConditionalGeneration"])
def test_every_class_that_generates_needs_tokens(tmp_path, name):
    tensors = {"x.layers.0.mlp.up_proj.weight": llama()[0]["model.layers.0.mlp.up_proj.weight"]}
    _, found = findings(tmp_path, tensors, {"architectures": [name], "vocab_size": 64})
    assert ("error", "missing_tensor", "token embedding") in found


def eagle3(normal):
    return {
        "fc.weight": normal(32, 96),
        "midlayer.self_attn.q_proj.weight": normal(32, 64),
        "midlayer.mlp.gate_proj.weight": normal(64, 32),
        "norm.weight": brain(np.linspace(0.9, 1.1, 32)),
        "lm_head.weight": normal(48, 32),
        "d2t": np.arange(48, dtype="<i8"),
        "t2d": np.arange(64) % 4 > 0,
    }


def eagle(normal):
    return {
        "fc.weight": normal(32, 64),
        "embed_tokens.weight": normal(64, 32),
        "layers.0.self_attn.q_proj.weight": normal(32, 32),
        "layers.0.mlp.gate_proj.weight": normal(64, 32),
    }


def medusa(normal):
    return {f"medusa_head.{i}.0.linear.weight": normal(32, 32) for i in range(3)}


@pytest.mark.parametrize("draft", [eagle3, eagle, medusa])
def test_a_draft_of_another_model_is_sound(tmp_path, draft):
    random = np.random.default_rng(0)
    tensors = draft(lambda *shape: brain(random.normal(0, 0.02, shape)))
    config = {**llama()[1], "num_hidden_layers": 1}
    result, found = findings(tmp_path, tensors, config)
    assert {f for f in found if f[0] != "note"} == set()
    layouts = {t.name: t.layout.kind for t in result.manifest.tensors}
    assert {layouts[n] for n in ("d2t", "t2d") if n in layouts} <= {"buffer"}


def test_shapes_are_known_for_their_classes_only(tmp_path):
    tensors, config = llama()
    name = "model.layers.1.self_attn.q_proj.weight"
    tensors[name] = brain(np.random.default_rng(0).normal(0, 0.02, (16, 32)))
    _, found = findings(tmp_path, tensors, config)
    assert ("error", "mis_shaped", name) in found
    _, found = findings(tmp_path, tensors, {**config, "architectures": ["LlamaOfSomeoneElse"]})
    assert not any(check == "mis_shaped" for _, check, _ in found)


def test_a_weight_that_is_not_decoded_is_not_missing(tmp_path):
    random = np.random.default_rng(9)
    tensors, config = llama()
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(4)]
    for i in (2, 3):
        start = "model.layers.1."
        copies = {n: t for n, t in tensors.items() if n.startswith(start)}
        tensors |= {
            n.replace(start, f"model.layers.{i}."): brain(random.normal(0, 0.02, t.shape))
            for n, t in copies.items()
        }
    for name in names:
        tensors[name] = Raw("F8_E4M3", to_e4m3(random.normal(0, 100, (64, 32)).clip(-448, 448)))
        tensors[name + "_scale_inv"] = np.full((1, 1), 2e-4, "<f4")
    del tensors[names[2] + "_scale_inv"]
    method = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    config |= {"num_hidden_layers": 4, "quantization_config": method}
    result, found = findings(tmp_path, tensors, config)
    assert {f for f in found if f[0] != "note"} == {("warning", "contradictory", names[2])}
    assert names[2] not in set(result.params["param_name"])
