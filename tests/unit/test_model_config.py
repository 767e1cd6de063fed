"""Numbers of config.json: found in every nesting, never of a wrong type."""

from blockresearch.model_config import ModelConfig


def test_the_innermost_text_model_counts():
    config = ModelConfig(
        {
            "model_type": "omni",
            "architectures": ["OmniForCausalLM", 7],
            "hidden_size": 1,
            "tie_word_embeddings": True,
            "thinker_config": {"text_config": {"hidden_size": 2, "attn_config": {"n_head": 3}}},
        }
    )
    assert config.number("n_embd", "hidden_size") == 2 and config.number("n_head") == 3
    assert config.types == {"omni"} and config.architectures == ["OmniForCausalLM"]
    assert config.stated_ties == {True} and "attn_config" in config.text


def test_wrong_types_count_as_missing():
    for config in (None, [], {"text_config": [], "hidden_size": True, "architectures": "x"}):
        config = ModelConfig(config)
        assert config.number("hidden_size") is config.width is config.heads is None
        assert not config.architectures and not config.stated_ties and not config.flag("x")
    assert ModelConfig({"hidden_size": 2**31}).width is None
