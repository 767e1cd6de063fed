"""Every layout reduces to the same heads; what is not defined gives a reason."""

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.layer_groups import layer_groups
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.circuits.reading import read_layers
from tests.cases import comparisons

NOW = "2026-01-01T00:00:00Z"

WIDTH, HEADS, SIZE = 12, 3, 4


def layers(folder, tensors, config):
    manifest = describe_folder(
        str(comparisons.write(folder / "model", tensors, config)), NOW, hashed=False
    )
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    (group,) = layer_groups(manifest_json(manifest))
    return list(read_layers(manifest, files, group.layers))


def parts(random, groups=HEADS):
    rows = {"q": HEADS * SIZE, "k": groups * SIZE, "v": groups * SIZE, "o": WIDTH}
    return {
        name: random.standard_normal((count, HEADS * SIZE if name == "o" else WIDTH))
        for name, count in rows.items()
    }


def llama(w, more=(), kv=HEADS, **config):
    start = "model.layers.0.self_attn."
    tensors = {f"{start}{n}_proj.weight": a.astype("<f4") for n, a in w.items()} | dict(more)
    words = {"num_attention_heads": HEADS, "num_key_value_heads": kv, "hidden_size": WIDTH}
    return tensors, {"model_type": "llama", **words, "num_hidden_layers": 1, **config}


def test_groups_share_keys_and_scales_are_folded(tmp_path):
    random = np.random.default_rng(0)
    w, gamma = parts(random, 1), random.uniform(0.5, 2, WIDTH).astype("<f4")
    more = {"model.layers.0.input_layernorm.weight": gamma}
    (layer,) = layers(tmp_path, *llama(w, more, 1, rope_theta=1e4, rms_norm_eps=1e-5))
    (found,) = layer.attentions
    assert (found.heads, found.groups, found.kv_head(2)) == (3, 1, 0)
    for head in range(HEADS):
        own = slice(4 * head, 4 * head + 4)
        np.testing.assert_allclose(found.q[head], w["q"][own] * gamma, rtol=1e-6)
        np.testing.assert_allclose(found.o[head], w["o"][:, own], rtol=1e-6)
    np.testing.assert_allclose(found.v[0], w["v"] * gamma, rtol=1e-6)
    assert found.norm == "input_layernorm" and not found.is_normalized
    assert found.rotary.tolist() == [[0, 2], [1, 3]]


def test_norms_of_a_family_that_adds_one(tmp_path):
    random = np.random.default_rng(1)
    w, start = parts(random), "model.layers.0."
    names = ("input_layernorm", "self_attn.q_norm", "post_attention_layernorm")
    sizes = (WIDTH, SIZE, WIDTH)
    norms = {
        f"{start}{name}.weight": random.uniform(0, 1, size).astype("<f4")
        for name, size in zip(names, sizes, strict=True)
    }
    before, inside, behind = norms.values()
    norms[f"{start}pre_feedforward_layernorm.weight"] = behind
    (layer,) = layers(tmp_path, *llama(w, norms, model_type="gemma3_text", head_dim=SIZE))
    (found,) = layer.attentions
    wanted = w["q"][4:8] * (1 + before) * (1 + inside)[:, None]
    np.testing.assert_allclose(found.q[1], wanted, rtol=1e-6)
    np.testing.assert_allclose(found.o[1], (1 + behind)[:, None] * w["o"][:, 4:8], rtol=1e-6)
    assert found.is_normalized and found.is_rescaled


def test_a_fused_matrix_is_the_same_as_three(tmp_path):
    random = np.random.default_rng(2)
    w = parts(random)
    gamma, beta, bias = (random.standard_normal(n) for n in (WIDTH, WIDTH, 3 * WIDTH))
    start = "transformer.h.0."
    tensors = {
        # Conv1D stores [in, out].
        f"{start}attn.c_attn.weight": np.concatenate([w[n] for n in "qkv"]).T,
        f"{start}attn.c_attn.bias": bias,
        f"{start}attn.c_proj.weight": w["o"].T,
        f"{start}ln_1.weight": gamma,
        f"{start}ln_1.bias": beta,
    }
    config = {"model_type": "gpt2", "n_head": HEADS, "n_embd": WIDTH, "n_layer": 1}
    stored = {name: np.ascontiguousarray(a, "<f4") for name, a in tensors.items()}
    (layer,) = layers(tmp_path, stored, config)
    (found,) = layer.attentions
    x = random.standard_normal(WIDTH)
    # A LayerNorm but for its division.
    read = gamma * (x - x.mean()) + beta
    for place, (q, b) in enumerate(
        ((found.q, found.q_bias), (found.k, found.k_bias), (found.v, found.v_bias))
    ):
        wanted = w["qkv"[place]] @ read + bias[12 * place : 12 * place + 12]
        np.testing.assert_allclose((q @ x + b).reshape(-1), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.o[2], w["o"][:, 8:], rtol=1e-6)
    assert found.rotary is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"num_attention_heads": 5}, "5 heads and 3 key-value heads do not fit q_proj [12, 12]"),
        ({"num_attention_heads": None}, "config.json states no number of heads"),
    ],
)
def test_sizes_that_do_not_agree(tmp_path, change, reason):
    (layer,) = layers(tmp_path, *llama(parts(np.random.default_rng(3)), **change))
    assert not layer.attentions and layer.missing[0].reason.startswith(reason)


def test_latent_attention_has_a_reason(tmp_path):
    w, start = np.ones((12, 12), "<f4"), "model.layers.0.self_attn."
    names = ("q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")
    tensors = {f"{start}{name}.weight": w for name in names}
    (layer,) = layers(tmp_path, tensors, llama({}, model_type="deepseek_v2")[1])
    assert layer.missing[0].reason == "no k_proj, v_proj: they are made from a latent vector"
