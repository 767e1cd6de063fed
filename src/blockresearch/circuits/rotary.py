"""Which rows of queries and keys turn with the position, as config.json states it.

Source: the code of the families in transformers. Half-split pairs are rows i and i + r/2 of the
first r rows of a head, interleaved ones 2i and 2i + 1. A layer without positions has none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blockresearch.model_config import ModelConfig

# One of these keys means rotary positions.
KEYS = (
    *("rope_theta", "rope_parameters", "rope_scaling", "rotary_emb_base", "rotary_pct"),
    *("rotary_dim", "global_rope_theta"),
)

# Families that turn neighboring rows.
INTERLEAVED = frozenset(
    "gptj codegen cohere cohere2 glm glm4 chatglm ernie4_5 ernie4_5_moe llama4 llama4_text "
    "helium".split()
)

# Components whose positions are those of a text.
COMPONENTS = ("text", "decoder", "mtp")


def rotary_pairs(config: Mapping[str, Any], component: str, layer: int, size: int):
    """The pairs of rows of a head of `size` rows, int64 [frequencies, 2]; None without rotary
    positions."""
    facts = ModelConfig(config)
    text = facts.text
    if component not in COMPONENTS or facts.flag("alibi") or not any(map(text.get, KEYS)):
        return None
    used = text.get("no_rope_layers")
    if isinstance(used, list) and layer < len(used) and not used[layer]:
        return None
    parameters = text.get("rope_parameters")
    places = [text, parameters if isinstance(parameters, Mapping) else {}]
    shares = [p.get(key) for p in places for key in ("partial_rotary_factor", "rotary_pct")]
    share = next((s for s in shares if isinstance(s, int | float) and 0 < s <= 1), 1)
    turned = facts.number("rotary_dim") or int(size * share)
    if turned % 2 or turned > size:
        return None
    if facts.types & INTERLEAVED:
        return np.arange(turned).reshape(-1, 2)
    return np.arange(turned).reshape(2, -1).T
