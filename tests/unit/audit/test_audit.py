"""The audit: each defect planted in the demo model is found, as what it is, and nothing else is."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from blockresearch.audit import audit
from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.plan import make_plan
from blockresearch.measurement import merge
from blockresearch.measurement.part import Settings, measure_tensor
from blockresearch.safetensors import dtypes
from blockresearch.safetensors.reader import read_bytes, read_header
from blockresearch.tables.io import frame
from tests.conftest import ROOT, bf16, write_safetensors

DEMO = ROOT / "resources/demo"
SETTINGS = Settings(1e-6)
Q = "model.layers.{}.self_attn.q_proj.weight"
UP = "model.layers.{}.mlp.up_proj.weight"
NORM = "model.layers.{}.input_layernorm.weight"
EMBEDDING = "model.embed_tokens.weight"


class Planted:
    """A copy of the demo whose tensors and files can be changed."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(DEMO, folder)
        self.index = json.loads((folder / "model.safetensors.index.json").read_text())
        self.config = json.loads((folder / "config.json").read_text())
        self.shards = {}
        for path in folder.glob("*.safetensors"):
            self.shards[path.name] = {
                t.name: (t.dtype, list(t.shape), read_bytes(path, t.begin, t.end).tobytes())
                for t in read_header(path).tensors
            }

    def tensor(self, name):
        dtype, shape, data = self._home(name)[name]
        return dtypes.decode(np.frombuffer(data, np.uint8), dtype).reshape(shape).copy()

    def put(self, name, values, dtype="BF16"):
        data = bf16(values) if dtype == "BF16" else np.asarray(values, np.float32).tobytes()
        self._home(name)[name] = (dtype, list(values.shape), data)

    def drop(self, name):
        del self._home(name)[name]
        self.index["weight_map"].pop(name)

    def _home(self, name):
        shard = self.index["weight_map"].setdefault(name, min(self.shards))
        return self.shards[shard]

    def save(self):
        for name, tensors in self.shards.items():
            write_safetensors(self.folder / name, tensors)
        (self.folder / "model.safetensors.index.json").write_text(json.dumps(self.index))
        (self.folder / "config.json").write_text(json.dumps(self.config))


def measured(folder, known):
    """Rows of params of all tensors; those of `known` (by content) are not measured again."""
    manifest = replace(describe_folder(folder, "2026-01-01T00:00:00Z"), index={})
    files = {shard.path: folder / shard.path for shard in manifest.shards}
    rows = {}
    for part in make_plan(manifest):
        for weight in part.weights:
            tensor = weight.stored
            data = read_bytes(files[tensor.shard], tensor.begin, tensor.end)
            key = (tensor.name, tensor.dtype, tensor.shape, data.tobytes())
            if key not in known:
                known[key] = measure_tensor(files, weight, SETTINGS).params[0]
            rows[tensor.name] = known[key]
    params = merge.with_roles(frame(rows.values(), "params"), "params", manifest)
    return audit.audit(
        manifest, params, merge.coverage(manifest, {n: row["numel"] for n, row in rows.items()})
    )


@pytest.fixture(scope="module")
def known():
    return {}


def low_rank(shape, noise):
    random = np.random.default_rng(0)
    one = np.outer(random.normal(size=shape[0]), random.normal(size=shape[1]))
    return one + noise * random.normal(size=shape)


def nan(model):
    w = model.tensor(UP.format(2))
    w[3, 5] = np.nan
    model.put(UP.format(2), w)


def infinite(model):
    w = model.tensor(EMBEDDING)
    w[7, :2] = np.inf, -np.inf
    model.put(EMBEDDING, w)


def zero(model):
    model.put(UP.format(1), 0 * model.tensor(UP.format(1)))


def constant(model):
    model.put(UP.format(1), 0 * model.tensor(UP.format(1)) + 0.5)


def constant_norm(model):
    model.put(NORM.format(3), np.ones(160))


def copied(model):
    model.put(Q.format(4), model.tensor(Q.format(2)))


