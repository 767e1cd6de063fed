"""Which tensors are factors of a change, and why there is none otherwise.

Names and shapes of other methods are those that peft writes, by `tests/golden/adapters.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from blockresearch.naming.roles import classify
from blockresearch.weights.adapters.recognize import ASSUMED, recognize
from blockresearch.weights.adapters.scaling import Statements
from blockresearch.weights.stored import Stored

DATA = np.load(Path(__file__).parents[3] / "data" / "adapters.npz")
OTHERS = json.loads(DATA["others"].tobytes())
Q = "base_model.model.model.layers.0.self_attn.q_proj"
PEFT = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}


def stored(shapes, dtype="F32", shard="adapter_model.safetensors"):
    return [Stored(name, shard, dtype, tuple(shape), 0, 0) for name, shape in shapes.items()]


def recognized(shapes, adapter=None, config=None, **more):
    tensors = stored(shapes, **more)
    roles = classify([(t.name, t.shape, t.dtype) for t in tensors], {})
    return recognize(tensors, roles, Statements(adapter, config or {}, {}))


def factors(module, a=(2, 8), b=(12, 2), words=("lora_A.weight", "lora_B.weight")):
    return {f"{module}.{words[0]}": a, f"{module}.{words[1]}": b}


@pytest.mark.parametrize("method", OTHERS)
def test_other_methods_have_a_reason_and_a_place(method):
    shapes, about = OTHERS[method]["shapes"], {"peft_type": OTHERS[method]["peft_type"]}
    found = recognized(shapes, about)
    assert not found.changes
    roles = classify([(name, tuple(shape), "F32") for name, shape in shapes.items()], {})
    for name, role in roles.items():
        # Parts that modules share lie elsewhere.
        module = name.removeprefix("base_model.model.")
        assert role.component == "adapter", name
        if module.startswith("layers."):
            assert role.block_type == module.split(".")[3] and role.layer_index == int(module[7])
            assert f"the change that {method} makes is not computed" in found.notes[name]


def test_each_adapter_of_a_module_has_its_change():
    shapes = factors(Q) | {f"{Q}.lora_A.b.weight": (4, 8), f"{Q}.lora_B.b.weight": (12, 4)}
    found = recognized(shapes, None, {"b_lora": {"r": 4, "lora_alpha": 8}})
    assert list(found.changes) == [f"{Q}.lora_B.b.weight"]
    assert found.changes[f"{Q}.lora_B.b.weight"].scale == 2
    assert found.notes == dict.fromkeys(factors(Q), "no delta: nothing states its scale")


@pytest.mark.parametrize(
    ("shapes", "adapter", "word"),
    [
        (factors(Q), PEFT | {"r": 3}, "config gives the rank 3, stored is 2"),
        (factors(Q, b=(12, 3)), PEFT, "no rank in common"),
        (factors(Q, a=(8,)), PEFT, "not matrices"),
        (factors(Q, a=(0, 8), b=(12, 0)), PEFT, "no elements"),
        (factors(Q), None, "nothing states its scale"),
        (factors(Q), {"r": 2, "lora_alpha": 4}, "nothing states its scale"),
        (factors(Q), PEFT | {"peft_type": "LOHA"}, "its config is one of LOHA"),
        (factors(Q), PEFT | {"init_lora_weights": "pissa"}, "pissa"),
        (factors(Q) | {f"{Q}.alpha": ()}, PEFT, "both a tensor and a config"),
        ({f"{Q}.lora_A.weight": (2, 8)}, PEFT, "has only lora_a"),
        (factors(Q) | {f"{Q}.lora_magnitude_vector": (12,)}, PEFT, "DoRA"),
        (factors(Q) | {f"{Q}.lora_E": (2, 1)}, PEFT, "AdaLoRA"),
        (factors(Q) | {f"{Q}.hra_u": (8, 2)}, PEFT, "HRA"),
        (factors(Q) | {f"{Q}.lokr_w1": (2, 2), f"{Q}.hra_u": (8, 2)}, PEFT, "HRA and LoKr"),
        (factors(Q, (8, 2), (2, 12), ("lora_a", "lora_b")), None, "no adapter_config.json"),
        (factors(Q, (8, 2), (2, 12), ("lora_a", "lora_b")), PEFT, "not one of mlx-lm"),
        ({f"{Q}.lokr_w1": (2, 2), f"{Q}.lokr_w2_a": (4, 1)}, {"peft_type": "LOKR"}, "has only"),
        ({f"{Q}.lokr_w1": (2, 2), f"{Q}.lokr_w2": (4,)}, {"peft_type": "LOKR"}, "do not fit"),
    ],
)
def test_what_does_not_fit_has_a_reason(shapes, adapter, word):
    found = recognized(shapes, adapter)
    assert not found.changes and set(found.notes) == set(shapes)
    assert all(word in note for note in found.notes.values()), found.notes


def test_integers_are_no_factors():
    found = recognized(factors(Q), PEFT, dtype="I8")
    assert not found.changes and "stored as I8" in found.notes[f"{Q}.lora_B.weight"]


def test_a_missing_alpha_needs_loaders_that_agree():
    kohya = ("lora_down.weight", "lora_up.weight")
    one, other = factors("lora_unet_a", words=kohya), factors("lora_unet_b", words=kohya)
    found = recognized(one | other)
    assert {change.scale for change in found.changes.values()} == {1}
    assert found.notes == dict.fromkeys(found.changes, ASSUMED)
    wider = factors("lora_unet_b", (3, 8), (12, 3), words=kohya)
    for more in (wider, other | {"lora_unet_b.alpha": ()}):
        found = recognized(one | more)
        assert "nothing states its scale" in found.notes["lora_unet_a.lora_up.weight"]


def test_two_whole_factors_ignore_a_stored_alpha():
    found = recognized({"lora_q.lokr_w1": (2, 2), "lora_q.lokr_w2": (4, 5), "lora_q.alpha": ()})
    [change] = found.changes.values()
    assert change.scale == 1 and set(change.factors) == {"w1", "w2"}
    adapter = {"peft_type": "LOKR", "r": 4, "alpha": 2}
    found = recognized({f"{Q}.lokr_w1": (2, 2), f"{Q}.lokr_w2": (4, 5)}, adapter)
    assert [change.scale for change in found.changes.values()] == [0.5]


SOUND = [
    ("LORA", {"lora_A.weight": (2, 8), "lora_B.weight": (12, 2)}),
    ("LORA", {"lora_A.weight": (6, 8), "lora_B.weight": (12, 6)}),
    ("LORA", {"lora_embedding_A": (2, 8), "lora_embedding_B": (12, 2)}),
    ("", {"lora_a": (8, 2), "lora_b": (2, 12)}),
    ("", {"lora_a": (6, 8), "lora_b": (3, 12, 2)}),
    ("", {"lora_up.weight": (8, 2, 1, 1), "lora_down.weight": (2, 4, 3, 3), "alpha": ()}),
    ("", {"lora_up.weight": (8, 2), "lora_down.weight": (2, 4), "lora_mid.weight": (2, 2, 3, 3)}),
    ("LOHA", {"hada_w1_a": (8, 2), "hada_w1_b": (2, 4), "hada_w2_a": (8, 2), "hada_w2_b": (2, 4)}),
    ("LOKR", {"lokr_w1": (2, 2), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 4)}),
    ("LOKR", {"lokr_w1_a": (2, 2), "lokr_w1_b": (2, 4), "lokr_w2": (4, 4, 3)}),
]


def test_no_shapes_and_settings_break_the_recognition():
    random = np.random.default_rng(7)
    values = [None, True, 2, 0, -1, "x", [], {"q_proj": 2}, {"(": 1}, ["q_proj.w", 3], 1e99]
    keys = ["r", "lora_alpha", "alpha", "rank_pattern", "alpha_pattern", "target_parameters"]
    keys += ["peft_type", "use_rslora", "lora_parameters", "init_lora_weights"]
    outcomes = {"changes": 0, "notes": 0}
    for _ in range(3000):
        method, shapes = SOUND[random.integers(len(SOUND))]
        shapes = {f"{Q}.{word}": shape for word, shape in shapes.items()}
        if random.random() < 0.6:
            sizes = random.choice([0, 1, 2, 4, 8], random.integers(0, 5))
            shapes[str(random.choice(list(shapes)))] = tuple(map(int, sizes))
        if random.random() < 0.2:
            del shapes[str(random.choice(list(shapes)))]
        adapter = {"lora_parameters": {"rank": 2, "scale": 3}, "r": 2}
        adapter |= {"peft_type": method} if method else {}
        for key in random.choice(keys, random.integers(0, 3)):
            adapter[str(key)] = values[random.integers(len(values))]
        found = recognized(shapes, adapter)
        assert set(found.changes) <= set(shapes) and set(found.notes) <= set(shapes)
        assert found.changes or set(found.notes) == set(shapes)
        outcomes["changes"] += len(found.changes)
        outcomes["notes"] += bool(found.notes)
    assert min(outcomes.values()) > 300, outcomes
