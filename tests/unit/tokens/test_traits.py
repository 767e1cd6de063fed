"""Category, script and length of a token."""

import numpy as np
import pytest

from blockresearch.tokens.tokenizer import as_tokens
from blockresearch.tokens.traits import all_traits, traits
from tests.unit.tokens.samples import token


@pytest.mark.parametrize(
    ("raw", "kind", "category", "script", "spaced", "length"),
    [
        (" the", "normal", "letters", "Latin", True, 3),
        ("привет", "normal", "letters", "Cyrillic", False, 6),
        ("日本x", "normal", "letters", "Han", False, 3),
        ("नमस्ते", "normal", "letters", "Devanagari", False, 6),
        ("123", "normal", "digits", None, False, 3),
        (" ...", "normal", "punctuation", None, True, 3),
        ("€", "normal", "punctuation", None, False, 1),
        (" \n", "normal", "whitespace", None, True, 1),
        ("\x00\u200b", "normal", "control", None, False, 2),
        ("getValue", "normal", "code", "Latin", False, 8),
        ("();", "normal", "code", None, False, 3),
        ("snake_case", "normal", "code", "Latin", False, 10),
        ("don't", "normal", "mixed", "Latin", False, 5),
        ("\udce2\udc82", "byte", "byte", None, False, 2),
        ("<|end|>", "special", "special", None, False, 7),
        ("<tool_call>", "added", "special", None, False, 11),
        (" [unused7]", "normal", "unused", None, True, 9),
        ("<|reserved_special_token_3|>", "special", "unused", None, False, 28),
        ("", "unnamed", "unused", None, None, None),
        ("", "normal", None, None, None, None),
    ],
)
def test_traits(raw, kind, category, script, spaced, length):
    found = traits(token(raw, kind))
    assert (found.category, found.script) == (category, script)
    assert (found.leading_space, found.length) == (spaced, length)


def test_impossible_tokens():
    named = (token("<unused12>"), token("[unused1]", "special"))
    for impossible in (token("\udcc0", "byte"), token("\udcff", "byte"), *named):
        assert traits(impossible).is_impossible
    for other in (token("\udcc3", "byte"), token("unused"), token("", "unnamed"), token("<s>")):
        assert not traits(other).is_impossible


def test_columns_are_the_traits_of_each():
    random = np.random.default_rng(0)
    letters = [*" <[aZéж日\u0301٣1_.({€\t\n\u200b\u3000\udce2", "<unused1>", "[X]", "getValue"]
    raws = ["".join(random.choice(letters, size)) for size in random.integers(0, 5, 3000)]
    tokens = [token(raw, ("normal", "added")[at % 2]) for at, raw in enumerate(raws)]
    tokens += [token("<s>", "special"), token("", "unnamed"), token("\udcc0", "byte")]
    found = all_traits(as_tokens(tokens))
    columns = zip(found.category, found.script, found.leading_space, found.length, strict=True)
    for own, columns_of_it, impossible in zip(
        map(traits, tokens), columns, found.is_impossible, strict=True
    ):
        length = -1 if own.length is None else own.length
        assert columns_of_it == (own.category, own.script, own.leading_space, length)
        assert impossible == own.is_impossible
