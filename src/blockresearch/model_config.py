"""A model's config.json, read in one way whatever the family calls things and where it nests them.

It comes from a stranger: a value of a wrong type counts as missing.
"""

from collections.abc import Mapping
from typing import Any

# Keys under which a config of several models holds that of the text model.
TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config", "decoder")

# Keys under which the config of the text model holds some of its numbers.
DETAILS = ("attn_config", "ffn_config")

# In the model types whose norms multiply by 1 + weight.
ZERO_CENTERED = ("gemma", "qwen3_next", "qwen3_5", "nemotron")

MAX_NUMBER = 2**31

# model_type of language models whose output layer is the embedding unless the config says not.
# Source: defaults of tie_word_embeddings in the config classes of transformers 5.24.0.
TIED_BY_DEFAULT = frozenset(
    """
    bart bert bert-generation big_bird bigbird_pegasus biogpt blenderbot blenderbot-small bloom
    camembert cohere cohere2 ctrl electra ernie4_5 ernie4_5_moe falcon falcon_mamba gemma gemma2
    gemma3 gemma3_text gemma3n gemma3n_text gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox_japanese
    jetmoe led lfm2 lfm2_moe longt5 m2m_100 mamba marian mbart minicpm3 modernbert-decoder mpt mt5
    mvp nllb-moe openai-gpt opt pegasus pegasus_x plbart prophetnet recurrent_gemma roberta smollm3
    starcoder2 switch_transformers t5 t5gemma t5gemma2 umt5 vaultgemma whisper xglm xlm xlm-roberta
    xlnet zamba zamba2
    """.split()
)


class ModelConfig:
    """The parts of config.json that describe the text model, the innermost first."""

    def __init__(self, config: Any):
        parts = [config] if isinstance(config, Mapping) else []
        for part in parts:
            parts += _inner(part, TEXT_PARTS)
        self.parts: list[Mapping[str, Any]] = parts[::-1]
        self._details = [inner for part in self.parts for inner in _inner(part, DETAILS)]
        types = [part.get("model_type") for part in self.parts]
        self.types = {name for name in types if isinstance(name, str)}

    @property
    def adds_one_to_norms(self) -> bool:
        """Whether norms multiply by 1 + weight, so that a weight of 0 changes nothing."""
        return any(name in kind for kind in self.types for name in ZERO_CENTERED)

    @property
    def text(self) -> Mapping[str, Any]:
        """The config of the text model itself."""
        return self.parts[0] if self.parts else {}

    @property
    def architectures(self) -> list[str]:
        """The classes of the model that the config names."""
        named = self.parts[-1].get("architectures") if self.parts else None
        return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []

    @property
    def stated_ties(self) -> set[bool]:
        """The values of tie_word_embeddings: whether the embedding is the output layer too."""
        values = (part.get("tie_word_embeddings") for part in self.parts)
        return {value for value in values if isinstance(value, bool)}

    @property
    def ties_by_default(self) -> bool:
        """Whether loaders tie the output layer to the embedding if the config says nothing."""
        return not self.stated_ties and bool(self.types & TIED_BY_DEFAULT)

    def number(self, *keys: str) -> int | None:
        """The first positive integer under one of the keys, below 2³¹."""
        values = (part.get(key) for key in keys for part in (*self.parts, *self._details))
        return next((v for v in values if type(v) is int and 0 < v < MAX_NUMBER), None)

    def flag(self, key: str) -> bool:
        """Whether a key is true."""
        return any(part.get(key) is True for part in (*self.parts, *self._details))

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


def _inner(config: Mapping[str, Any], keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    return [config[key] for key in keys if isinstance(config.get(key), Mapping)]
