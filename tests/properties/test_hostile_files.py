"""Files beside the weights, made to harm: every field wrong, and what leads out of the folder.

Whatever they hold, a model is described, planned, measured, audited and shown, or refused with one
sentence; other exceptions fail the test.
"""

import json
import os
import random
from contextlib import suppress

import pytest

from blockresearch.audit import audit
from blockresearch.checkpoint import describe
from blockresearch.checkpoint.describe import describe_folder, known_sha256
from blockresearch.checkpoint.manifest import manifest_json, write_manifest
from blockresearch.checkpoint.plan import make_plan, plan_json
from blockresearch.checkpoint.selection import CheckpointError
from blockresearch.files import write_json
from blockresearch.measurement import merge
from blockresearch.naming.roles import classify
from blockresearch.report.model import identity, what
from blockresearch.safetensors import json_text
from blockresearch.safetensors.header import SafetensorsError
from blockresearch.tables.io import frame
from blockresearch.text import readable
from blockresearch.tokens.tokenizer import TokenizerError, read_tokens
from blockresearch.weights.adapters import scaling
from tests.conftest import small_model, write_safetensors

pytestmark = pytest.mark.slow

NOW = "2026-01-01T00:00:00Z"
DEEP = "[" * 90 + "]" * 90
WRONG = [
    *"null true false 0 1 -1 -0 2.5 1e400 -1e400 1e308 NaN Infinity -Infinity".split(),
    *'"" "x" "\\\\ud800" "\\\\u0000" "../.." "$(touch x)" [] {} [[]] [null] [-1] ["x"]'.split(),
    *('{"x": null}', '{"a": {"b": [1, 2]}}', "9" * 30, "[9223372036854775808]", DEEP),
    *('"' + "a" * 10_000 + '"', "[1" + ",1" * 500 + "]", '{"0": {"1": "2"}}', '[["a", "b"], 1]'),
]
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 64,
    "tie_word_embeddings": True,
    "is_encoder_decoder": False,
    "torch_dtype": "bfloat16",
    "num_local_experts": 4,
    "layer_types": ["full_attention", "full_attention"],
    "text_config": {"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 64},
    "attn_config": {"kv_n_heads": 2},
    "quantization_config": {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "weight_block_size": [128, 128],
        "checkpoint_format": "gptq",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32}}},
        "ignore": ["lm_head"],
        "modules_to_not_convert": ["x"],
    },
}
ADAPTER = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "use_rslora": False,
    "alpha_pattern": {"q_proj": 2},
    "rank_pattern": {"q_proj": 2},
    "target_modules": ["q_proj"],
}
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [{"id": 1, "content": "<s>", "special": True}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
    "pre_tokenizer": {"type": "ByteLevel", "pattern": {"String": " "}},
    "decoder": {"type": "ByteLevel"},
    "model": {
        "type": "BPE",
        "vocab": {"a": 0, "Ġb": 2},
        "merges": [["a", "b"]],
        "end_of_word_suffix": "</w>",
        "byte_fallback": False,
    },
}
MARK = "@@"


