"""Plans, executed by the tools that they are for, and compared with what they predict."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

from blockresearch.circuits.expert_rows import expert_rows
from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from blockresearch.files import write_text
from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings as Measured
from blockresearch.plans.adapter import Settings as Adapter
from blockresearch.plans.adapter import adapter_plan
from blockresearch.plans.engines.auto_round import SETTINGS
from blockresearch.plans.engines.llama_cpp import gguf_name
from blockresearch.plans.experts import Settings as Experts
from blockresearch.plans.experts import experts_plan
from blockresearch.plans.factors import write_factors
from blockresearch.plans.matrices import linear_matrices
from blockresearch.plans.merge import merge_plan, shared_matrices
from blockresearch.plans.quantization import Settings, quantization_plan
from blockresearch.plans.sparsity import Settings as Sparsity
from blockresearch.plans.sparsity import sparsity_plan
from blockresearch.plans.task_vectors import task_vectors
from blockresearch.plans.training import Settings as Training
from blockresearch.plans.training import Tokens, training_plan
from blockresearch.safetensors.reader import read_bytes, read_header
from blockresearch.tables.io import frame
from tests.cases import comparisons
from tests.cases.checkpoints import Raw, brain
from tests.circuits.models import smollm2
from tests.conftest import ROOT
from tests.plans import mixtures
from tests.unit.plans.examples import SHAPES, size, tables

PYTHON = ROOT / ".venv-plans/bin/python"
DATE = "2026-01-01T00:00:00Z"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="make slow installs the tools of the plans"),
]


def tool(*arguments):
    """The result of a function of `tools`, run by the Python of the tools."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    call = [PYTHON, ROOT / "tests/plans/tools.py", *arguments]
    done = subprocess.run(call, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def checkpoint(folder):
    """A model in float32 with 128 dividing all columns, as INT4 in groups requires."""
    random = np.random.default_rng(0)
    shapes = {"model.embed_tokens": (300, 256), "lm_head": (300, 256)}
    shapes |= {
        f"model.layers.{n}.{name}": shape for n in range(2) for name, shape in SHAPES.items()
    }
    tensors = {
        f"{name}.weight": (random.standard_t(5, shape) * 0.02).astype(np.float32)
        for name, shape in shapes.items()
    }
    return comparisons.write(folder, tensors, {"model_type": "qwen3", "num_hidden_layers": 2})


def execute(base, tmp_path, **settings):
    """The plan of a checkpoint, the bytes that the tool wrote, and SQNR by module, measured."""
    found = analyze_folder(str(base), Measured(1e-6, "none"), 2, DATE)
    wanted = Settings("compressed-tensors", **settings)
    plan = quantization_plan(found.params, found.matrices, size(found.params), wanted)
    for name, text in plan.files.items():
        write_text(text, tmp_path / name)
    out = tmp_path / "quantized"
    written = tool("quantize", base, tmp_path / "compressed_tensors.json", out)
    sides = [local_checkpoint(str(folder), DATE) for folder in (base, out)]
    table = compare_checkpoints(*sides, 2).differences
    names = table["param_name"].str.removesuffix(".weight")
    return plan.record, written, dict(zip(names, table["sqnr_db"], strict=True))


def deviations(record, measured):
    """Largest difference of measured and predicted SQNR, dB, by format."""
    result = {}
    for each in record["matrices"]:
        if each["sqnr_db"] is not None:
            apart = abs(measured[each["name"]] - each["sqnr_db"])
            result[each["format"]] = max(result.get(each["format"], 0.0), apart)
    return result


def demo(folder):
    return ROOT / "resources/demo"


@pytest.mark.parametrize("model", [demo, smollm2])
def test_a_model_loses_what_the_plan_predicts(tmp_path, model):
    base = tmp_path / "base"
    tool("widen", model(tmp_path), base)
    record, written, measured = execute(base, tmp_path, bits=6, formats=("INT8", "NVFP4"))
    assert written == record["predicted"]["bytes"]
    found = deviations(record, measured)
    assert found["INT8"] < 0.01
    # Matrices of a group share the scale of the matrix.
    assert found["NVFP4"] < 0.2


def test_integers_lose_what_the_plan_predicts(tmp_path):
    base = checkpoint(tmp_path / "base")
    formats = ("INT4", "INT4_ASYM", "FP8")
    record, written, measured = execute(
        base, tmp_path, bits=7.6, formats=formats, protect=("model.layers.0.mlp.down_proj",)
    )
    assert written == record["predicted"]["bytes"]
    found = deviations(record, measured)
    assert len(found) >= 2
    assert max(found.values()) < 0.01
    targets = tool("recipe", tmp_path / "llmcompressor_recipe.yaml")
    config = json.loads((tmp_path / "compressed_tensors.json").read_text())
    assert targets == {n: group["targets"] for n, group in config["config_groups"].items()}


def test_torchao_and_gguf_read_the_same(tmp_path):
    params, matrices = tables()
    made = quantization_plan(params, matrices, size(params), Settings("torchao", bits=6))
    write_text(made.files["fqn_to_config.json"], tmp_path / "fqn.json")
    assert set(tool("torchao_types", tmp_path / "fqn.json").values()) <= {
        "Int8WeightOnlyConfig",
        "Int4WeightOnlyConfig",
        "Float8WeightOnlyConfig",
    }
    known = linear_matrices(params, matrices)
    names = tool("gguf_names", "3", *(matrix.name for matrix in known))
    assert {f"{name}.weight" for name in names.values()} == {gguf_name(each) for each in known}


def test_peft_selects_and_trains_what_the_plan_names(tmp_path):
    demo = ROOT / "resources/demo"
    found = analyze_folder(str(demo), Measured(1e-6), 2, DATE)
    tokens = Tokens("model.embed_tokens.weight", None, True)
    made = training_plan(found.params, found.matrices, "demo", tokens, Training("alpha", 0.3))
    assert made.record["kappa_targets"] == tool("kappa_targets", demo)
    write_text(made.files["peft_target_modules.json"], tmp_path / "targets.json")
    trained = [name for names in made.record["trained"].values() for name in names]
    assert tool("trainable", demo, tmp_path / "targets.json") == sorted(trained)


def test_axolotl_trains_what_the_plan_names(tmp_path):
    demo = ROOT / "resources/demo"
    found = analyze_folder(str(demo), Measured(1e-6), 2, DATE)
    tokens = Tokens("model.embed_tokens.weight", None, True)
    made = training_plan(found.params, found.matrices, "demo", tokens, Training())
    # Spectrum trains the embedding as well.
    wanted = {
        "model.embed_tokens",
        *(n for names in made.record["trained"].values() for n in names),
    }
    for name in ("spectrum.yaml", "snr_results_demo.json"):
        write_text(made.files[name], tmp_path / name)
        assert set(tool("unfrozen", demo, tmp_path / name)) == wanted


def test_auto_round_resolves_each_matrix(tmp_path):
    demo = ROOT / "resources/demo"
    found = analyze_folder(str(demo), Measured(1e-6, "none"), 2, DATE)
    settings = Settings("auto-round", bits=10, protect=("first_layer",))
    made = quantization_plan(found.params, found.matrices, size(found.params), settings)
    write_text(made.files["layer_config.json"], tmp_path / "layer_config.json")
    resolved = tool("auto_round_types", demo, tmp_path / "layer_config.json")
    for each in made.record["matrices"]:
        assert SETTINGS[each["format"]].items() <= resolved[each["name"]].items()
    assert {each["format"] for each in made.record["matrices"]} > {"kept"}


def stored_tensors(folder):
    """The tensors of a checkpoint in BF16 by name."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        for entry in read_header(path).tensors:
            codes = read_bytes(path, entry.begin, entry.end).view(np.uint16)
            tensors[entry.name] = Raw(entry.dtype, codes.reshape(entry.shape))
    return tensors


def spread(random, w):
    """Noise as large as a matrix."""
    return random.normal(0, np.sqrt(np.mean(w**2)), w.shape)


def edited(source, folder, change, seed=1):
    """A copy of a checkpoint whose matrices in the layers are changed by `change`."""
    random, tensors = np.random.default_rng(seed), stored_tensors(source)
    for name, tensor in tensors.items():
        if ".layers." in name and tensor.codes.ndim == 2:
            w = comparisons.values(tensor)
            tensors[name] = brain(w + change(random, w))
    return comparisons.write(folder, tensors, json.loads((source / "config.json").read_text()))


def tuned_demo(folder, seed=0):
    """A copy of the demo whose matrices changed by 5 %, of layer n in n + 3 directions, and one
    norm."""
    demo = ROOT / "resources/demo"
    tensors = stored_tensors(demo)
    changed = {}
    for layer in (None, *range(6)):
        start = "model.embed" if layer is None else f"model.layers.{layer}."
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(start)}
        rank = 3 + (layer or 0)
        changed |= comparisons.perturbed(own, rank, 0.05, 10 * seed + (layer or 9))
    changed["model.norm.weight"] = brain(1.1 * comparisons.values(tensors["model.norm.weight"]))
    config = json.loads((demo / "config.json").read_text())
    return comparisons.write(folder, tensors | changed, config)


@pytest.mark.parametrize(("dtype", "within"), [("F32", 1e-5), ("BF16", 1e-2)])
def test_peft_merges_what_the_adapter_plan_predicts(tmp_path, dtype, within):
    tuned, demo = tuned_demo(tmp_path / "tuned"), ROOT / "resources/demo"
    sides = [local_checkpoint(str(folder), DATE) for folder in (demo, tuned)]
    found = compare_checkpoints(*sides, 2)
    settings = Adapter(energy=0.9, max_rank=5, save=("tokens", "norms"), factors=dtype)
    plan, adapter = adapter_plan(found.pairs, found.differences, sides[0].manifest, settings)
    files = tmp_path / "adapter"
    write_text(plan.files["adapter_config.json"], files / "adapter_config.json")
    written = write_factors(adapter, *sides, dtype, files / "adapter_model.safetensors")
    assert {each["rank"] for each in plan.record["modules"]} == {3, 4, 5}
    assert tool("merged", demo, files, tmp_path / "merged") == len(plan.record["modules"]) == 42
    both = [sides[1], local_checkpoint(str(tmp_path / "merged"), DATE)]
    left = compare_checkpoints(*both, 2).differences.set_index("param_name")["delta_norm"]
    for each in plan.record["modules"]:
        measured = left.pop(f"{each['name']}.weight") / each["delta_norm"]
        assert measured == pytest.approx(written[each["name"]], rel=1e-5)
        assert measured == pytest.approx(each["error"], rel=within)
    # Embedding and norms are those of the fine-tune.
    assert (left == 0).all()


def merged(tmp_path, *others):
    """The plan of the demo and of fine-tunes, its task vectors, and ‖Δ‖ of what mergekit made."""
    folders = [ROOT / "resources/demo", *others]
    base, *tuned = (local_checkpoint(str(folder), DATE) for folder in folders)
    tables = [compare_checkpoints(base, other, 2) for other in tuned]
    shared = shared_matrices([(table.pairs, table.differences) for table in tables])
    vectors = list(task_vectors(shared, base, tuned))
    plan = merge_plan(base.manifest, [other.manifest for other in tuned], vectors)
    write_text(plan.files["mergekit.yaml"], tmp_path / "mergekit.yaml")
    out = tmp_path / "merged"
    assert tool("mergekit", tmp_path / "mergekit.yaml", out) == plan.record["method"]
    found = compare_checkpoints(base, local_checkpoint(str(out), DATE), 2).differences
    return plan.record, vectors, found.set_index("param_name")["delta_norm"]


def test_mergekit_adds_the_weighted_changes(tmp_path):
    tuned = (tuned_demo(tmp_path / f"tuned{n}", n) for n in (1, 2))
    record, vectors, measured = merged(tmp_path, *tuned)
    assert record["method"] == "task_arithmetic"
    weights = [model["weights"] for model in record["models"]]
    for each in vectors:
        part = next((name for name in ("self_attn", "mlp") if name in each.name), "other")
        one, other = (own[part] for own in weights)
        energy = one**2 * each.energies[0] + other**2 * each.energies[1]
        energy += 2 * one * other * each.agreements[0].inner
        # The merge is rounded to BF16.
        assert measured[each.name] == pytest.approx(np.sqrt(energy), rel=5e-3)


def test_mergekit_takes_the_mean_of_what_is_alike(tmp_path):
    first = tuned_demo(tmp_path / "first")
    second = edited(first, tmp_path / "second", lambda random, w: 0.01 * spread(random, w))
    record, vectors, measured = merged(tmp_path, first, second)
    assert record["method"] == "linear"
    for each in vectors:
        energy = sum(each.energies.values()) + 2 * each.agreements[0].inner
        assert measured[each.name] == pytest.approx(np.sqrt(energy) / 2, rel=5e-3)


def test_mergekit_trims_and_elects_signs_as_ties_says(tmp_path):
    demo = ROOT / "resources/demo"
    sparse = [
        edited(
            demo,
            tmp_path / f"sparse{n}",
            lambda random, w: (random.random(w.shape) < 0.3) * 0.5 * spread(random, w) ** 3 / 3e-4,
            n,
        )
        for n in (1, 2)
    ]
    record, vectors, measured = merged(tmp_path, *sparse)
    assert record["method"] == "ties"
    stored = [stored_tensors(folder) for folder in (demo, *sparse)]
    for each in vectors:
        base, *others = (comparisons.values(own[each.name]).astype(float) for own in stored)
        part = next((name for name in ("self_attn", "mlp") if name in each.name), "other")
        found = []
        for other, model in zip(others, record["models"], strict=True):
            delta = other - base
            count = int(round(model["density"], 3) * delta.size)
            least = np.sort(np.abs(delta).reshape(-1))[-count]
            found.append(np.where(np.abs(delta) >= least, delta, 0) * model["weights"][part])
        wins = np.sign(sum(found))
        weights = [model["weights"][part] for model in record["models"]]
        agree = [np.sign(own) == wins for own in found]
        total = sum(own * each for own, each in zip(found, agree, strict=True))
        share = sum(w * each for w, each in zip(weights, agree, strict=True))
        expected = np.linalg.norm(total / np.where(share == 0, 1, share))
        assert measured[each.name] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("is_stacked", [False, True])
def test_peft_merges_factors_of_experts(tmp_path, is_stacked):
    random, tensors = np.random.default_rng(5), mixtures.mixture()
    tuned = {}
    for name, w in tensors.items():
        is_linear = w.ndim == 2 and "_proj" in name
        rank = 3 if "up_proj" in name else 2
        change = comparisons.planted(random, *w.shape, rank) if is_linear else 0
        tuned[name] = (w + 0.3 * change).astype(np.float32)
    form = mixtures.stacked if is_stacked else dict
    folders = [
        comparisons.write(tmp_path / name, form(own), mixtures.CONFIG)
        for name, own in (("base", tensors), ("tuned", tuned))
    ]
    sides = [local_checkpoint(str(folder), DATE) for folder in folders]
    found = compare_checkpoints(*sides, 2)
    settings = Adapter(energy=1, max_rank=2, factors="F32")
    plan, adapter = adapter_plan(found.pairs, found.differences, sides[0].manifest, settings)
    assert [each["reason"] for each in plan.record["not_kept"]] == []
    files = tmp_path / "adapter"
    write_text(plan.files["adapter_config.json"], files / "adapter_config.json")
    written = write_factors(adapter, *sides, "F32", files / "adapter_model.safetensors")
    config = json.loads(plan.files["adapter_config.json"])
    assert len(config["target_parameters"]) == 4 and len(config["target_modules"]) == 8
    out = tmp_path / "merged"
    assert tool("merged", folders[0], files, out) == len(plan.record["modules"])
    both = [sides[1], local_checkpoint(str(out), DATE)]
    table = compare_checkpoints(*both, 2).differences
    left = table.groupby([peft_name(row) for row in table.to_dict("records")])["delta_norm"].agg(
        lambda norms: np.sqrt(np.square(norms).sum())
    )
    for each in plan.record["modules"]:
        measured = left.pop(each["name"]) / each["delta_norm"]
        assert measured == pytest.approx(each["error"], abs=2e-6)
        assert measured == pytest.approx(written[each["name"]], abs=2e-6)
    assert (left == 0).all()


def peft_name(row):
    """The module, or the parameter of all experts, that a row of differences is part of."""
    name = row["param_name"].removesuffix(".weight")
    name = re.sub(r"\.experts\.\d+\.", ".experts.", name)
    return re.sub(r"experts\.(gate|up)_proj", "experts.gate_up_proj", name)


@pytest.mark.parametrize("is_stacked", [False, True])
def test_the_pruner_drops_what_the_plan_names(tmp_path, is_stacked):
    tensors = mixtures.mixture()
    own = mixtures.stacked(tensors) if is_stacked else tensors
    base = comparisons.write(tmp_path / "base", own, mixtures.CONFIG, shards=2)
    side = local_checkpoint(str(base), DATE)
    rows = list(expert_rows(side.manifest, side.files, [("text", n) for n in range(4)]))
    experts = frame([row for each in rows for row in each.experts], "experts")
    pairs = frame([row for each in rows for row in each.pairs], "expert_pairs")
    made = experts_plan(side.manifest, experts, pairs, Experts(0.25))
    write_text(made.files["expert_pruner.json"], tmp_path / "expert_pruner.json")
    out = tmp_path / "pruned"
    written, wrong = tool("prune_experts", base, tmp_path / "expert_pruner.json", out)
    assert written == made.record["predicted"]["bytes"] and not wrong
    dropped = [(each["layer"], each["expert"]) for each in made.record["dropped"]]
    assert {(0, 2), (0, 9)} < set(dropped) and len(dropped) == 6
    read = {}
    for path in out.glob("*.safetensors"):
        for entry in read_header(path).tensors:
            values = read_bytes(path, entry.begin, entry.end).view(np.float32)
            read[entry.name] = values.reshape(entry.shape)
    for layer in range(mixtures.LAYERS):
        kept = [n for n in range(mixtures.EXPERTS) if (layer, n) not in dropped]
        router = mixtures.router_name(layer)
        assert np.array_equal(read[router], tensors[router][kept])
        for place, number in enumerate(kept):
            down = tensors[mixtures.expert_name(layer, number, "down_proj")]
            name = f"model.layers.{layer}.mlp.experts.down_proj"
            single = mixtures.expert_name(layer, place, "down_proj")
            assert np.array_equal(read[name][place] if is_stacked else read[single], down)


def test_llmcompressor_reads_the_ratios_of_layers(tmp_path):
    made = sparsity_plan(*tables(), Sparsity())
    for name, text in made.files.items():
        write_text(text, tmp_path / name)
        kind, ratios = tool("pruning", tmp_path / name)
        assert kind.lower().startswith(name.partition("_")[0])
        assert ratios == [each["sparsity"] for each in made.record["layers"]]