def dead_row(model):
    w = model.tensor(UP.format(5))
    w[11] = 0
    model.put(UP.format(5), w)


def dead_column(model):
    w = model.tensor(Q.format(0))
    w[:, 3:5] = 0
    model.put(Q.format(0), w)


def padding(model):
    w = model.tensor(EMBEDDING)
    w[-20:] = 0
    model.put(EMBEDDING, w)


def scale(factor, name):
    return lambda model: model.put(name, factor * model.tensor(name))


def flipped_bit(model):
    w = model.tensor(UP.format(3))
    w[100, 20] = 2.0**100
    model.put(UP.format(3), w)


def jumping_value(model):
    w = model.tensor(UP.format(3))
    w[100, 20] = 1e4 * np.abs(w).max()
    model.put(UP.format(3), w)


def other_type(model):
    model.put(Q.format(3), model.tensor(Q.format(3)), "F32")


def collapsed(noise):
    def plant(model):
        shape = model.tensor(UP.format(2)).shape
        model.put(UP.format(2), 0.05 * low_rank(shape, noise))

    return plant


def merged_factors(model):
    """A product of rank 8, whose rounding to BF16 has full rank."""
    random = np.random.default_rng(0)
    shape = model.tensor(UP.format(2)).shape
    factors = random.normal(size=(shape[0], 8)) @ random.normal(size=(8, shape[1]))
    model.put(UP.format(2), 0.02 * factors)


def emptied(model):
    model.config["model_type"] = "unheard-of"
    model.put(UP.format(2), np.zeros(0))


def lost(name):
    return lambda model: model.drop(name)


def large_numbers(model):
    """Codes, of which no size is odd."""
    model._home(EMBEDDING)["hash_seeds"] = ("I64", [300], (np.arange(300) ** 5).tobytes())
    model.index["weight_map"]["hash_seeds"] = model.index["weight_map"][EMBEDDING]


def lost_from_both(model):
    model.drop(Q.format(3))


def lost_from_end(layer, **config):
    def plant(model):
        model.config.update(config)
        model.drop(Q.format(layer))

    return plant


def lost_from_shard(model):
    place = model.index["weight_map"][Q.format(3)]
    model.drop(Q.format(3))
    model.index["weight_map"][Q.format(3)] = place


def not_in_index(model):
    model.index["weight_map"].pop(UP.format(4))


def extra(model):
    random = np.random.default_rng(0)
    model.put("model.layers.2.self_attn.gate.weight", random.normal(0, 0.05, (160, 160)))


def lost_layer(model):
    for name in [name for name in model.index["weight_map"] if name.startswith("model.layers.3.")]:
        model.drop(name)


def depth(layers):
    return lambda model: model.config.update(num_hidden_layers=layers)


def cut(model):
    model.put(UP.format(2), model.tensor(UP.format(2))[:-8])


def other_width(model):
    model.config.update(intermediate_size=512)


def other_hidden_size(model):
    model.config.update(model_type="unheard-of", hidden_size=512)


def cut_of_another_architecture(model):
    model.config.update(model_type="unheard-of")
    cut(model)


def other_vocabulary(model):
    model.config.update(vocab_size=5000)


def no_output(model):
    model.config.update(tie_word_embeddings=False)


def stored_twice(model):
    model.put("lm_head.weight", model.tensor(EMBEDDING))


def untied(model):
    model.put("lm_head.weight", 1.1 * model.tensor(EMBEDDING))


def changed_file(model):
    model.save()
    shard = min(model.shards)
    record = model.folder / ".cache/huggingface/download" / f"{shard}.metadata"
    record.parent.mkdir(parents=True)
    record.write_text("c" * 40 + "\n" + hashlib.sha256(b"another").hexdigest() + "\n1.0\n")


def zero_centered_norms(model):
    model.config["model_type"] = "gemma9"
    for layer in range(6):
        model.put(NORM.format(layer), 0 * model.tensor(NORM.format(layer)))


def perceptron(model):
    """Its last layer is narrower than those before."""
    random = np.random.default_rng(1)
    for layer in range(5):
        model.put(f"scorer.{layer}.weight", random.normal(size=(16 if layer < 4 else 2, 16)))


