"""Plans, executed by the tools that they are for, and compared with what they predict."""

import json
import os
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


def test_the_demo_loses_what_the_plan_predicts(tmp_path):
    base = tmp_path / "base"
    tool("widen", ROOT / "resources/demo", base)
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


def tuned_demo(folder, seed=0):
    """A copy of the demo whose matrices changed by 5 %, of layer n in n + 3 directions, and one
    norm."""
    demo = ROOT / "resources/demo"
    tensors = {}
    for path in sorted(demo.glob("*.safetensors")):
        for entry in read_header(path).tensors:
            codes = read_bytes(path, entry.begin, entry.end).view(np.uint16)
            tensors[entry.name] = Raw(entry.dtype, codes.reshape(entry.shape))
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


def test_mergekit_adds_the_weighted_changes(tmp_path):
    folders = [ROOT / "resources/demo", *(tuned_demo(tmp_path / f"tuned{n}", n) for n in (1, 2))]
    base, *others = (local_checkpoint(str(folder), DATE) for folder in folders)
    tables = [compare_checkpoints(base, other, 2) for other in others]
    shared = shared_matrices([(table.pairs, table.differences) for table in tables])
    vectors = list(task_vectors(shared, base, others))
    plan = merge_plan(base.manifest, [other.manifest for other in others], vectors)
    write_text(plan.files["mergekit.yaml"], tmp_path / "mergekit.yaml")
    merged = tmp_path / "merged"
    assert tool("mergekit", tmp_path / "mergekit.yaml", merged) == "task_arithmetic"
    found = compare_checkpoints(base, local_checkpoint(str(merged), DATE), 2).differences
    measured = found.set_index("param_name")["delta_norm"]
    weights = [model["weights"] for model in plan.record["models"]]
    for each in vectors:
        part = next((name for name in ("self_attn", "mlp") if name in each.name), "other")
        one, other = (own[part] for own in weights)
        energy = one**2 * each.energies[0] + other**2 * each.energies[1]
        energy += 2 * one * other * each.agreements[0].inner
        # The merge is rounded to BF16.
        assert measured[each.name] == pytest.approx(np.sqrt(energy), rel=5e-3)


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
