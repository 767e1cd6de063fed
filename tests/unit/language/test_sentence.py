"""Sentences are English strings that keep their message and values."""

import copy
import json

from blockresearch.language.sentence import (
    as_json,
    declared,
    from_json,
    joined,
    listed,
    messages_in,
    say,
    with_messages,
)


def test_a_sentence_is_its_english_text():
    text = say("{count} of {total} are full.", count="2", total=3)
    assert text == "2 of 3 are full." and isinstance(text, str)
    assert text.message == "{count} of {total} are full."
    assert text.values == {"count": "2", "total": "3"}
    assert say("100 % {x}") == "100 % {x}", "without values a brace is a brace"


def test_lists_and_sentences_are_put_together():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert joined(say("One."), "", say("Two.")) == "One. Two."
    assert joined("", "") == ""
    assert declared(joined(say("One."))).message == "One."


def test_a_sentence_survives_json_and_copies():
    text = joined(say("{name} is odd.", name=listed(["x", "y", "z"])), say("Look."))
    stored = json.loads(json.dumps(as_json(text)))
    for found in (from_json(stored), copy.deepcopy(text)):
        assert found == text
        assert (found.message, found.values) == (text.message, text.values)
    assert from_json(as_json("plain")) == "plain"


def test_sentences_among_facts_survive_json():
    facts = {"rule": say("k = {k}", k=3), "output": {"reason": say("None."), "rows": 4}}
    stored = json.loads(json.dumps(facts | {"messages": messages_in(facts)}))
    assert stored["rule"] == "k = 3"
    found = with_messages(stored)
    assert found == facts
    assert found["rule"].message == "k = {k}"
    assert found["output"]["reason"].message == "None."
