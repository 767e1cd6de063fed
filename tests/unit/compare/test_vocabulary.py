"""Rows of two vocabularies by their tokens."""

from blockresearch.compare.vocabulary import shared_rows, token_changes
from blockresearch.tokens.tokenizer import NO_TOKENIZER, UNNAMED, Token


def tokens(*texts):
    return [Token(text, "normal") if text else UNNAMED for text in texts]


def test_rows_are_matched_by_text():
    rows = shared_rows(tokens("a", "b", "c", ""), tokens("x", "c", "a"))
    assert rows.by_text
    assert rows.base.tolist() == [0, 2]
    assert rows.other.tolist() == [2, 1]


def test_texts_that_occur_twice_have_no_partner():
    rows = shared_rows(tokens("a", "b", "b"), tokens("b", "a"))
    assert (rows.base.tolist(), rows.other.tolist()) == ([0], [1])


def test_without_a_tokenizer_rows_count():
    rows = shared_rows([NO_TOKENIZER] * 3, tokens("a", "b"))
    assert not rows.by_text
    assert rows.base.tolist() == rows.other.tolist() == [0, 1]


def test_changes_of_a_vocabulary():
    found = token_changes(tokens("a", "b", "c"), tokens("a", "c", "d"))
    lines = [(change.status, change.token, change.base_id, change.other_id) for change in found]
    assert lines == [
        ("removed", "b", 1, None),
        ("renumbered", "c", 2, 1),
        ("added", "d", None, 2),
    ]