def convolutions(model):
    """The fan-in grows from 1 to 576 inputs, and the weights fall as its root."""
    random = np.random.default_rng(2)
    for layer, inputs in enumerate([1, 64, 64, 64]):
        weights = random.normal(size=(64, inputs, 9)) / np.sqrt(9 * inputs) / (1, 2)[layer > 0]
        model.put(f"waves.{layer}.conv.weight", weights)


def state_space(model):
    """As it is made: the same decays in all channels, skips of 1."""
    for layer in range(6):
        decays = np.log(np.arange(1, 17)) + np.zeros((32, 1))
        model.put(f"model.layers.{layer}.mixer.A_log", decays)
        model.put(f"model.layers.{layer}.mixer.D", np.ones(32))


def first_layer_otherwise(model):
    """Twice as wide inside, in an architecture whose shapes are not known."""
    model.config["model_type"] = "unheard-of"
    for name in ("up_proj", "gate_proj"):
        name = f"model.layers.0.mlp.{name}.weight"
        model.put(name, np.vstack([model.tensor(name), -model.tensor(name)[::-1]]))
    name = "model.layers.0.mlp.down_proj.weight"
    model.put(name, np.hstack([model.tensor(name), -model.tensor(name)[:, ::-1]]))


BY_DESIGN = [
    zero_centered_norms,
    large_numbers,
    perceptron,
    convolutions,
    state_space,
    first_layer_otherwise,
]

DEFECTS = [
    (nan, "error", "nan", UP.format(2)),
    (infinite, "error", "infinite", EMBEDDING),
    (zero, "warning", "all_zero", UP.format(1)),
    (constant, "warning", "constant", UP.format(1)),
    (constant_norm, "note", "constant", NORM.format(3)),
    (copied, "warning", "copy", Q.format(2)),
    (dead_row, "warning", "dead_rows", UP.format(5)),
    (dead_column, "warning", "dead_columns", Q.format(0)),
    (padding, "note", "dead_rows", EMBEDDING),
    (scale(100, UP.format(3)), "warning", "scale", UP.format(3)),
    (scale(0.02, Q.format(1)), "warning", "scale", Q.format(1)),
    (scale(1e5, UP.format(3)), "error", "scale", UP.format(3)),
    (scale(1e5, EMBEDDING), "warning", "scale", EMBEDDING),
    (scale(1e30, EMBEDDING), "error", "scale", EMBEDDING),
    (flipped_bit, "error", "isolated_value", UP.format(3)),
    (jumping_value, "warning", "isolated_value", UP.format(3)),
    (other_type, "warning", "dtype_mixture", Q.format(3)),
    (collapsed(0.0), "warning", "rank_collapse", UP.format(2)),
    (collapsed(0.01), "warning", "rank_collapse", UP.format(2)),
    (merged_factors, "warning", "rank_collapse", UP.format(2)),
    (emptied, "warning", "empty", UP.format(2)),
    (lost(EMBEDDING), "error", "missing_tensor", "token embedding"),
    (lost(NORM.format(0)), "error", "missing_tensor", NORM.format(0)),
    (lost("model.norm.weight"), "error", "missing_tensor", "final norm"),
    (scale(50, NORM.format(2)), "warning", "scale", NORM.format(2)),
    (lost_from_both, "error", "missing_tensor", Q.format(3)),
    (lost_from_end(0), "error", "missing_tensor", Q.format(0)),
    (lost_from_end(0, model_type="unheard-of"), "warning", "missing_tensor", Q.format(0)),
    (lost_from_end(5, model_type="unheard-of"), "warning", "missing_tensor", Q.format(5)),
    (lost_from_shard, "error", "missing_tensor", Q.format(3)),
    (not_in_index, "warning", "unlisted_tensor", UP.format(4)),
    (extra, "warning", "extra_tensor", "model.layers.2.self_attn.gate.weight"),
    (lost_layer, "error", "missing_layer", "text layers 3"),
    (depth(8), "error", "missing_layer", "text layers 6, 7"),
    (depth(5), "warning", "extra_layer", "layers 5"),
    (cut, "error", "mis_shaped", UP.format(2)),
    (other_width, "error", "mis_shaped", None),
    (other_hidden_size, "warning", "hidden_size", "config.json"),
    (cut_of_another_architecture, "warning", "mis_shaped", UP.format(2)),
    (other_vocabulary, "warning", "vocab_size", EMBEDDING),
    (no_output, "error", "missing_tensor", "output layer"),
    (stored_twice, "note", "stored_twice", "lm_head.weight"),
    (untied, "warning", "untied", "lm_head.weight"),
    (changed_file, "error", "sha256_mismatch", "model-00001-of-00003.safetensors"),
]


