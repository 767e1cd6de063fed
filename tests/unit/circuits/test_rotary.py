"""Pairs of rows as config.json states them."""

import pytest

from blockresearch.circuits.rotary import rotary_pairs

ROPE = {"model_type": "llama", "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("config", "pairs"),
    [
        (ROPE, [[0, 4], [1, 5], [2, 6], [3, 7]]),
        (ROPE | {"partial_rotary_factor": 0.5}, [[0, 2], [1, 3]]),
        ({"rope_parameters": {"partial_rotary_factor": 0.25}}, [[0, 1]]),
        ({"model_type": "gptj", "rotary_dim": 4}, [[0, 1], [2, 3]]),
        (ROPE | {"no_rope_layers": [1, 0]}, None),
        (ROPE | {"alibi": True}, None),
        ({"model_type": "gpt2"}, None),
    ],
)
def test_pairs(config, pairs):
    found = rotary_pairs(config, "text", 1, 8)
    assert (None if found is None else found.tolist()) == pairs


def test_pictures_have_other_positions():
    assert rotary_pairs(ROPE, "vision", 0, 8) is None
