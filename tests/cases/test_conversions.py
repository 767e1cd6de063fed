"""Models under the names that transformers writes and that its modules use: the same matrices."""

import json

import numpy as np
import pytest

from blockresearch.compare.checkpoint import local_checkpoint
from blockresearch.compare.matching import match
from blockresearch.weights.reading import panels
from tests.cases.checkpoints import save
from tests.conftest import ROOT

NOW = "2026-01-01T00:00:00Z"

MODELS = json.loads((ROOT / "tests/data/conversions.json").read_text())["models"]


def write(folder, tensors, config):
    folder.mkdir()
    save(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    return local_checkpoint(str(folder), NOW)


def assembled(parts, written):
    """The tensor that consists of `parts`: a name, or for each expert the names of its pieces."""
    if isinstance(parts, str):
        return written[parts]
    return np.stack([np.concatenate([written[name] for name in expert]) for expert in parts])


def read(side, item):
    return np.concatenate(list(panels(side.open(item.tensor.name), item.matrix, 2**20)))


@pytest.mark.parametrize("model_type", MODELS)
def test_names_of_transformers_are_matched(tmp_path, model_type):
    model = MODELS[model_type]
    # Each tensor has a number that no other has.
    written = {
        name: np.full(shape, number, np.float32)
        for number, (name, shape) in enumerate(model["written"].items(), 1)
    }
    used = {name: assembled(parts, written) for name, parts in model["used"].items()}
    base = write(tmp_path / "written", written, model["config"])
    other = write(tmp_path / "used", used, model["config"])
    pairs = match(base.manifest, other.manifest)
    assert [pair.either.name for pair in pairs if not pair.is_compared] == []
    assert {pair.rule for pair in pairs} <= {"name", "prefix", "role"}
    for pair in pairs:
        assert np.array_equal(read(base, pair.base), read(other, pair.other)), pair.either.name