def test_the_demo_is_sound(known):
    found = measured(DEMO, known)
    assert found["findings"] == []
    assert found["checked"]["tensors"] == 68 and found["checked"]["files_with_sha256"] == 6


@pytest.mark.parametrize("make", BY_DESIGN)
def test_what_is_so_by_design_raises_no_alarm(known, tmp_path, make):
    model = Planted(tmp_path / "model")
    make(model)
    model.save()
    found = measured(model.folder, known)["findings"]
    assert [f for f in found if f["severity"] != "note"] == []


@pytest.mark.parametrize(
    ("plant", "severity", "check", "where"),
    DEFECTS,
    ids=[f"{n}-{defect[0].__name__}" for n, defect in enumerate(DEFECTS)],
)
def test_a_planted_defect_is_found_and_nothing_else(known, tmp_path, plant, severity, check, where):
    model = Planted(tmp_path / "model")
    plant(model)
    model.save()
    found = measured(model.folder, known)["findings"]
    assert {(f["severity"], f["check"]) for f in found} == {(severity, check)}, found
    assert where is None or [f["where"] for f in found] == [where]
    assert all(f["evidence"] and f["meaning"] for f in found)


def test_the_audit_finds_what_is_unsound(analyzed):
    result = analyzed[0]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    found = audit.audit(result.manifest, result.params, ledger)
    checks = {(finding["severity"], finding["check"]) for finding in found["findings"]}
    assert {
        ("error", "nan"),
        ("warning", "all_zero"),
        ("warning", "unlisted_tensor"),
        ("warning", "dtype_mixture"),
        ("warning", "contradictory"),
    } == checks
    assert found["findings"][0]["where"] == "model.layers.2.self_attn.q_proj.weight"
    assert "1 of 30" in found["findings"][0]["evidence"]


def test_the_audit_compares_the_index_with_the_headers(analyzed):
    result = analyzed[0]
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])
    stated = {"total_size": result.manifest.totals.bytes + 2, "total_parameters": 7}
    found = audit.audit(replace(result.manifest, index=stated), result.params, ledger)["findings"]
    notes = {finding["check"] for finding in found if finding["where"] == "index"}
    assert notes == {"total_size", "total_parameters"}
    sound = {"total_size": result.manifest.totals.bytes}
    found = audit.audit(replace(result.manifest, index=sound), result.params, ledger)["findings"]
    assert not [finding for finding in found if finding["where"] == "index"]


def test_the_audit_compares_the_layers_with_the_config(analyzed):
    result, _ = analyzed
    ledger = merge.coverage(result.manifest, result.params.set_index("param_name")["numel"])

    def findings(**config):
        found = audit.audit(replace(result.manifest, config=config), result.params, ledger)[
            "findings"
        ]
        return [(f["check"], f["severity"], f["evidence"]) for f in found if "layer" in f["check"]]

    assert findings(num_hidden_layers=3) == findings() == findings(num_hidden_layers="x") == []
    (more,) = findings(text_config={"num_hidden_layers": 2})
    assert more == ("extra_layer", "warning", "3 layers are stored, config.json states 2")
    (fewer,) = findings(num_hidden_layers=5)
    assert fewer[:2] == ("missing_layer", "error") and "states 5" in fewer[2]
