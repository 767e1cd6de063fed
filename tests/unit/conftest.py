"""A small model with every kind of tensor, measured once."""

import numpy as np
import pytest

from blockresearch.measurement.folder import analyze_folder
from blockresearch.measurement.part import Settings
from tests.conftest import bf16, small_model, write_safetensors

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory):
    """A small model with a stack of experts, a NaN, a packed weight and a buffer."""
    folder = small_model(tmp_path_factory.mktemp("model"), layers=2)
    random = np.random.default_rng(1)
    experts = random.normal(size=(12, 4, 6)).astype("<f4")
    broken = random.normal(size=(6, 5)).astype("<f4")
    broken[2, 3] = np.nan
    prefix = "model.layers.2.mlp."
    write_safetensors(
        folder / "extra.safetensors",
        {
            prefix + "experts.down_proj": ("F32", [12, 4, 6], experts.tobytes()),
            "model.layers.2.self_attn.q_proj.weight": ("F32", [6, 5], broken.tobytes()),
            "model.layers.2.self_attn.v_proj.weight": ("BF16", [4, 4], bf16(np.zeros((4, 4)))),
            "model.layers.2.self_attn.rotary_emb.inv_freq": ("F32", [2], bytes(8)),
            "model.layers.2.self_attn.k_proj.qweight": ("I32", [2, 2], bytes(16)),
            "model.layers.2.self_attn.k_proj.scales": ("F16", [2], bytes(4)),
        },
    )
    config = folder / "config.json"
    config.write_text(
        config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    )
    # Without the index all three files would be ambiguous, so the index names the third as well.
    index = folder / "model.safetensors.index.json"
    index.write_text(
        index.read_text().replace(
            '"weight_map": {',
            '"weight_map": {"' + prefix + 'experts.down_proj": "extra.safetensors", ',
        )
    )
    return analyze_folder(str(folder), Settings(1e-6), 1, NOW), experts