def places(value, path=()):
    """Paths of all values inside a JSON value, itself first."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    for key in keys:
        yield from places(value[key], (*path, key))


def spoiled(value, path, wrong):
    """The JSON text of `value` with the text `wrong` at `path`."""
    copy = json.loads(json.dumps(value))
    if not path:
        return wrong
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = MARK
    return json.dumps(copy).replace(f'"{MARK}"', wrong)


def mutations(value):
    for path in places(value):
        for wrong in WRONG:
            yield spoiled(value, path, wrong)


def shown(manifest, tmp_path):
    """All that reads a config afterwards."""
    plan = make_plan(manifest)
    write_manifest(manifest, tmp_path / "manifest.json")
    write_json(plan_json(plan), tmp_path / "plan.json")
    tensors = [weight.stored for part in plan for weight in part.weights]
    analyzed = {tensor.name: 1 for tensor in tensors}
    rows = [
        {"param_name": tensor.name, "shape": list(tensor.shape), "numel": 1}
        | {"rows": 1, "cols": 1, "nan_count": 0, "posinf_count": 0, "neginf_count": 0}
        | {"finite_count": 1, "dtype": tensor.dtype, "absmax": 1.0, "rms": 1.0}
        for tensor in tensors
    ]
    params = merge.with_roles(frame(rows, "params"), "params", manifest)
    write_json(
        audit.audit(manifest, params, merge.coverage(manifest, analyzed)), tmp_path / "audit.json"
    )
    identity(manifest_json(manifest))
    what(manifest_json(manifest), params)


def test_every_field_of_a_config_may_be_anything(tmp_path):
    spoil_config(tmp_path, random.Random(0).sample(list(mutations(CONFIG)), 20))


@pytest.mark.slow
def test_more_fields_of_a_config_may_be_anything(tmp_path):
    # A sixth of all mutations: the rest of them takes minutes and repeats the same code.
    spoil_config(tmp_path, random.Random(1).sample(list(mutations(CONFIG)), 250))


def spoil_config(tmp_path, texts):
    folder = small_model(tmp_path / "m", layers=1)
    for text in texts:
        (folder / "config.json").write_text(text)
        try:
            shown(describe_folder(folder, NOW, hashed=False), tmp_path)
        except (CheckpointError, SafetensorsError) as error:
            assert "config.json" in str(error) and len(str(error)) < 500


def test_every_field_of_an_index_may_be_anything(tmp_path):
    folder = small_model(tmp_path / "m")
    index = folder / "model.safetensors.index.json"
    sound = json.loads(index.read_text())
    sound["metadata"] = {"total_size": 1, "total_parameters": 2}
    sound["weight_map"] = dict(list(sound["weight_map"].items())[::6])
    for text in mutations(sound):
        index.write_text(text)
        try:
            describe_folder(folder, NOW, hashed=False)
        except CheckpointError as error:
            assert "index.json" in str(error)


def test_fields_of_an_adapter_config_may_be_anything():
    for text in mutations(ADAPTER):
        try:
            config = json_text.parse(text.encode(), 10**6, 10**5)
        except json_text.JsonError:
            continue
        if isinstance(config, dict):
            try:
                rank = scaling.peft_rank(config, "model.q_proj")
                assert scaling.peft_scale(config, "model.q_proj", rank, "lora_alpha") is not None
            except scaling.Unknown as reason:
                assert str(reason)


def test_every_field_of_a_tokenizer_may_be_anything(tmp_path):
    path = tmp_path / "tokenizer.json"
    count = 0
    for text in mutations(TOKENIZER):
        path.write_text(text)
        count += 1
        try:
            found = read_tokens(path, 5)
        except TokenizerError as error:
            assert "tokenizer.json" in str(error)
        else:
            assert len(found) == 5
            assert all("\n" not in token.text and len(token.text) < 3000 for token in found)
    assert count > 500


BOMBS = {
    "git-lfs pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "error page": "\n<!doctype html><title>504</title>",
    "brackets": "[" * 10**6,
    "braces": '{"a":' * 10**6,
    "many values": "[" + "[]," * 10**6 + "0]",
    "a long number": "9" * 10**6,
    "a long fraction": "0." + "9" * 10**6,
    "not UTF-8": b'{"a": "\xff"}'.decode("latin-1"),
    "nothing": "",
    "too long": " " * (17 * 1024**2),
}


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json", "tokenizer.json"])
def test_json_bombs_are_refused_in_one_sentence(tmp_path, kind, file):
    folder = small_model(tmp_path / "m")
    (folder / file).write_bytes(BOMBS[kind].encode("latin-1"))
    with pytest.raises((CheckpointError, TokenizerError), match=r"m/|tokenizer\.json") as caught:
        describe_folder(folder, NOW, hashed=False)
        read_tokens(folder / "tokenizer.json", 64)
    told = str(caught.value)
    assert len(told) < 400 and "\n" not in told and told.count(str(folder)) == 1
    assert {"git-lfs pointer": "git lfs pull", "error page": "HTML"}.get(kind, "") in told


def test_what_json_cannot_keep_is_made_plain():
    whole = b"[-9223372036854775808, 9223372036854775808, " + b"9" * 5000 + b"]"
    assert json_text.parse(whole, 10**4, 10) == [-(2**63), str(2**63), "9" * 5000]
    text = rb'{"time_step_limit": [0.0, Infinity, NaN, 1e999], "\ud800": "\udc80\ud83d\ude00"}'
    assert json_text.parse(text, 1000, 100) == {
        "time_step_limit": [0.0, "Infinity", "NaN", "1e999"],
        "\\ud800": "\\udc80\U0001f600",
    }


SHARDS = (
    """
