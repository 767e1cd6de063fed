"""Ask a model's config.json, whatever the family calls things and wherever it nests them."""

from collections.abc import Mapping
from typing import Any

CONFIG_PARTS = (
    *("text_config", "llm_config", "language_config", "attn_config", "ffn_config"),
    *("thinker_config", "decoder"),
)


class Facts:
    """What a config says about the text model; anything of a wrong type counts as missing."""

    def __init__(self, config: Mapping[str, Any]):
        parts = [config]
        for part in parts:
            parts += [part[key] for key in CONFIG_PARTS if isinstance(part.get(key), Mapping)]
        self._parts = parts
        types = [part.get("model_type") for part in parts]
        self.types = {name for name in types if isinstance(name, str)}

    def number(self, *keys: str) -> int | None:
        """The first positive integer under one of the keys."""
        values = (part.get(key) for key in keys for part in self._parts)
        return next((value for value in values if type(value) is int and value > 0), None)

    def flag(self, key: str) -> bool:
        """Whether a key is true."""
        return any(part.get(key) is True for part in self._parts)

    @property
    def width(self) -> int | None:
        """Size of the residual stream."""
        return self.number("hidden_size", "n_embd", "d_model", "dim", "model_dim")

    @property
    def heads(self) -> tuple[int, int, int] | None:
        """Query heads, key-value heads, rows per head."""
        heads = self.number("num_attention_heads", "n_head", "n_heads", "num_heads")
        if heads is None:
            return None
        width = self.width
        size = self.number("head_dim", "kv_channels") or (width // heads if width else None)
        pairs = self.number("num_key_value_heads", "n_head_kv", "num_kv_heads", "kv_n_heads")
        if self.flag("multi_query_attention") or self.flag("multi_query"):
            pairs = self.number("multi_query_group_num") or pairs or 1
            if "falcon" in self.types and not self.flag("new_decoder_architecture"):
                pairs = 1
        return (heads, pairs or heads, size) if size else None

    @property
    def experts(self) -> int | None:
        """Number of routed experts of a layer."""
        return self.number(
            "num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"
        )
