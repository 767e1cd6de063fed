"""Changes of weights: each formula against its defining library's own numbers.

`tests/data/adapters.npz` was made by `tests/golden/adapters.py`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.weights.adapters.change import change_from_json, change_json, read_change

DATA = np.load(Path(__file__).parents[3] / "data" / "adapters.npz")
CASES = json.loads(DATA["cases"].tobytes())


def stored_changes(folder, case):
    """Changes of a case by module, each a list of (expert, delta); notes by tensor."""
    for name in CASES[case]["files"]:
        (folder / name).write_bytes(DATA[f"{case}/{name}"].tobytes())
    tensors = describe_folder(folder, "now", hashed=False).tensors
    found = {}
    for tensor in tensors:
        if tensor.change is not None:
            assert change_from_json(json.loads(json.dumps(change_json(tensor.change)))) == (
                tensor.change
            )
            module = tensor.name.removeprefix("base_model.model.")
            words = ("lora", "hada", "lokr")
            parts = module.split(".")
            at = next(i for i, part in enumerate(parts) if i and part.startswith(words))
            found[".".join(parts[:at])] = read_change(tensor.change, folder.__truediv__)
    return found, {tensor.name: tensor.layout.reason for tensor in tensors}


def matrices(change, experts):
    """The library's change as matrices, those of a stack as [out, in]."""
    if not experts:
        return [np.asarray(change, float).reshape(len(change), -1)]
    return list(np.asarray(change, float))


@pytest.mark.parametrize("case", [case for case in CASES if not case.endswith("dora")])
def test_changes_are_those_of_the_library(case, tmp_path):
    found, reasons = stored_changes(tmp_path, case)
    assert set(found) == set(CASES[case]["modules"]), reasons
    for module, deltas in found.items():
        experts = deltas[0][0] is not None
        right = matrices(DATA[f"{case}:{module}"], experts)
        if "swapped" in module:
            right = [stored.T for stored in right]
        assert [number for number, _ in deltas] == (list(range(3)) if experts else [None])
        for (_, delta), wanted in zip(deltas, right, strict=True):
            whole = np.concatenate(list(delta.blocks(64)))
            assert whole.dtype == np.float32 and whole.shape == delta.shape == wanted.shape
            assert np.abs(whole - wanted).max() <= 3e-7 * np.abs(wanted).max()
            values = np.linalg.svd(wanted, compute_uv=False)
            assert np.abs(delta.singular_values() - values).max() <= 3e-7 * values[0]


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith("dora")])
def test_dora_has_a_reason_instead(case, tmp_path):
    found, reasons = stored_changes(tmp_path, case)
    assert not found and all("DoRA" in reason for reason in reasons.values())


def test_an_assumed_scale_is_stated(tmp_path):
    _, reasons = stored_changes(tmp_path, "diffusers_plain")
    assert {reason for name, reason in reasons.items() if "lora_B" in name} == {
        "its delta has the scale 1: no alpha is stored"
    }