../x.safetensors|/etc/x.safetensors|a/../../x.safetensors|./x.safetensors|a//b.safetensors
..\\x.safetensors|C:x.safetensors|C:\\x.safetensors|\\\\host\\x.safetensors|~/x.safetensors
file:///x.safetensors|http://h/x.safetensors|x.safetensors\n|x\x00.safetensors|x.safetensors/
-rf.safetensors|a/-rf.safetensors|$(touch y).safetensors|`touch y`.safetensors|x;y.safetensors
x&y.safetensors|x'y.safetensors|x"y.safetensors|{model}.safetensors|*.safetensors
x.bin|x.safetensors.py||.safetensors/..|аbc.safetensors|x\u202e.safetensors|x%2e%2e.safetensors
""".strip()
    .replace("\n|", "\x00NL|")
    .split("|")
)
SHARDS = [name.replace("\x00NL", "\n") for line in SHARDS for name in [line.strip(" ")]]


@pytest.mark.parametrize("shard", [*SHARDS, "a" * 300 + ".safetensors", 7, None, ["x"], {}])
def test_shard_names_are_on_a_list_of_what_is_allowed(tmp_path, shard):
    folder = small_model(tmp_path / "m")
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.norm.weight"] = shard
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"hostile|not there"):
        describe_folder(folder, NOW, hashed=False)


@pytest.mark.parametrize("name", ["a\nb", "$(touch y)", "\u202e", "{model}", "-rf", "x;y"])
def test_a_lone_file_of_weights_has_a_plain_name_too(tmp_path, name):
    write_safetensors(tmp_path / "m" / f"{name}.safetensors", {"w": ("F32", [2], bytes(8))})
    with pytest.raises(CheckpointError, match="rename it") as caught:
        describe_folder(tmp_path / "m", NOW)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("file", "limit"), [("config.json", 16), ("README.md", 1)])
def test_small_files_are_not_read_beyond_their_limit(tmp_path, monkeypatch, file, limit):
    folder = small_model(tmp_path / "m")
    with (folder / file).open("r+b" if (folder / file).exists() else "wb") as stream:
        stream.truncate(limit * 2**20 + 1)
    read = []
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: read.append(path.name) or b"{}")
    with suppress(CheckpointError):
        describe_folder(folder, NOW, hashed=False)
    assert file not in read


def test_links_lead_inside_or_into_the_cache_only(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setattr(describe, "cache_root", lambda: cache)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('{"secret": 1}')
    (outside / "w.safetensors").write_bytes(
        (small_model(tmp_path / "x") / "model-00001-of-00002.safetensors").read_bytes()
    )
    for file, target in (
        ("config.json", "secret.json"),
        ("tokenizer.json", "secret.json"),
        ("model.safetensors.index.json", "secret.json"),
        ("model-00002-of-00002.safetensors", "w.safetensors"),
    ):
        folder = small_model(tmp_path / file)
        (folder / file).unlink(missing_ok=True)
        (folder / file).symlink_to(outside / target)
        with pytest.raises(CheckpointError, match="leads out of the model folder"):
            describe_folder(folder, NOW, hashed=False)
    # A snapshot of a cache, wherever it lies, with blobs of its own and of another repository.
    blobs = tmp_path / "elsewhere/models--a--b/blobs"
    folder = small_model(tmp_path / "elsewhere/models--a--b/snapshots/c0ffee")
    blobs.mkdir()
    name = "model-00001-of-00002.safetensors"
    os.rename(folder / name, blobs / ("0" * 64))
    (folder / name).symlink_to(f"../../blobs/{'0' * 64}")
    manifest = describe_folder(folder, NOW)
    assert [(p.check, p.where) for p in manifest.problems] == [("sha256_mismatch", name)]
    assert known_sha256(folder, name) == "0" * 64
    other = tmp_path / "elsewhere/models--c--d/blobs"
    other.mkdir(parents=True)
    os.rename(blobs / ("0" * 64), other / ("0" * 64))
    (folder / name).unlink()
    (folder / name).symlink_to(other / ("0" * 64))
    with pytest.raises(CheckpointError, match="leads out of the model folder"):
        describe_folder(folder, NOW, hashed=False)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("gone", path)],
    ids=["fifo", "dir", "link"],
)
@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "model-00001-of-00002.safetensors"]
)
def test_a_folder_named_like_a_file_is_an_error(tmp_path, make, file):
    folder = small_model(tmp_path / "m")
    (folder / file).unlink(missing_ok=True)
    make(folder / file)
    with pytest.raises((CheckpointError, SafetensorsError), match=r"regular file|not there"):
        describe_folder(folder, NOW)


def test_odd_names_and_names_equal_but_for_case(tmp_path):
    name = "\u202e<b>=1+1\x1b[31m" + "n" * 10_000
    write_safetensors(tmp_path / "m" / "model.safetensors", {name: ("F32", [2], bytes(8))})
    manifest = describe_folder(tmp_path / "m", NOW)
    shown(manifest, tmp_path)
    assert manifest.tensors[0].name == name
    assert classify([(name, (2,), "F32")], {})[name].block_type
    assert readable("\x1b") == "\\x1b"
