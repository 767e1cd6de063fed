"""Which norm stands before attention, by names and family."""

import numpy as np
import pytest

from blockresearch.circuits.norms import fold_heads, norm_before
from blockresearch.model_config import ModelConfig


@pytest.mark.parametrize(
    ("family", "names", "role", "norm"),
    [
        ("llama", ["input_layernorm", "post_attention_layernorm"], "self", "input_layernorm"),
        ("bert", ["LayerNorm"], "self", None),
        ("gpt2", ["ln_1", "ln_2"], "self", "ln_1"),
        ("openai-gpt", ["ln_1", "ln_2"], "self", None),
        ("whisper", ["self_attn_layer_norm"], "self", "self_attn_layer_norm"),
        ("whisper", ["encoder_attn_layer_norm"], "cross", "encoder_attn_layer_norm"),
        ("bart", ["self_attn_layer_norm"], "self", None),
        ("llama", ["input_layernorm"], "cross", None),
    ],
)
def test_the_norm_before_attention(family, names, role, norm):
    assert norm_before(names, role, ModelConfig({"model_type": family})) == norm


def test_a_scale_of_all_heads_or_of_one():
    heads, bias = np.ones((2, 3, 4)), np.ones((2, 3))
    of_all, _ = fold_heads(heads, bias, np.arange(6.0))
    assert of_all[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    _, of_one = fold_heads(heads, bias, np.arange(3.0))
    assert of_one.tolist() == [[0, 1, 2]] * 2
    assert fold_heads(heads, bias, np.arange(5.0))[0] is heads
