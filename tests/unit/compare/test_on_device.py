"""Pairs on a device give the numbers of the CPU: here on torch's CPU device."""

import numpy as np
import pytest

from blockresearch.compare import products
from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.folder import compare_checkpoints
from tests.cases import comparisons, variants
from tests.cases.checkpoints import brain
from tests.tools.devices import differences

torch = pytest.importorskip("torch")

NOW = "2026-01-01T00:00:00Z"

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1}


@pytest.fixture(autouse=True)
def no_matrix_is_small(monkeypatch):
    monkeypatch.setattr(products, "SMALL_ELEMENTS", 0)


@pytest.fixture
def compare(tmp_path):
    """A comparison of two checkpoints on the CPU and on a device."""

    def run(base, other, config=CONFIG, tokens=(None, None)):
        sides = [
            local_checkpoint(
                str(comparisons.write(tmp_path / name, own, config, tokens=texts)), NOW
            )
            for name, own, texts in zip(("base", "other"), (base, other), tokens, strict=True)
        ]
        return [compare_checkpoints(*sides, 2, device) for device in ("cpu", "torch-cpu")]

    return run


def assert_equal(expected, found):
    assert not differences(found.differences, expected.differences)
    for name in ("pairs", "heads", "lineage"):
        assert getattr(found, name).equals(getattr(expected, name))
    assert_same_subspaces(expected.subspaces, found.subspaces)


def assert_same_subspaces(expected, found):
    """Products of the CPU are in float32, and an angle of 0 is the root of what rounding leaves."""
    assert list(found) == list(expected)
    for name in found.select_dtypes("floating"):
        a, b = (table[name].to_numpy(float, na_value=np.nan) for table in (expected, found))
        bound = 0.1 if "angle" in name else 1e-5 * max(1, np.nan_to_num(a).max(initial=0))
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=bound, err_msg=name)
    for name in found.filter(like="intruders"):
        assert found[name].equals(expected[name]), name


def matrices(random, dtype):
    """A wide, a tall and a square matrix, one of rank 12, and one whose last rows are zero."""
    shapes = {"up_proj": (320, 96), "down_proj": (96, 320), "fc1": (288, 288)}
    found = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    found["o_proj"] = random.standard_normal((192, 12)) @ random.standard_normal((12, 128))
    found["q_proj"] = np.pad(random.standard_normal((150, 120)), ((0, 42), (0, 0)))
    return {
        f"model.layers.0.{'self_attn' if name in ('q_proj', 'o_proj') else 'mlp'}.{name}.weight": (
            brain(w) if dtype == "BF16" else w.astype(dtype)
        )
        for name, w in found.items()
    }


@pytest.mark.parametrize("dtypes", [("BF16", "BF16"), ("f4", "BF16"), ("f2", "f4"), ("f8", "f8")])
def test_shapes_and_types_have_the_numbers_of_the_cpu(compare, dtypes, monkeypatch):
    monkeypatch.setattr("blockresearch.weights.on_device.PANEL_ELEMENTS", 7000)
    random, other = np.random.default_rng(0), {}
    base = matrices(random, dtypes[0])
    for name, w in base.items():
        w = comparisons.values(w)
        noise = random.standard_normal(w.shape) * (np.abs(w).sum(axis=1, keepdims=True) > 0)
        changed = w + 0.05 * noise
        other[name] = brain(changed) if dtypes[1] == "BF16" else changed.astype(dtypes[1])
    expected, found = compare(base, other)
    assert len(found.subspaces) == 5 and found.differences["delta_stable_rank"].notna().all()
    assert_equal(expected, found)


@pytest.mark.parametrize("change", ["in_int4", "rotated", "low_rank", "abliterated"])
def test_kinds_of_changes_have_the_numbers_of_the_cpu(compare, change):
    tensors, config = comparisons.base()
    tensors = variants.trained(tensors)
    assert_equal(*compare(tensors, getattr(variants, change)(tensors), config))


def test_chosen_rows_are_copied(compare):
    tensors, config = comparisons.base()
    tables = ("model.embed_tokens.weight", "lm_head.weight")
    texts = [f"t{number}" for number in range(64)]
    tuned = variants.tuned(tensors)
    for name in tables:
        tuned[name] = brain(1.01 * comparisons.values(tensors[name])[::-1])
    expected, found = compare(tensors, tuned, config, (texts, texts[::-1]))
    assert found.differences["relative_change"].max() < 0.1
    assert_equal(expected, found)


def test_a_full_device_falls_back_to_the_cpu(compare, monkeypatch, caplog):
    def full(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr("blockresearch.compare.on_device._leading", full)
    w = np.random.default_rng(0).standard_normal((128, 64))
    name = "model.layers.0.mlp.up_proj.weight"
    with caplog.at_level("WARNING"):
        expected, found = compare({name: brain(w)}, {name: brain(1.01 * w)})
    assert found.subspaces.equals(expected.subspaces) and len(found.subspaces) == 1
    assert f'"{name}" on torch-cpu: no memory: using the CPU' in caplog.text
