"""Each kind of change has its sentence, and no sentence is said of another kind."""

import numpy as np
import pytest

from blockresearch.compare.autopsy import autopsy
from blockresearch.compare.folder import compare_checkpoints, local_checkpoint
from tests.cases import comparisons
from tests.cases.checkpoints import brain, llama

NOW = "2026-01-01T00:00:00Z"


def noised(tensors, relative=0.05):
    random = np.random.default_rng(2)

    def with_noise(tensor):
        w = comparisons.values(tensor)
        noise = random.standard_normal(w.shape)
        scale = relative * np.linalg.norm(w) / np.linalg.norm(noise) if w.ndim == 2 else 0
        return brain(w + scale * noise)

    return {name: with_noise(tensor) for name, tensor in tensors.items()}


def sparse(tensors):
    """Every tenth code one unit larger."""
    result = {}
    for name, tensor in tensors.items():
        codes = tensor.codes.copy()
        if codes.ndim == 2:
            codes.reshape(-1)[::10] += 1
        result[name] = type(tensor)("BF16", codes)
    return result


def with_new_table(tensors):
    name = "model.embed_tokens.weight"
    return tensors | {name: brain(comparisons.values(tensors[name]) * 1.1)}


def with_new_norm(tensors):
    name = "model.norm.weight"
    return tensors | {name: brain(comparisons.values(tensors[name]) * 1.1)}


def deeper(tensors):
    """Layer 1 once more as layer 2."""
    again = {n.replace("layers.1.", "layers.2."): t for n, t in tensors.items() if "layers.1." in n}
    return tensors | again


def tuned(tensors):
    """A change of full rank whose directions differ in size."""
    random = np.random.default_rng(3)
    result = dict(tensors)
    for number, (name, tensor) in enumerate(tensors.items()):
        w = comparisons.values(tensor)
        if w.ndim == 2:
            left = random.standard_normal((len(w), 3 + number))
            right = random.standard_normal((3 + number, w.shape[1]))
            change = left @ right
            result[name] = brain(w + 0.1 * np.linalg.norm(w) * change / np.linalg.norm(change))
    return result


KINDS = {
    "equal": lambda tensors: dict(reversed(tensors.items())),
    "only_token_tables": with_new_table,
    "only_values": with_new_norm,
    "low_rank": lambda tensors: comparisons.perturbed(tensors, 8, 0.05),
    "sparse": sparse,
    "noise": noised,
    "broad": tuned,
}


@pytest.fixture
def verdicts(tmp_path):
    def of(other, **config):
        tensors, plain = llama(hidden=64, inter=160)
        sides = [
            local_checkpoint(str(comparisons.write(tmp_path / name, some, known)), NOW)
            for name, some, known in (
                ("base", tensors, plain),
                ("other", other(tensors), plain | config),
            )
        ]
        found = compare_checkpoints(*sides, threads=1)
        return [verdict.rule for verdict in autopsy(found.pairs, found.differences)]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_the_headline_of_each_kind_of_change(verdicts, kind):
    assert verdicts(KINDS[kind]) == [kind]


def test_a_layer_that_was_copied(verdicts):
    assert verdicts(deeper, num_hidden_layers=3) == ["equal", "copied", "only_other"]


def test_a_side_without_some_tensors(verdicts):
    def pruned(tensors):
        return {name: tensor for name, tensor in tensors.items() if "layers.1." not in name}

    assert verdicts(pruned, num_hidden_layers=1) == ["equal", "only_base"]
