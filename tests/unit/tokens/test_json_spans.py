import json

import pytest

from blockresearch.tokens.json_spans import without_value


@pytest.mark.parametrize("spaces", [None, 1])
@pytest.mark.parametrize(
    "merges", [[], ["a b", '"] }\\'], [["{", "["]], {"a": {"model": 1}}, 5, ""]
)
def test_a_value_is_cut(spaces, merges):
    value = {"merges": [1], "model": {"x": {"merges": 1}, "merges": merges, "vocab": {"merges": 2}}}
    text = json.dumps(value, indent=spaces).encode()
    cut = without_value(text, b"model", b"merges")
    value["model"]["merges"] = None
    assert json.loads(cut) == value
    last = json.dumps({"model": {"merges": merges}}).encode()
    assert json.loads(without_value(last, b"model", b"merges")) == {"model": {"merges": None}}


@pytest.mark.parametrize("text", ["", "[]", '{"model": {"merges": [1, 2', '{"model": "merges', "{"])
def test_other_texts_stay(text):
    assert without_value(text.encode(), b"model", b"merges") == text.encode()
